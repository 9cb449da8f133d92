"""Many clients at once, and very many one after another: nobody gets another's bytes, nothing is left behind.

All endings here are clean ones, so that whatever the kernel counts as aborted is the server's doing.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .check import BODY, Site, Skipped, counted, expect, keeps
from .framing import CHUNKED, in_chunks, pattern
from .kernel import descriptor_count, listeners, read_aborts, server_processes, thread_count
from .talk import Broken, Talk, render

BATCH_MOST = 500  # connections open at once while 10,000 come and go; a thread each is ordinary
SPARE = 50  # descriptors of our own beside the crowd's
# A runtime may start a thread or open a file of its own at any time; a leak by the connection is far more than that.
DESCRIPTORS_SLACK, THREADS_SLACK = 4, 8
ARRIVALS = 32  # between two looks at the accept queue; below any backlog that makes sense
TAKEN_IN_S = 1.0
STEADY_S = 2.0  # that the count of several processes must not change to be what is left
SETTLED_S = 0.5  # for the server to close what a failed part has left
BACK_S = 15.0  # for the server to notice the last of those who left, on a busy machine


@keeps("echo-crowd")
def echo_crowd(site: Site) -> str:
    """Everybody connects, then everybody sends half, then the other half: all requests are under way at once."""
    crowd = site.told.crowd
    need_descriptors(crowd + SPARE)
    with counting_only_whole_parts(site):
        exchange_halves(site, crowd)
    return f"{crowd} clients, each its own bytes"


def exchange_halves(site: Site, crowd: int) -> None:
    parts = [halves(number) for number in range(crowd)]
    talks: list[Talk] = []
    try:
        arrive(site, crowd, talks)
        for half in (0, 1):
            for talk, part in zip(talks, parts, strict=True):
                talk.send(part[half])
        for number, (talk, part) in enumerate(zip(talks, parts, strict=True)):
            expect(talk, talk.reply(), 200, part[2], f"client {number} of {crowd}")
        for talk in talks:
            talk.finish_sending()
            talk.expect_end()
    finally:
        for talk in talks:
            talk.sock.close()


@contextmanager
def counting_only_whole_parts(site: Site) -> Iterator[None]:
    """Let no-aborts begin anew behind a part that failed: we then left replies unread, which aborts connections too."""
    try:
        yield
    except Broken:
        time.sleep(SETTLED_S)
        site.shared["aborts"] = read_aborts()
        raise


def halves(number: int) -> tuple[bytes, bytes, bytes]:
    """Return one client's request in two parts, and its body; every third is chunked."""
    body = b"%06d:" % number + pattern(40 + number * 37 % 3000, number)
    if number % 3:
        whole = render("/echo", "POST", body=body)
    else:
        whole = render("/echo", "POST", headers=CHUNKED) + in_chunks(body[:17], body[17:])
    cut = len(whole) - len(body) // 2
    return whole[:cut], whole[cut:], body


def arrive(site: Site, count: int, talks: list[Talk]) -> None:
    """Add that many new connections to `talks`, no faster than the server takes them in.

    A SYN beyond the backlog is dropped and sent again a second later, which would only make the act long.
    """
    for number in range(count):
        if number % ARRIVALS == ARRIVALS - 1:
            wait_until_taken_in(site)
        talks.append(site.talk(patience_s=3 * site.told.patience_s))


def wait_until_taken_in(site: Site) -> None:
    deadline_s = time.monotonic() + TAKEN_IN_S
    while any(one.queued for one in listeners(site.told.host, site.told.port)) and time.monotonic() < deadline_s:
        time.sleep(0.0005)


