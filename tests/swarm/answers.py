"""Answers on the wire, right and wrong, that both of the lab's parsers must agree about.

RIGHT: whole with their last byte or, those called "until the close...", with the close.
WRONG: (what it shows, bytes): not HTTP/1.1 answers, and to be refused without waiting for more.
CUT_OFF: (what it shows, bytes): nothing wrong so far, and not complete when the peer closes.
"""

from __future__ import annotations

from typing import NamedTuple


class Right(NamedTuple):
    """What reading `wire` must give. rest: the end of the wire that is no part of the answer."""

    name: str
    wire: bytes
    body: bytes
    status: int = 200
    keeps_alive: bool = True
    rest: bytes = b""


OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"Hello, world!"

RIGHT = [
    Right("length", OK + b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n" + HELLO, HELLO),
    Right("pipelined", OK + b"Content-Length: 13\r\n\r\n" + HELLO + OK, HELLO, rest=OK),
    Right("length zero", OK + b"Content-Length: 0\r\n\r\nmore", b"", rest=b"more"),
    Right("length with zeros", OK + b"Content-Length: 0000000000000000000002\r\n\r\nab", b"ab"),
    Right("length twice", OK + b"Content-Length: 2\r\ncontent-length:2\r\n\r\nab", b"ab"),
    Right("length as a list", OK + b"Content-Length: 2 ,\t02,, 2\r\n\r\nab", b"ab"),
    Right("length and an empty one", OK + b"Content-Length:\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("length on a folded line", OK + b"Content-Length:\r\n\t 2\r\n\r\nab", b"ab"),
    Right("length folded into a list", OK + b"Content-Length: 2\r\n , 2\r\n\r\nab", b"ab"),
    Right("length and a blank fold", OK + b"Content-Length: 2\r\n \r\n\r\nab", b"ab"),
    Right("a folded unknown field", OK + b"X: a\r\n b: c\r\n\td\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("names in any case", OK + b"cONTENT-lENGTH: 2\r\nCONNECTION: CLOSE\r\n\r\nab", b"ab", keeps_alive=False),
    Right("a name that begins like one", OK + b"Content-Lengths: 5\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("a long name", OK + b"content-length" + b"x" * 300 + b": 9\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("an odd name", OK + b"!#$%&'*+-.^_`|~09Az: 9\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("an empty value", OK + b"X:\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("tabs and high bytes in a value", OK + b"X:\t\x80\xff\t\x01\x7f\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("an empty reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("a reason in UTF-8", "HTTP/1.1 200 d'accord, été\r\nContent-Length: 2\r\n\r\nab".encode(), b"ab"),
    Right(
        "a long reason", b"HTTP/1.1 503 " + b"so sorry " * 30 + b"\r\nContent-Length: 2\r\n\r\nab", b"ab", status=503
    ),
    Right("status 999", b"HTTP/1.1 999 ?\r\nContent-Length: 2\r\n\r\nab", b"ab", status=999),
    Right(
        "interim ones",
        b"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nab",
        b"ab",
    ),
    Right(
        "an interim one that speaks of a body",
        b"HTTP/1.1 100 C\r\nContent-Length: 9\r\nConnection: close\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nab",
        b"ab",
    ),
    Right(
        "switching protocols",
        b"HTTP/1.1 101 S\r\nUpgrade: x\r\nContent-Length: 7\r\n\r\nxyz",
        b"",
        status=101,
        keeps_alive=False,
        rest=b"xyz",
    ),
    Right("204 has no body", b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n", b"", status=204),
    Right(
        "204 ignores nonsense", b"HTTP/1.1 204 N\r\nContent-Length: x\r\nTransfer-Encoding: ;\r\n\r\n", b"", status=204
    ),
    Right(
        "304 has no body",
        b"HTTP/1.1 304 N\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabc",
        b"",
        status=304,
        keeps_alive=False,
        rest=b"abc",
    ),
    Right("1.0 closes", OLD + b"Content-Length: 2\r\n\r\nab", b"ab", keeps_alive=False),
    Right("1.0 may stay", OLD + b"Content-Length: 2\r\nConnection: Keep-Alive\r\n\r\nab", b"ab"),
    Right(
        "1.0 close wins",
        OLD + b"Content-Length: 2\r\nConnection: keep-alive, close\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "close among others",
        OK + b"Content-Length: 2\r\nConnection: x ,\tclose\t, y\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "close in the second",
        OK + b"Connection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "close on a folded line",
        OK + b"Connection: x,\r\n close\r\nContent-Length: 2\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "close is a whole word",
        OK + b'Connection: closed, close x, "close", clos\r\nContent-Length: 2\r\n\r\nab',
        b"ab",
    ),
    Right("close comes folded apart", OK + b"Connection: clo\r\n se\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Right("until the close", OK + b"Server: x\r\n\r\n" + HELLO, HELLO, keeps_alive=False),
    Right("until the close, empty", OK + b"\r\n", b"", keeps_alive=False),
    Right(
        "until the close, in spite of keep-alive", OLD + b"Connection: keep-alive\r\n\r\nab", b"ab", keeps_alive=False
    ),
    Right("until the close, another coding", OK + b"Transfer-Encoding: gzip\r\n\r\nab", b"ab", keeps_alive=False),
    Right(
        "until the close, chunked not last",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right("until the close, no coding named", OK + b"Transfer-Encoding: ,\r\n\r\nab", b"ab", keeps_alive=False),
    Right(
        "until the close, chunked in quotes",
        OK + b'Transfer-Encoding: gzip;a="\\",chunked"\r\n\r\nab',
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "until the close, other words",
        OK + b"Transfer-Encoding: chunke, chunkedd, un chunked\r\n\r\nab",
        b"ab",
        keeps_alive=False,
    ),
    Right(
        "chunked", CHUNKED + b"5\r\nHello\r\n8;note=x\r\n, world!\r\n0\r\nX-Trailer: 1\r\n\r\nmore", HELLO, rest=b"more"
    ),
    Right("chunked, empty", CHUNKED + b"0\r\n\r\n", b""),
    Right(
        "chunked, sizes in any case", CHUNKED + b"a\r\n0123456789\r\n0A\r\n0123456789\r\n00\r\n\r\n", b"0123456789" * 2
    ),
    Right("chunked, extensions", CHUNKED + b'2 \t; a ; b="c;d\x7f"\r\nab\r\n0;\t\r\n\r\n', b"ab"),
    Right(
        "chunked, trailers are no head",
        CHUNKED + b"2\r\nab\r\n0\r\nContent-Length: 9\r\n x\r\nConnection: close\r\n\r\n",
        b"ab",
    ),
    Right("chunked, CRLF inside", CHUNKED + b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    Right(
        "chunked, in two fields",
        OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: , Chunked ,\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"a",
    ),
    Right(
        "chunked, after one with parameters",
        OK + b'Transfer-Encoding: x ; q="a, b" ; r=2, chunked\r\n\r\n0\r\n\r\n',
        b"",
    ),
    Right(
        "chunked and close",
        OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
        keeps_alive=False,
    ),
]

WRONG: list[tuple[str, bytes]] = [
    ("another protocol", b"SSH-2.0-OpenSSH\r\n\r\n"),
    ("HTTP/2", b"HTTP/2 200\r\n\r\n"),
    ("a version to come", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a small name", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("an empty line first", b"\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ("two blanks", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("letters in the status", b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n"),
    ("a long status", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a short status", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a low status", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    ("LF in the reason", b"HTTP/1.1 200 O\nK\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in the reason", b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
    ("LF for CRLF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n"),
    ("CR in a value", OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("LF in a value", OK + b"X: a\nb\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a value", OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a value that is read", OK + b"Connection: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("LF in a value that is read", OK + b"Content-Length: 0\n\r\n\r\n"),
    ("two CRs at a line's end", OK + b"X: a\r\r\nContent-Length: 0\r\n\r\n"),
    ("no colon", OK + b"no colon\r\nContent-Length: 0\r\n\r\n"),
    ("no name", OK + b": x\r\nContent-Length: 0\r\n\r\n"),
    ("a blank before the colon", OK + b"Name : x\r\nContent-Length: 0\r\n\r\n"),
    ("a colon of UTF-8", OK + "Näme: x\r\nContent-Length: 0\r\n\r\n".encode()),
    ("a fold before any field", OK + b" X: a\r\nContent-Length: 0\r\n\r\n"),
    ("a wrong field in an interim one", b"HTTP/1.1 100 C\r\nno colon\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ("a negative length", OK + b"Content-Length: -1\r\n\r\n"),
    ("a signed length", OK + b"Content-Length: +1\r\n\r\na"),
    ("a hexadecimal length", OK + b"Content-Length: 0x1\r\n\r\na"),
    ("a length with a fraction", OK + b"Content-Length: 1.0\r\n\r\na"),
    ("a length of two words", OK + b"Content-Length: 1 3\r\n\r\n" + HELLO),
    ("a length folded apart", OK + b"Content-Length: 1\r\n 3\r\n\r\n" + HELLO),
    ("an empty length", OK + b"Content-Length:\r\n\r\n"),
    ("a length of commas", OK + b"Content-Length: , ,\r\n\r\n"),
    ("a length and a word", OK + b"Content-Length: 1, x\r\n\r\na"),
    ("a length of other blanks", OK + b"Content-Length: \x0b1\r\n\r\na"),
    ("a length of other digits", OK + b"Content-Length: \xb2\r\n\r\nab"),
    ("two lengths", OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("two lengths in a list", OK + b"Content-Length: 1, 2\r\n\r\nab"),
    ("an endless length", OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"),
    ("a length of 2^64 and one", OK + b"Content-Length: 18446744073709551617\r\n\r\na"),
    ("both framings", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both framings, the other way", OK + b"Transfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\na"),
    ("both framings, an empty length", OK + b"Transfer-Encoding: chunked\r\nContent-Length:\r\n\r\n0\r\n\r\n"),
    ("chunked in 1.0", OLD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in two fields", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked with a parameter", OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("parameters of nothing", OK + b"Transfer-Encoding: ;q=1, chunked\r\n\r\n0\r\n\r\n"),
    ("an open quote", OK + b'Transfer-Encoding: x;a="b, chunked\r\n\r\n0\r\n\r\n'),
    ("an escaped end", OK + b'Transfer-Encoding: x;a="b\\\r\n\r\n0\r\n\r\n'),
    ("no chunk size", CHUNKED + b"\r\n0\r\n\r\n"),
    ("a chunk size of words", CHUNKED + b"xyz\r\n"),
    ("a chunk size with 0x", CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n"),
    ("a blank before a chunk size", CHUNKED + b" 2\r\nab\r\n0\r\n\r\n"),
    ("a blank after a chunk size", CHUNKED + b"2 \r\nab\r\n0\r\n\r\n"),
    ("a chunk size of two words", CHUNKED + b"2 0\r\nab\r\n0\r\n\r\n"),
    ("a negative chunk size", CHUNKED + b"-2\r\nab\r\n0\r\n\r\n"),
    ("a chunk size of 2^64 and two", CHUNKED + b"10000000000000002\r\nab\r\n0\r\n\r\n"),
    ("an endless chunk size", CHUNKED + b"f" * 5000 + b"\r\n"),
    ("CR in an extension", CHUNKED + b"2;a\rb\r\nab\r\n0\r\n\r\n"),
    ("LF after a chunk size", CHUNKED + b"2\nab\r\n0\r\n\r\n\r\n"),
    ("a chunk that is longer", CHUNKED + b"2\r\nabc\r\n0\r\n\r\n"),
    ("a chunk that ends with LF", CHUNKED + b"2\r\nab\n0\r\n\r\n"),
    ("a trailer without colon", CHUNKED + b"0\r\nno colon\r\n\r\n"),
    ("a trailer that begins folded", CHUNKED + b"0\r\n x: y\r\n\r\n"),
    ("NUL in a trailer", CHUNKED + b"0\r\nx: y\0\r\n\r\n"),
]

CUT_OFF: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("the status line", b"HTTP/1.1 20"),
    ("a field's name", OK + b"Content-Le"),
    ("the last LF", OK + b"Content-Length: 2\r\n\r"),
    ("the body", OK + b"Content-Length: 3\r\n\r\nab"),
    ("only an interim one", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ("a chunk", CHUNKED + b"3\r\nab"),
    ("the last chunk", CHUNKED + b"2\r\nab\r\n"),
    ("the trailers", CHUNKED + b"2\r\nab\r\n0\r\nX: y\r\n"),
    ("the end of no trailers", CHUNKED + b"2\r\nab\r\n0\r\n\r"),
]
