"""What one request and its reply show: bytes, headers, statuses, and that no reply is an old one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from .check import BODY, Site, expect, keeps
from .talk import Broken, Reply, Talk, render

DATE_OLD_S = 2.0  # "not older than a second or so", and the reading takes a moment
NOT_ROUTES = ("/", "/nothing-here", "/plainx", "/plain/x", "/PLAIN", "/stats.json")


@keeps("plain")
def plain(site: Site) -> str:
    with site.talk() as talk:
        reply = talk.ask("/plain")
        expect(talk, reply, 200, BODY)
        for name, wanted in (("content-type", "text/plain"), ("content-length", "13"), ("transfer-encoding", None)):
            if reply.header(name) != wanted:
                raise Broken(f"{name}: {wanted or 'none'}", repr(reply.header(name)), talk)
        if reply.version != "HTTP/1.1":
            raise Broken("HTTP/1.1", reply.version, talk)
        for name in ("server", "date"):
            if len(reply.all(name)) != 1:
                raise Broken(f"one header {name}", repr(reply.all(name)), talk)
    return str(reply)


@keeps("server-name")
def server_name(site: Site) -> str:
    with site.talk() as talk:
        for path in ("/plain", "/nothing-here"):
            seen = talk.ask(path).header("server")
            if seen != site.told.variant:
                raise Broken(f"Server: {site.told.variant} on {path}", repr(seen), talk)
    return site.told.variant


@keeps("date-advances")
def date_advances(site: Site) -> str:
    with site.talk() as talk:
        first = read_date(talk, talk.ask("/plain"))
    time.sleep(2.2)  # so that a second and a bit lie between any two dates that may be shown
    with site.talk() as talk:
        second = read_date(talk, talk.ask("/plain"))
        if second <= first:
            raise Broken("a later Date after 2.2 s", f"{first:%H:%M:%S}, then {second:%H:%M:%S}", talk)
    return f"{first:%H:%M:%S}, then {second:%H:%M:%S}"


def read_date(talk: Talk, reply: Reply) -> datetime:
    """Return a reply's Date. Raises Broken when it is none (RFC 9110, 5.6.7, the form to send) or not of now."""
    text = reply.header("date") or ""
    try:
        date = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        raise Broken("a Date like Sun, 06 Nov 1994 08:49:37 GMT", repr(text), talk) from None
    now = datetime.now(UTC)
    if date.strftime("%a, %d %b %Y %H:%M:%S GMT") != text:
        raise Broken("a Date of the right weekday and width", repr(text), talk)
    if not timedelta(seconds=-DATE_OLD_S) <= now - date <= timedelta(seconds=DATE_OLD_S + 1):  # +1: Date is cut to s
        raise Broken(f"a Date of now, {now:%H:%M:%S}", repr(text), talk)
    return date


@keeps("no-cache")
def no_cache(site: Site) -> str:
    """The same request with another body or query gets another answer, on one connection and on two."""
    for bodies in ((b"one", b"two"), (b"two", b"one")):
        with site.talk() as talk:
            for body in bodies:
                expect(talk, talk.ask("/echo", "POST", body=body), 200, body)
                expect(talk, talk.ask(f"/plain?{body.decode()}=1&ms=7"), 200, BODY, "a query changes nothing")
    long = b"x" * 3000
    with site.talk() as talk:
        expect(talk, talk.ask("/echo", "POST", body=long), 200, long)
        expect(talk, talk.ask("/echo", "POST", body=b"short"), 200, b"short", "nothing of the longer one before")
        expect(talk, talk.ask("/nothing-here"), 404)
        expect(talk, talk.ask("/plain"), 200, BODY, "after a 404")
    return "each its own"


@keeps("healthz")
def healthz(site: Site) -> str:
    wanted = site.told.nonce
    with site.talk() as talk:
        reply = talk.ask("/healthz")
        expect(talk, reply, 200)
        shown = reply.header("lab-nonce")
        if wanted != "" and shown != wanted:
            raise Broken(f"Lab-Nonce: {wanted}" if wanted else "no Lab-Nonce: none was told", repr(shown), talk)
        elsewhere = talk.ask("/plain").header("lab-nonce")
        if elsewhere is not None:
            raise Broken("Lab-Nonce on /healthz only", f"{elsewhere!r} on /plain", talk)
    return f"200, nonce {shown}"


@keeps("head")
def head(site: Site) -> str:
    with site.talk() as talk:
        got = talk.ask("/plain")
        reply = talk.ask("/plain", "HEAD")
        expect(talk, reply, 200)
        for name in ("content-type", "content-length"):
            if reply.header(name) != got.header(name):
                raise Broken(f"{name}: {got.header(name)}, as to GET", repr(reply.header(name)), talk)
        # A body that was sent after all would be read as the next reply's head.
        expect(talk, talk.ask("/nothing-here", "HEAD"), 404)
        expect(talk, talk.ask("/plain"), 200, BODY, "the reply after two to HEAD")
        talk.send(render("/plain", "HEAD", headers="Connection: close\r\n"))
        expect(talk, talk.reply("HEAD"), 200)
        talk.expect_end()
    return str(reply)


@keeps("not-found")
def not_found(site: Site) -> str:
    with site.talk() as talk:
        for path in NOT_ROUTES:
            expect(talk, talk.ask(path), 404, None, path)
        expect(talk, talk.ask("/plain"), 200, BODY, "the connection goes on")
    return "404"


@keeps("method-not-allowed")
def method_not_allowed(site: Site) -> str:
    for method, path in (
        ("DELETE", "/plain"),
        ("POST", "/plain"),
        ("PUT", "/plain"),
        ("GET", "/echo"),
        ("HEAD", "/echo"),
    ):
        with site.talk() as talk:
            body = b"" if method in ("POST", "PUT") else None
            expect(talk, talk.ask(path, method, body=body), 405, None, f"{method} {path}")
    return "405"


@keeps("header-forms")
def header_forms(site: Site) -> str:
    """Names in any case; no space, spaces and tabs around a value; an empty value; bytes beyond ASCII."""
    with site.talk() as talk:
        talk.send(
            b"POST /echo HTTP/1.1\r\nhOsT:lab\r\ncONTENT-lENGTH: \t 5 \t\r\n"
            b"X-Empty:\r\nX-High: \xc3\xa9\xff\r\n\r\nhello"
        )
        expect(talk, talk.reply(), 200, b"hello", "Content-Length in mixed case and with spaces")
        talk.send(b"POST /echo HTTP/1.1\r\nHOST: lab\r\nTRANSFER-ENCODING:chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        expect(talk, talk.reply(), 200, b"hello", "Transfer-Encoding in capitals")
        talk.send(b"GET /plain HTTP/1.1\r\nhost: lab\r\nconnection:\tCLOSE\r\n\r\n")
        expect(talk, talk.reply(), 200, BODY)
        talk.expect_end()
    return "understood"


@keeps("head-below-16k")
def head_below_16k(site: Site) -> str:
    start = "GET /plain HTTP/1.1\r\nHost: lab\r\n"
    one_line = f"{start}X-Long: {'a' * (16000 - len(start) - 12)}\r\n\r\n"
    many_lines = start + "".join(f"X-{number}: {'b' * 1000}\r\n" for number in range(15)) + "\r\n"
    with site.talk() as talk:
        for text in (one_line, many_lines):
            talk.send(text.encode())
            expect(talk, talk.reply(), 200, BODY, f"a head of {len(text)} bytes")
    return f"{len(one_line)} and {len(many_lines)} bytes served"
