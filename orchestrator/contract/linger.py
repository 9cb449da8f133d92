"""Refusals that can be read: a server that closes with unread input makes the kernel reset the connection, and the
reset can overtake the reply that says what was wrong.
"""

from __future__ import annotations

import time

from .check import Site, expect, keeps
from .crowd import compare_aborts
from .framing import CHUNKED, pattern
from .kernel import read_aborts
from .malformed import GET, HOST
from .talk import Broken, Talk, render

SENT_ON = 200_000  # bytes behind the refused head: more than one receive takes, less than any buffer is full with
NONSENSE = b"nonsense\r\n\r\n"


@keeps("lingering-close")
def lingering_close(site: Site) -> str:
    """Be refused by the head, then send the rest over half a second, and only then read."""
    cases = (
        (413, render("/echo", "POST", headers=f"Content-Length: {SENT_ON}\r\n"), pattern(SENT_ON, 8)),
        (413, render("/echo", "POST", headers=CHUNKED) + b"fffff\r\n", pattern(SENT_ON, 9)),
        (431, GET + HOST + b"X-Long: " + b"a" * 17 * 1024, b"a" * SENT_ON),
        (400, NONSENSE, pattern(SENT_ON, 10)),
    )
    for status, head, rest in cases:
        with site.talk() as talk:
            talk.send_apart([head, *(rest[at : at + SENT_ON // 10] for at in range(0, SENT_ON, SENT_ON // 10))], 0.05)
            expect(talk, talk.reply(), status, None, "read after all was sent")
            talk.finish_sending()
            talk.expect_end()
    return "413, 431 and 400, read after everything was sent"


@keeps("linger-ends")
def linger_ends(site: Site) -> str:
    """One goes on sending, one does nothing at all; neither keeps the connection for long."""
    with site.talk() as busy, site.talk() as idle:
        for talk in (busy, idle):
            talk.send(NONSENSE)
            expect(talk, talk.reply(), 400)
        begun_s = time.monotonic()
        most_s = site.told.linger_s + site.told.late_s
        while busy.try_send(b"x" * 100):
            time.sleep(0.05)
            if time.monotonic() - begun_s > most_s:
                seen = f"{most_s:g} s later it reads on"
                raise Broken(f"the end after {site.told.linger_s:g} s of discarding", seen, busy)
        took_s = time.monotonic() - begun_s
        time.sleep(max(0.0, most_s - took_s))
        if not is_gone(idle):
            raise Broken(f"the end after {site.told.linger_s:g} s", f"{most_s:g} s later it is still there", idle)
    return f"gone after {took_s:.1f} s"


def is_gone(talk: Talk) -> bool:
    """Return whether the server's side is closed for good: what is sent then is answered by a reset."""
    talk.try_send(b"x")
    time.sleep(0.2)
    return not talk.try_send(b"x")


@keeps("no-abort-on-refusal")
def no_abort_on_refusal(site: Site) -> str:
    """Be refused in every way, read it, leave: the kernel counts no abort."""
    before = read_aborts()
    refused = (
        (400, NONSENSE),
        (400, GET + b"\r\n"),
        (413, render("/echo", "POST", body=pattern(70_000, 11))),
        (431, GET + HOST + b"X-Long: " + b"a" * 40_000 + b"\r\n\r\n"),
    )
    for status, request in refused * 3:
        with site.talk() as talk:
            talk.send(request)
            expect(talk, talk.reply(), status)
            talk.finish_sending()
            talk.expect_end()
    return compare_aborts(before, read_aborts())
