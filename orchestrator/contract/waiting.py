"""/delay, /hold and /release: who waits how long, and what becomes of those who leave."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from .check import BODY, Site, counted, expect, keeps
from .talk import Broken, Talk, render

EARLY_S = 0.002  # a timer may round a millisecond down, and the client's clock starts before the server's
CROWD = 20
FREED_S = 5.0  # "at once", on a machine that may be busy
BAD_MS = ("", "?", "?ms=", "?ms=-1", "?ms=120001", "?ms=1e3", "?ms=1.5", "?ms=abc", "?ms=5x", "?ms=0x10",
          "?ms=99999999999", "?ms=18446744073709551617", "?sm=5")  # fmt: skip


@keeps("delay")
def delay(site: Site) -> str:
    took = []
    with site.talk() as talk:
        for ms in (0, 1, 120, 700):
            begun_s = time.monotonic()
            expect(talk, talk.ask(f"/delay?ms={ms}"), 200, BODY, f"ms={ms}")
            took.append(time.monotonic() - begun_s)
            if took[-1] < ms / 1000 - EARLY_S:
                raise Broken(f"a reply after {ms} ms", f"after {took[-1] * 1000:.1f} ms", talk)
        expect(talk, talk.ask("/delay?other=1&ms=3&more=2"), 200, BODY, "ms among other parameters")
    with site.talk() as talk:
        talk.send(render("/delay?ms=120000"))
        talk.expect_silence(1.0, "120000 ms are waited for")
    return ", ".join(f"{seconds * 1000:.0f} ms" for seconds in took)


@keeps("delay-bounds")
def delay_bounds(site: Site) -> str:
    for query in BAD_MS:
        with site.talk() as talk:
            expect(talk, talk.ask(f"/delay{query}"), 400, None, f"/delay{query}")
    return "400"


@keeps("delay-left-fin")
def delay_left_fin(site: Site) -> str:
    """End of input alone counts: the client still listens, and sees the connection end."""
    with site.talk() as talk:
        talk.send(render("/delay?ms=120000"))
        talk.expect_silence(0.2, "120000 ms are waited for")
        talk.finish_sending()
        talk.expect_end(FREED_S)
    if "stats" in site.told.lacks:
        return "the connection ended"
    return left(site, "/delay?ms=120000", Talk.finish_sending, "active")


@keeps("delay-left-rst")
def delay_left_rst(site: Site) -> str:
    before = resets(site)
    seen = left(site, "/delay?ms=120000", Talk.reset, "active")
    if before is None:  # errors are null: it counts none
        return seen

    def uncounted() -> str | None:
        now = resets(site)
        return None if now is not None and now > before else f"ECONNRESET {now}"

    site.wait_for(f"more than {before} ECONNRESET among the errors of /stats after {CROWD} resets", uncounted, FREED_S)
    return seen


def resets(site: Site) -> int | None:
    """Return how many resets /stats has counted, None where its errors are null."""
    errors = site.stats().get("errors")
    return None if errors is None else int(errors.get("ECONNRESET", 0))


@keeps("hold-left")
def hold_left(site: Site) -> str:
    seen = [
        left(site, "/hold", leave, key) for leave in (Talk.finish_sending, Talk.reset) for key in ("active", "held")
    ]
    with site.talk() as talk:
        expect(talk, talk.ask("/release", "POST", body=b""), 200, None, "/release afterwards")
        expect(talk, talk.ask("/plain"), 200, BODY)
    return seen[-1]


def left(site: Site, path: str, leave: Callable[[Talk], None], key: str) -> str:
    """Let a crowd ask for `path` and leave; see `key` of /stats grow and fall back."""
    with site.talk() as watch:
        before = settled(site, watch, key)
        crowd: list[Talk] = []
        try:
            for _ in range(CROWD):
                crowd.append(site.talk())
                crowd[-1].send(render(path))
            wait_count(site, watch, key, before + CROWD, f"{CROWD} wait in {path}")
            time.sleep(0.1)  # counted as open is not yet asked
            for talk in crowd:
                leave(talk)
            wait_count(site, watch, key, before, f"{CROWD} have left {path} by {leave.__name__}")
        finally:
            for talk in crowd:
                talk.sock.close()
    return f"{key} back at {before}"


def settled(site: Site, watch: Talk, key: str) -> int:
    """Return a count of /stats once nobody but the watching connection is in it, or the count that will not fall.

    Checks before this one may have left connections that the server lingers over.
    """
    least = 1 if key == "active" else 0
    deadline_s = time.monotonic() + FREED_S
    while (count := counted(site.stats(watch), key)) > least and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return count


def wait_count(site: Site, watch: Talk, key: str, wanted: int, why: str) -> None:
    """Wait until a count of /stats is as wanted."""

    def seen() -> str | None:
        now = counted(site.stats(watch), key)
        return None if now == wanted else f"{key} {now}"

    site.last = watch
    site.wait_for(f"{key} {wanted} in /stats: {why}", seen, FREED_S)


@keeps("hold")
def hold(site: Site) -> str:
    """Nobody is answered before the release, everybody after it, and a later one needs another release."""
    with site.talk() as first, site.talk() as second, site.talk() as other:
        for talk in (first, second):
            talk.send(render("/hold"))
            talk.expect_silence(0.3, "/hold waits for a release")
        expect(other, other.ask("/release", "POST", body=b""), 200)
        for talk in (first, second):
            expect(talk, talk.reply(), 200, BODY, "/hold after the release")
        first.send(render("/hold") + render("/plain"))
        first.expect_silence(0.2, "the next /hold waits again, and what is behind it too")
        expect(other, other.ask("/release", "POST", body=b""), 200)
        for _ in range(2):
            expect(first, first.reply(), 200, BODY, "/hold and /plain after the second release")
    return "answered after the release"


@keeps("release")
def release(site: Site) -> str:
    crowd: list[Talk] = []
    seen = []
    with site.talk() as other:
        try:
            for _ in range(7):
                crowd.append(site.talk())
                crowd[-1].send(render("/hold"))
            for talk in crowd:
                talk.expect_silence(0.05, "/hold waits for a release")
            for wanted in (7, 0):
                reply = other.ask("/release", "POST", body=b"")
                seen.append(read_released(other, reply.body))
                if reply.status != 200 or reply.header("content-type") != "application/json" or seen[-1] != wanted:
                    raise Broken(
                        f'200, application/json, {{"released": {wanted}}}',
                        f"{reply} as {reply.header('content-type')}",
                        other,
                    )
        finally:
            for talk in crowd:
                talk.sock.close()
    return f"released {seen}"


def read_released(talk: Talk, body: bytes) -> object:
    try:
        told = json.loads(body)
    except ValueError:
        raise Broken('{"released": n}', repr(body[:80]), talk) from None
    return told.get("released") if isinstance(told, dict) and set(told) == {"released"} else None
