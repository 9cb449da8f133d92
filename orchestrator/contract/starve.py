"""More clients than the server has descriptors: it waits, counts, and serves again."""

from __future__ import annotations

import time
from typing import Any

from .check import Site, Skipped, keeps
from .crowd import SPARE, need_descriptors
from .kernel import cpu_s, runnable_s, server_processes
from .talk import Broken, Talk, render

BEYOND = 20  # clients more than descriptors; they wait in the accept queue
TABLES_MOST = 8  # io_uring's direct descriptors: the limit is each ring's, and c-uring opens up to eight
WANTING = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")  # ENOMEM: of a ring more, by RLIMIT_MEMLOCK
QUIET_S = 0.5  # with nobody served: whoever can be has been
HELD_S = 2.0
LOOKS_MOST = 5  # while some are still served: who is slow, under a sanitizer on a busy machine, does not starve
# While nothing happens. A loop that spins takes all it is given, which may be little; but it is never not runnable.
CPU_SHARE_MOST, RUNNABLE_SHARE_MOST = 0.25, 0.6
REST_S = 0.1  # how long the listener is left alone


def starve(site: Site) -> dict[str, Any]:
    """Return what was seen while the server had no descriptor left; the first check to ask makes it happen."""
    if "starved" not in site.shared:
        site.shared["starved"] = go_hungry(site)
    seen: dict[str, Any] = site.shared["starved"]
    if not seen["unserved"]:
        raise Skipped(f"all {seen['clients']} clients were served: the limit of {site.told.nofile} was never reached")
    return seen


def go_hungry(site: Site) -> dict[str, Any]:
    if site.told.nofile is None:
        raise Skipped("no nofile was told: start the server with a low ulimit -n, and tell it")
    limit = site.told.nofile * site.told.processes
    need_descriptors(limit * TABLES_MOST + BEYOND + SPARE)
    talks: list[Talk] = []
    with site.talk() as watch:
        before = errors_of(site, watch)
        try:
            begun_s = time.monotonic()
            for clients in (limit + BEYOND, limit * TABLES_MOST + BEYOND):
                new = [site.talk() for _ in range(clients - len(talks))]
                talks += new
                for talk in new:
                    talk.try_send(render("/plain"))
                if await_quiet(new):
                    break
            pids = server_processes(site.told.host, site.told.port)
            for _ in range(LOOKS_MOST):
                waiting = len(without_answer(talks))
                cpu_before_s, runnable_before_s, quiet_s = cpu_s(pids), runnable_s(pids), time.monotonic()
                time.sleep(HELD_S)
                cpu_taken_s, runnable_after_s, quiet_s = cpu_s(pids), runnable_s(pids), time.monotonic() - quiet_s
                cpu_taken_s -= cpu_before_s
                unserved = len(without_answer(talks))
                if unserved == waiting:
                    break
            site.last = watch
            after, took_s = errors_of(site, watch), time.monotonic() - begun_s
        finally:
            for talk in talks:
                talk.sock.close()
    return {
        "clients": len(talks),
        "unserved": unserved,
        "took_s": took_s,
        "cpu_share": cpu_taken_s / quiet_s if pids else None,
        "runnable_share": max(
            (after_s - runnable_before_s.get(thread, 0.0) for thread, after_s in runnable_after_s.items()), default=0.0
        )
        / quiet_s,
        "counted": None if before is None or after is None else after - before,
    }


def await_quiet(talks: list[Talk]) -> int:
    """Return how many have no answer, once all have or nobody was given one for QUIET_S."""
    left, end_s = len(talks), time.monotonic() + QUIET_S
    while left and time.monotonic() < end_s:
        before, left = left, len(without_answer(talks))
        if left < before:
            end_s = time.monotonic() + QUIET_S
    return left


def without_answer(talks: list[Talk]) -> list[Talk]:
    """Return those that have received nothing up to now."""
    return [talk for talk in talks if not talk.received.total and talk.receive(time.monotonic() + 0.001) in (None, b"")]


def errors_of(site: Site, watch: Talk) -> int | None:
    """Return how often accept failed for want of a descriptor or what it takes, None where /stats does not tell."""
    if "stats" in site.told.lacks:
        return None
    errors = site.stats(watch).get("errors")
    return None if errors is None else sum(int(errors.get(name, 0)) for name in WANTING)


@keeps("emfile-survived")
def emfile_survived(site: Site) -> str:
    seen = starve(site)

    def serves() -> str | None:
        try:
            site.still_serves()
        except Broken as broken:
            return broken.seen
        return None

    site.wait_for("/plain served once the clients have gone", serves)
    return f"{seen['unserved']} of {seen['clients']} clients had to wait; then served as ever"


@keeps("emfile-counted")
def emfile_counted(site: Site) -> str:
    seen = starve(site)
    if seen["counted"] is None:
        raise Skipped("/stats: errors is null: it cannot be counted here")
    most = int((seen["took_s"] / REST_S + 2) * site.told.processes)
    if not 1 <= seen["counted"] <= most:
        raise Broken(f"EMFILE counted 1 to {most} times in {seen['took_s']:.1f} s", f"{seen['counted']} times")
    return f"{seen['counted']} times in {seen['took_s']:.1f} s"


@keeps("emfile-no-spin")
def emfile_no_spin(site: Site) -> str:
    seen = starve(site)
    share, runnable = seen["cpu_share"], seen["runnable_share"]
    if share is None:
        raise Skipped("the server's processes cannot be seen from here")
    told = f"{share:.0%} of a processor, one thread runnable {runnable:.0%} of the time"
    if share > CPU_SHARE_MOST or runnable > RUNNABLE_SHARE_MOST:
        most = f"at most {CPU_SHARE_MOST:.0%} of a processor, no thread runnable more than {RUNNABLE_SHARE_MOST:.0%}"
        raise Broken(f"{most}, while out of descriptors", told)
    return told