def need_descriptors(count: int) -> None:
    """Raise our own limit where that is allowed. Raises Skipped where it is not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Skipped(f"the suite itself may open only {hard} descriptors; {count} are needed. Try: ulimit -n {count}")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@keeps("descriptors-back")
def descriptors_back(site: Site) -> str:
    return came_back(site, "open_fds", DESCRIPTORS_SLACK, "descriptors")


@keeps("threads-back")
def threads_back(site: Site) -> str:
    return came_back(site, "threads", THREADS_SLACK, "threads")


def came_back(site: Site, key: str, slack: int, what: str) -> str:
    """Compare a count before and after the connections, which the first check to ask makes for both."""
    if "before" not in site.shared:
        with counting_only_whole_parts(site):
            come_and_go(site, BATCH_MOST)  # a pool that grows to what is open at once is no leak
            before = [settle(site, count, {}) for count in ("open_fds", "threads")]
            come_and_go(site, site.told.connections)
        site.shared["before"] = before
    counts: dict[str, int] = site.shared["before"][("open_fds", "threads").index(key)]
    if not counts:
        raise Skipped(f"/stats has null for {key}, and the server's processes cannot be seen from here")
    after = settle(site, key, {source: count + slack for source, count in counts.items()})
    for source, count in counts.items():
        if after[source] > count + slack:
            seen = f"{after[source]} after {site.told.connections} connections"
            raise Broken(f"{count} {what} as before ({source})", seen)
    return ", ".join(f"{source}: {count} before, {after[source]} after" for source, count in counts.items())


def settle(site: Site, key: str, most: dict[str, int]) -> dict[str, int]:
    """Return a count from each source that has it, once none is above `most` or falls further, or BACK_S is over.

    What several processes hold must be the same for STEADY_S: who lets surplus ones go does so one after the other.
    """
    seen: list[dict[str, int]] = []
    steady_s = STEADY_S if len(server_processes(site.told.host, site.told.port)) > 1 else 0.0
    since_s = time.monotonic()

    def not_settled() -> str | None:
        nonlocal since_s
        seen.append(measure(site, key))
        if most:
            return None if all(seen[-1].get(source, 0) <= count for source, count in most.items()) else "more"
        if seen[-1] != seen[-2:][0]:
            since_s = time.monotonic()
        is_steady = len(seen) > 5 and all(one == seen[-1] for one in seen[-5:])
        return None if is_steady and time.monotonic() - since_s >= steady_s else "changing"

    try:
        site.wait_for("a steady count", not_settled, BACK_S)
    except Broken as broken:
        if broken.talk is not None:
            raise
    return seen[-1]


def measure(site: Site, key: str) -> dict[str, int]:
    """Return what /proc and /stats say. Of several processes /stats may show any one's: then only /proc counts."""
    found = {}
    pids = server_processes(site.told.host, site.told.port)
    if pids:
        found["/proc"] = (descriptor_count if key == "open_fds" else thread_count)(pids)
    if site.told.processes == 1:
        told = site.stats()
        if told.get(key) is not None:
            found["/stats"] = counted(told, key)
    return found


def come_and_go(site: Site, connections: int) -> None:
    """Open that many connections, some hundreds at a time; each ends in one of the ordinary ways."""
    batch = min(BATCH_MOST, site.told.crowd)
    need_descriptors(batch + SPARE)
    endings = [ask_and_leave, ask_to_close, ask_as_http10, say_nothing, ask_twice]
    if "delay-left-fin" not in site.told.lacks:  # declared once, it must not fail here too
        endings.append(leave_a_delay)
    for start in range(0, connections, batch):
        talks: list[Talk] = []
        try:
            arrive(site, min(batch, connections - start), talks)
            for number, talk in enumerate(talks):
                talk.send(endings[number % len(endings)](talk, is_first=True))
            for number, talk in enumerate(talks):
                endings[number % len(endings)](talk, is_first=False)
        finally:
            for talk in talks:
                talk.sock.close()


def ask_and_leave(talk: Talk, *, is_first: bool) -> bytes:
    if not is_first:
        expect(talk, talk.reply(), 200, BODY)
    return render("/plain")


def ask_to_close(talk: Talk, *, is_first: bool) -> bytes:
    if not is_first:
        expect(talk, talk.reply(), 200, BODY)
        talk.expect_end()
    return render("/plain", headers="Connection: close\r\n")


def ask_as_http10(talk: Talk, *, is_first: bool) -> bytes:
    if not is_first:
        expect(talk, talk.reply(), 200, BODY)
        talk.expect_end()
    return render("/plain", version="1.0")


def say_nothing(talk: Talk, *, is_first: bool) -> bytes:
    return b""


def ask_twice(talk: Talk, *, is_first: bool) -> bytes:
    if not is_first:
        expect(talk, talk.reply(), 200, BODY)
        expect(talk, talk.reply("HEAD"), 404)
    return render("/plain") + render("/nothing-here", "HEAD")


def leave_a_delay(talk: Talk, *, is_first: bool) -> bytes:
    if not is_first:
        talk.finish_sending()
        talk.expect_end()
    return render("/delay?ms=120000")


@keeps("no-aborts")
def no_aborts(site: Site) -> str:
    """Compare the counters with those at the start of the act: the crowds before count too."""
    with site.talk() as talk:
        for body in (b"", b"x", pattern(65536, 7)):
            expect(talk, talk.ask("/echo", "POST", body=body), 200, body)
    come_and_go(site, 60)
    before: dict[str, int] = site.shared["aborts"]
    return compare_aborts(before, read_aborts())


def compare_aborts(before: dict[str, int], after: dict[str, int]) -> str:
    """Raises Broken when a counter has grown. Both are this network namespace's."""
    grown: dict[str, Any] = {name: after[name] - count for name, count in before.items() if after[name] != count}
    if grown or not before:
        raise Broken("TCPAbortOn* unchanged", f"{grown or 'no such counters'}")
    return f"{len(before)} counters unchanged"
