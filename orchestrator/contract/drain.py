"""SIGTERM with work in flight.

Opens its connections, says {"ready": true}, and waits for the listener to go (or stops the server itself, where it was
told the pid). Then it watches all of them at once. Who started the server sees its exit code: `judge_exit`.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .check import BODY, Site, Skipped, expect, keeps
from .kernel import listeners, read_stat
from .talk import Broken, Reply, Talk, render

STOP_MOST_S = 20.0  # for the signal to be sent after {"ready": true}
IN_FLIGHT_SHARE = 0.5  # of LAB_DRAIN_S: how long the reply in flight takes
EXIT_SLACK_S = 1.5  # beyond LAB_DRAIN_S, for a process to end on a busy machine
HALF, OTHER_HALF = b"first half, ", b"second half"

Seen = str | Broken | Skipped


def judge_exit(code: int, took_s: float, drain_s: float) -> tuple[bool, str, str]:
    """Return whether a server ended as it should, what was expected, and what was seen. took_s: since SIGTERM."""
    right = code == 0 and took_s <= drain_s + EXIT_SLACK_S
    return right, f"exit code 0 within {drain_s:g} s", f"exit code {code} after {took_s:.1f} s"


def seen_after_stop(site: Site, id_: str) -> str:
    """Return what the check `id_` saw; the first one to ask has the server stopped, once for all of them."""
    if "drain" not in site.shared:
        site.shared["drain"] = stop_and_watch(site)
    seen: Seen = site.shared["drain"][id_]
    if isinstance(seen, str):
        return seen
    raise seen


def stop_and_watch(site: Site) -> dict[str, Seen]:
    told = site.told
    in_flight_s = told.drain_s * IN_FLIGHT_SHARE
    with site.talk() as idle, site.talk() as fresh, site.talk() as busy, site.talk() as half, site.talk() as stuck:
        expect(idle, idle.ask("/plain"), 200, BODY)
        length = len(HALF + OTHER_HALF)
        half.send(render("/echo", "POST", headers=f"Content-Length: {length}\r\n") + HALF)
        # Longer than LAB_DRAIN_S: the server must end although it is not finished.
        stuck.send(render("/delay?ms=120000"))
        time.sleep(0.3)  # all of it has been read
        busy.send(render(f"/delay?ms={in_flight_s * 1000:.0f}"))
        time.sleep(0.1)
        site.say({"ready": True})
        if told.pid is not None:
            os.kill(told.pid, signal.SIGTERM)
        stopped_s = wait_stopped(site, idle)
        seen: dict[str, Seen] = {}

        def watch(id_: str, check: Callable[[], str]) -> threading.Thread:
            def note() -> None:
                try:
                    seen[id_] = check()
                except (Broken, Skipped) as said:
                    seen[id_] = said
                except OSError as error:
                    seen[id_] = Broken("an orderly end", f"{type(error).__name__}: {error}")

            thread = threading.Thread(target=note)
            thread.start()
            return thread

        watchers = [
            watch("drain-listener", lambda: refused(site, in_flight_s / 2)),
            watch("drain-idle", lambda: ended_early(idle, fresh, in_flight_s * 0.8)),
            watch("drain-in-flight", lambda: finished(busy, busy.reply, BODY)),
            watch("drain-body", lambda: finished(half, lambda: second_half(half), HALF + OTHER_HALF)),
            watch("drain-exit", lambda: gone(told.pid, stopped_s, told.drain_s)),
        ]
        for watcher in watchers:
            watcher.join()
    return seen


def wait_stopped(site: Site, idle: Talk) -> float:
    """Return when the server was seen to stop: no listener any more, or an idle connection ended."""
    deadline_s = time.monotonic() + (0.3 if site.told.pid is not None else STOP_MOST_S)
    while time.monotonic() < deadline_s:
        if not listeners(site.told.host, site.told.port):
            break
        idle.sock.setblocking(False)
        try:
            if idle.sock.recv(1, socket.MSG_PEEK) == b"":
                break
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break
    return time.monotonic()


def refused(site: Site, within_s: float) -> str:
    """See that nobody can connect any more."""

    def lets_in() -> str | None:
        try:
            socket.create_connection((site.told.host, site.told.port), timeout=within_s).close()
        except ConnectionRefusedError:
            return None
        except OSError as error:
            return type(error).__name__
        return "a connection"

    site.wait_for("connections refused after SIGTERM", lets_in, within_s)
    return "refused"


def ended_early(idle: Talk, fresh: Talk, within_s: float) -> str:
    for talk in (idle, fresh):
        talk.expect_end(within_s)
    return "both ended: one that had asked, one that never had"


def second_half(talk: Talk) -> Reply:
    time.sleep(0.1)
    talk.send(OTHER_HALF)
    return talk.reply()


def finished(talk: Talk, reply_of: Callable[[], Reply], body: bytes) -> str:
    reply = reply_of()
    expect(talk, reply, 200, body, "finished after SIGTERM")
    if not reply.says_close:
        raise Broken("Connection: close in the last reply", repr(reply.header("connection")), talk)
    talk.expect_end()
    return f"{reply}, and the end"


def gone(pid: int | None, stopped_s: float, drain_s: float) -> str:
    """Wait for a process to end, where it is known; its exit code is its parent's to see."""
    if pid is None:
        raise Skipped("who started the server sees how it ends")
    most_s = drain_s + EXIT_SLACK_S
    while time.monotonic() - stopped_s <= most_s:
        fields = read_stat(pid)
        if fields is None or fields[0] == "Z" or not Path(f"/proc/{pid}").exists():
            return f"ended after {time.monotonic() - stopped_s:.1f} s"
        time.sleep(0.02)
    raise Broken(f"an end within {drain_s:g} s of SIGTERM", f"still running after {most_s:.1f} s")


def register(id_: str) -> None:
    """Register the check that reports what was seen under this id."""

    @keeps(id_)
    def check(site: Site) -> str:
        return seen_after_stop(site, id_)


for _id in ("drain-listener", "drain-idle", "drain-in-flight", "drain-body", "drain-exit"):
    register(_id)
