"""Where one request ends and the next begins: bodies, pieces, pipelines."""

from __future__ import annotations

import time

from .check import BODY, Site, expect, keeps
from .talk import Broken, Talk, render

BODY_MOST = 65536
EVERY_BYTE = bytes(range(256))
PIECE_S = 0.003  # between two segments: long enough for a server on one core to have read the first
SPLITS_PER_TALK = 60
CHUNKED = "Transfer-Encoding: chunked\r\n"


def pattern(length: int, seed: int) -> bytes:
    """Return bytes that repeat nothing within a few KiB, so that a lost or doubled piece shows."""
    block = b"".join((seed + number * 2654435761 & 0xFFFFFFFF).to_bytes(4, "big") for number in range(1031))
    return (block * (length // len(block) + 1))[:length]


def in_chunks(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


def post_chunked(body: bytes) -> bytes:
    return render("/echo", "POST", headers=CHUNKED) + body


@keeps("echo")
def echo(site: Site) -> str:
    bodies = (
        b"",
        b"x",
        EVERY_BYTE,
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        pattern(1461, 1),
        pattern(BODY_MOST - 1, 2),
        pattern(BODY_MOST, 3),
    )
    with site.talk() as talk:
        for body in bodies:
            expect(talk, talk.ask("/echo", "POST", body=body), 200, body)
    return f"{len(bodies)} bodies of 0 to {BODY_MOST} bytes"


@keeps("echo-too-large")
def echo_too_large(site: Site) -> str:
    for length in (BODY_MOST + 1, 10**9):
        with site.talk() as talk:  # nothing of the body is sent: the head says enough
            talk.send(render("/echo", "POST", headers=f"Content-Length: {length}\r\n"))
            expect(talk, talk.reply(), 413, None, f"Content-Length {length}")
    with site.talk() as talk:
        talk.try_send(render("/echo", "POST", body=pattern(BODY_MOST + 1, 4)))
        expect(talk, talk.reply(), 413, None, "the body sent with the head")
    site.still_serves()
    return "413"


@keeps("chunked-echo")
def chunked_echo(site: Site) -> str:
    full = pattern(BODY_MOST, 5)
    parts = [full[at : at + 97] for at in range(0, BODY_MOST, 97)]
    cases = {
        "one chunk": (in_chunks(b"hello"), b"hello"),
        "no chunk": (in_chunks(), b""),
        "every byte": (in_chunks(EVERY_BYTE, b"\r\n0\r\n\r\n"), EVERY_BYTE + b"\r\n0\r\n\r\n"),
        "extensions": (b'5;a=b\r\nhello\r\n3;c="d e"\r\n, w\r\n0;last\r\n\r\n', b"hello, w"),
        "trailers": (in_chunks(b"hello", trailers=b"X-Sum: 1\r\nX-More: two\r\n"), b"hello"),
        "capital and leading zeros": (b"00A\r\n0123456789\r\n0a\r\nabcdefghij\r\n000\r\n\r\n", b"0123456789abcdefghij"),
        "one byte each": (in_chunks(*[full[at : at + 1] for at in range(1000)]), full[:1000]),
        f"{len(parts)} chunks of {BODY_MOST} bytes": (in_chunks(*parts), full),
        f"one chunk of {BODY_MOST} bytes": (in_chunks(full), full),
    }
    with site.talk() as talk:
        for name, (sent, body) in cases.items():
            talk.send(post_chunked(sent))
            expect(talk, talk.reply(), 200, body, name)
    return ", ".join(cases)


@keeps("chunked-too-large")
def chunked_too_large(site: Site) -> str:
    full = pattern(BODY_MOST, 6)
    for name, sent in {
        "one byte more, in a chunk of its own": in_chunks(full, b"x"),
        "one chunk": in_chunks(full + b"x"),
        "many": in_chunks(*[full[:1000]] * 66),
    }.items():
        with site.talk() as talk:
            talk.try_send(post_chunked(sent))
            expect(talk, talk.reply(), 413, None, name)
    with site.talk() as talk:
        talk.try_send(post_chunked(b"100000005\r\nhello\r\n" + full))
        reply = talk.reply()
        if reply.status not in (400, 413):
            raise Broken("413 or 400 for a size that is 5 in 32 bits", str(reply), talk)
    site.still_serves()
    return "413"


@keeps("unwanted-body")
def unwanted_body(site: Site) -> str:
    """A GET with a body, and a POST where none is taken: the body is a request's text, and must not be answered."""
    inner = b"GET /nothing-here HTTP/1.1\r\nHost: lab\r\n\r\n"
    cases = (
        (render("/plain", body=inner), 200),
        (render("/plain", headers=CHUNKED) + in_chunks(inner), 200),
        (render("/plain", "POST", body=inner), 405),
    )
    for request, status in cases:
        with site.talk() as talk:
            talk.send(request + render("/echo", "POST", body=b"next"))
            first = talk.reply()
            # Refusing a body by 4xx and closing is as safe as reading it.
            if first.status != status and not (400 <= first.status < 500 and first.says_close):
                raise Broken(f"{status}, or 4xx and the end", str(first), talk)
            if first.says_close:
                talk.expect_end()
            else:
                expect(talk, talk.reply(), 200, b"next", "the request behind the body")
    return "read or refused, never answered"


@keeps("expect-continue")
def expect_continue(site: Site) -> str:
    with site.talk() as talk:
        for body, headers in ((b"hello", "Content-Length: 5\r\n"), (in_chunks(b"hello"), CHUNKED)):
            talk.send(render("/echo", "POST", headers=headers + "Expect: 100-continue\r\n"))
            expect(talk, talk.reply(), 100, b"", "before the body is sent")
            talk.send(body)
            expect(talk, talk.reply(), 200, b"hello", "after the body")
    return "100, then 200"


@keeps("pipelined-ten")
def pipelined_ten(site: Site) -> str:
    wanted: list[tuple[bytes, int, bytes | None]] = []
    for number in range(10):
        mine = b"%d-%b" % (number, b"x" * number * 11)
        if number % 3 == 2:
            wanted.append((render("/plain"), 200, BODY))
        elif number == 4:
            wanted.append((render("/nothing-here"), 404, None))
        elif number == 6:
            wanted.append((post_chunked(in_chunks(mine[:1], mine[1:])), 200, mine))
        else:
            wanted.append((render("/echo", "POST", body=mine), 200, mine))
    with site.talk() as talk:
        talk.send(b"".join(request for request, _, _ in wanted))
        for number, (_, status, body) in enumerate(wanted):
            expect(talk, talk.reply(), status, body, f"reply {number + 1} of 10")
        talk.expect_silence(0.1, "ten replies to ten requests")
    return "in order"


@keeps("pipelined-delay")
def pipelined_delay(site: Site) -> str:
    delay_s = 1.5
    with site.talk() as talk:
        begun_s = time.monotonic()
        talk.send(
            render("/echo", "POST", body=b"first")
            + render(f"/delay?ms={delay_s * 1000:.0f}")
            + render("/echo", "POST", body=b"third")
        )
        expect(talk, talk.reply(), 200, b"first")
        first_s = time.monotonic() - begun_s
        expect(talk, talk.reply(), 200, BODY, "the delayed reply comes second")
        second_s = time.monotonic() - begun_s
        expect(talk, talk.reply(), 200, b"third")
    if first_s >= delay_s - 0.1:
        raise Broken(f"the first reply before the {delay_s} s are over", f"after {first_s:.3f} s", talk)
    return f"after {first_s:.3f} s and {second_s:.3f} s"


def samples() -> list[tuple[bytes, bytes]]:
    """Return requests of each framing with the body of their reply."""
    return [
        (render("/plain", headers="X-Some: thing\r\n"), BODY),
        (render("/echo", "POST", body=b"with\r\n\r\nlength"), b"with\r\n\r\nlength"),
        (post_chunked(b"6;ext=1\r\nin two\r\n7\r\n chunks\r\n0\r\nX-Sum: 1\r\n\r\n"), b"in two chunks"),
    ]


@keeps("byte-by-byte")
def byte_by_byte(site: Site) -> str:
    with site.talk() as talk:
        for request, body in samples():
            talk.send_apart((request[at : at + 1] for at in range(len(request))), PIECE_S)
            expect(talk, talk.reply(), 200, body, "sent one byte per segment")
    return f"{len(samples())} requests"


@keeps("split-anywhere")
def split_anywhere(site: Site) -> str:
    """Cut each request at each byte; what is in front of it comes in the first segment as well.

    Several connections take turns, so that one pause serves all of them.
    """
    lead = render("/echo", "POST", body=b"in front")
    cuts = [(request, body, cut) for request, body in samples() for cut in range(1, len(request))]
    lanes = [cuts[at : at + SPLITS_PER_TALK] for at in range(0, len(cuts), SPLITS_PER_TALK)]
    talks: list[Talk] = []
    try:
        talks += [site.talk() for _ in lanes]
        for turn in range(SPLITS_PER_TALK):
            now = [(talk, *lane[turn]) for talk, lane in zip(talks, lanes, strict=True) if turn < len(lane)]
            for talk, request, _, cut in now:
                talk.send((lead if turn % 2 else b"") + request[:cut])
            time.sleep(PIECE_S)
            for talk, request, _, cut in now:
                talk.send(request[cut:])
            for talk, request, body, cut in now:
                if turn % 2:
                    expect(talk, talk.reply(), 200, b"in front")
                expect(talk, talk.reply(), 200, body, f"cut at byte {cut} of {len(request)}")
    finally:
        for talk in talks:
            talk.sock.close()
    return f"{len(cuts)} cuts"
