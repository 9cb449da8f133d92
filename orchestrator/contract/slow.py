"""Clients that ask, send or read too slowly: each has its limit, and no more than that."""

from __future__ import annotations

import contextlib
import math
import time
from itertools import repeat

from .check import BODY, Site, expect, keeps
from .framing import CHUNKED, pattern
from .talk import Broken, Talk, render

EARLY = 0.9  # of a limit: who is closed before has been given less


def dribble(site: Site, talk: Talk, pieces: list[bytes], limit_s: float, what: str) -> str:
    """Send a piece every twentieth of the limit until the server ends it. Raises Broken when too early or too late."""
    begun_s = time.monotonic()
    least_s, most_s = limit_s * EARLY, limit_s + site.told.late_s
    for piece in [*pieces, *repeat(b"", math.ceil(most_s / limit_s * 20))]:
        with contextlib.suppress(Broken):  # already closed: the receive tells
            if piece:
                talk.send(piece)
        data = talk.receive(time.monotonic() + limit_s / 20)
        took_s = time.monotonic() - begun_s
        if data is not None and not talk.data and data:
            talk.data = data
            status = data[9:12]
            if not status.startswith(b"4"):
                raise Broken(f"{what}: 4xx or the end", repr(data[:80]), talk)
        if data == b"":
            if took_s < least_s:
                raise Broken(f"{what}: {limit_s:g} s", f"the end after {took_s:.1f} s", talk)
            site.still_serves()
            return f"the end after {took_s:.1f} s"
        if took_s > most_s:
            break
    raise Broken(f"{what}: the end after {limit_s:g} s", f"still open after {time.monotonic() - begun_s:.1f} s", talk)


@keeps("silent-client")
def silent_client(site: Site) -> str:
    with site.talk() as talk:
        return dribble(site, talk, [], site.told.head_timeout_s, "from accept to a whole head")


def slow_head() -> list[bytes]:
    return [b"GET /plain HTTP/1.1\r\nHost: lab\r\n", *(b"X-%d: a\r\n" % number for number in range(60))]


@keeps("slowloris")
def slowloris(site: Site) -> str:
    with site.talk() as talk:
        return dribble(site, talk, slow_head(), site.told.head_timeout_s, "from accept to a whole head")


@keeps("slow-second-head")
def slow_second_head(site: Site) -> str:
    with site.talk() as talk:
        expect(talk, talk.ask("/plain"), 200, BODY)
        return dribble(site, talk, slow_head(), site.told.head_timeout_s, "from a head's first byte to its last")


@keeps("idle-stays")
def idle_stays(site: Site) -> str:
    silent_s = site.told.head_timeout_s * 1.3 + 1
    with site.talk() as talk:
        expect(talk, talk.ask("/plain"), 200, BODY)
        talk.expect_silence(silent_s, "between two requests a client may stay silent")
        expect(talk, talk.ask("/plain"), 200, BODY, f"after {silent_s:g} s of silence")
    return f"served after {silent_s:g} s of silence"


@keeps("slow-body")
def slow_body(site: Site) -> str:
    with site.talk() as talk:
        talk.send(render("/echo", "POST", headers="Content-Length: 1000\r\n"))
        return dribble(site, talk, [b"x"] * 60, site.told.body_timeout_s, "for a body")


@keeps("slow-chunks")
def slow_chunks(site: Site) -> str:
    with site.talk() as talk:
        talk.send(render("/echo", "POST", headers=CHUNKED))
        return dribble(site, talk, [b"1\r\nx\r\n"] * 60, site.told.body_timeout_s, "for a chunked body")


@keeps("slow-reader")
def slow_reader(site: Site) -> str:
    """Ask for more than all buffers hold and read nothing until the limit has passed; then see the connection end.

    What was sent before the server gave up may still come; a server that has not given up would go on answering.
    """
    limit_s = site.told.body_timeout_s
    request = render("/echo", "POST", body=pattern(65536, 9))
    with site.talk(receive_buffer=4096) as talk:
        sent, has_ended = press(talk, request, limit_s, limit_s + site.told.late_s)
        deadline_s = time.monotonic() + site.told.patience_s
        while not has_ended and (data := talk.receive(deadline_s)) != b"":
            if data is None:
                seen = f"still open; {talk.received.total} bytes of replies for {sent} of requests"
                raise Broken(f"the end {limit_s:g} s after reading stopped", seen, talk)
    site.still_serves()
    return f"the end; {talk.received.total} bytes of replies for {sent} of requests"


def press(talk: Talk, request: bytes, limit_s: float, stuck_s: float) -> tuple[int, bool]:
    """Send requests until the server has taken no byte for stuck_s, or ends it; return how many went, and which it was.

    Every byte taken begins the wait anew: a server that is merely slow is not stuck yet. One that takes bytes again
    after it was stuck for as good as limit_s has given up and discards them, for up to two seconds: the end as well.
    """
    total, at, most = 0, 0, 256 << 20
    talk.sock.settimeout(stuck_s)
    while total < most:
        begun_s = time.monotonic()
        try:
            gone = talk.sock.send(request[at:])
        except TimeoutError:
            return total, False
        except ConnectionError:
            return total, True
        talk.sent.add(request[at : at + gone])
        total, at = total + gone, (at + gone) % len(request)
        if time.monotonic() - begun_s > 0.9 * limit_s:
            return total, False
    raise Broken("a server that stops reading when its replies are stuck", f"{total} bytes of requests taken", talk)
