"""/stats: its keys, and whether its counts are those of a workload that is known exactly."""

from __future__ import annotations

import time

from .check import Site, counted, expect, keeps
from .talk import Broken, Talk, render
from .waiting import settled

COUNTS = ("accepted", "active", "held", "requests", "open_fds", "threads")
SEEN_S = 5.0


@keeps("stats")
def stats(site: Site) -> str:
    with site.talk() as talk:
        reply = talk.ask("/stats")
        if reply.header("content-type") != "application/json":
            raise Broken("Content-Type: application/json", repr(reply.header("content-type")), talk)
        told = site.stats(talk)
        if told.get("variant") != site.told.variant:
            raise Broken(f'"variant": "{site.told.variant}"', repr(told.get("variant")), talk)
        for key in COUNTS:
            value = told.get(key, "missing")
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise Broken(f"{key}: a count or null", repr(value), talk)
        errors = told.get("errors", "missing")
        right = errors is None or (
            isinstance(errors, dict)
            and all(name.startswith("E") and isinstance(count, int) for name, count in errors.items())
        )
        if not right:
            raise Broken("errors: errno names with counts, or null", repr(errors), talk)
        instance = told.get("instance", "missing")
        if instance is not None and (isinstance(instance, bool) or not isinstance(instance, int)):
            raise Broken("instance: a number or null", repr(instance), talk)
    return ", ".join(f"{key} {told[key]}" for key in COUNTS)


@keeps("stats-connections")
def stats_connections(site: Site) -> str:
    """Seven connections of different fates; the watching one was there before."""
    with site.talk() as watch:
        counted(site.stats(watch), "accepted")
        active = settled(site, watch, "active")
        accepted = counted(site.stats(watch), "accepted")
        silent = [site.talk() for _ in range(3)]
        asking = [site.talk() for _ in range(3)]
        try:
            for talk in asking:
                expect(talk, talk.ask("/plain"), 200)
            with site.talk() as closing:
                expect(closing, closing.ask("/plain", headers="Connection: close\r\n"), 200)
                closing.expect_end()
            wait_counts(site, watch, {"accepted": accepted + 7, "active": active + 6})
            for talk in asking:
                talk.sock.close()
            wait_counts(site, watch, {"accepted": accepted + 7, "active": active + 3})
        finally:
            for talk in silent + asking:
                talk.sock.close()
        wait_counts(site, watch, {"accepted": accepted + 7, "active": active})
    return "7 accepted, 6, 3 and 0 of them active"


@keeps("stats-requests")
def stats_requests(site: Site) -> str:
    """Twelve well-formed requests, whatever their answer, and two that are not. The questions count themselves."""
    with site.talk() as watch:
        first = counted(site.stats(watch), "requests")
        second = counted(site.stats(watch), "requests")
        if second != first + 1:
            raise Broken(f"requests {first + 1} at the next question", f"{second}", watch)
        with site.talk() as talk:
            for path, status in (("/plain", 200), ("/plain?x=1", 200), ("/nothing-here", 404)):
                expect(talk, talk.ask(path), status)
            expect(talk, talk.ask("/plain", "HEAD"), 200)
            talk.send(render("/plain") * 7)
            for _ in range(7):
                expect(talk, talk.reply(), 200)
            expect(talk, talk.ask("/plain", version="1.0"), 200)
        for broken in (b"nonsense\r\n\r\n", b"\1\2\3\r\n\r\n"):
            with site.talk() as talk:
                talk.try_send(broken)
                talk.rest()
        wait_counts(site, watch, {"requests": second + 12}, asking="requests")
    return "12 more"


def wait_counts(site: Site, watch: Talk, wanted: dict[str, int], asking: str = "") -> None:
    """Wait until counts are as wanted. asking: one that each question itself raises by one."""
    deadline_s = time.monotonic() + SEEN_S
    questions = 0
    while True:
        told = site.stats(watch)
        questions += 1
        seen = {key: counted(told, key) - (questions if key == asking else 0) for key in wanted}
        if seen == wanted:
            return
        if time.monotonic() > deadline_s:
            raise Broken(f"{wanted} in /stats", f"{seen}", watch)
        time.sleep(0.02)
