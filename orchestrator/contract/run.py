"""Run the checks of one act and say one result each, as they end.

Checks that must be alone come first, one after another; the others run at the same time, each with its own
connections, so that their timeouts overlap.
"""

from __future__ import annotations

import base64
import queue
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from . import connections, crowd, drain, framing, linger, malformed, replies, runtime, slow, starve, stats, waiting
from .check import CHECKS, Check, Site, Skipped
from .kernel import read_aborts
from .table import ITEMS, Item
from .talk import Broken, Talk
from .told import Told

# Importing them registers their checks.
MODULES = (connections, crowd, drain, framing, linger, malformed, replies, runtime, slow, starve, stats, waiting)
CHECK_MOST_S = 75.0  # the slowest right one takes 35 s
AT_ONCE = 12  # of the checks that wait for no limit; two cores gain nothing from more
WAITS_LONG = frozenset({"silent-client", "slowloris", "slow-second-head", "idle-stays", "slow-body", "slow-chunks",
                        "slow-reader", "tls-hello"})  # fmt: skip


def run(told: Told) -> Iterator[dict[str, Any]]:
    """Yield the result of each check of the act, in the order in which they end."""
    chosen = [item for item in ITEMS if item.act == told.act and (told.only is None or item.id in told.only)]
    shared: dict[str, Any] = {"aborts": read_aborts()}
    for item in chosen:
        if item.alone:
            yield from finish([item], told, shared, 1)
    rest = [item for item in chosen if not item.alone]
    rest.sort(key=lambda item: item.id not in WAITS_LONG)  # stable: who waits long begins first
    yield from finish(rest, told, shared, AT_ONCE + sum(item.id in WAITS_LONG for item in rest))


def finish(items: list[Item], told: Told, shared: dict[str, Any], at_once: int) -> Iterator[dict[str, Any]]:
    """Run these checks in threads and yield their results. One that never ends is reported, and left behind."""
    waiting_items = list(reversed(items))
    ended: queue.Queue[dict[str, Any]] = queue.Queue()
    open_items: dict[str, float] = {}
    by_id = {item.id: item for item in items}

    def work_on(item: Item) -> None:
        ended.put(judge(item, Site(told, shared, ended.put)))

    def begin() -> None:
        while waiting_items and len(open_items) < at_once:
            item = waiting_items.pop()
            open_items[item.id] = time.monotonic()
            work = partial(work_on, item)
            threading.Thread(target=work, daemon=True).start()

    begin()
    while open_items:
        try:
            result = ended.get(timeout=0.5)
        except queue.Empty:
            late = [id_ for id_, begun_s in open_items.items() if time.monotonic() - begun_s > CHECK_MOST_S]
            for id_ in late:
                del open_items[id_]
                seen = f"not ended after {CHECK_MOST_S:g} s"
                yield outcome(by_id[id_], "failed", "an end", seen, None, CHECK_MOST_S)
            begin()
            continue
        if "id" not in result:  # said by a check that goes on
            yield result
        elif result["id"] in open_items:
            del open_items[result["id"]]
            begin()
            yield result


def judge(item: Item, site: Site) -> dict[str, Any]:
    """Run one check and weigh what it says against what the variant declares."""
    told = site.told
    missing = [route for route in item.needs if route in told.lacks and route != item.id]
    if missing and item.id not in told.lacks:
        seen = f"needs {', '.join('/' + route for route in missing)}, which it declares lacking"
        return outcome(item, "declared", item.sentence, seen, None, 0.0)
    begun_s = time.monotonic()
    kind, expected, seen, talk = attempt(CHECKS[item.id], item, site)
    if item.id in told.lacks and kind == "passed":
        kind, expected, seen = "failed", "what `lacks` declares", "declared but kept: remove it from lacks"
    elif item.id in told.lacks:
        kind = "declared"
    return outcome(item, kind, expected, seen, talk, time.monotonic() - begun_s)


def attempt(check: Check, item: Item, site: Site) -> tuple[str, str, str, Talk | None]:
    """Return passed, failed or skipped, what was expected, what was seen, and the connection that shows it."""
    try:
        return "passed", item.sentence, check(site) or "as expected", None
    except Skipped as reason:
        return "skipped", item.sentence, str(reason), None
    except Broken as broken:
        return "failed", broken.expected, broken.seen, broken.talk or site.last
    except OSError as error:
        return "failed", item.sentence, f"{type(error).__name__}: {error}", site.last
    except Exception as error:  # noqa: BLE001 - a check's own defect must not pass for a kept promise
        return "failed", item.sentence, f"the check itself failed: {type(error).__name__}: {error}", site.last


def outcome(item: Item, kind: str, expected: str, seen: str, talk: Talk | None, took_s: float) -> dict[str, Any]:
    """Return one line. sent_b64 and received_b64 hold the first 4096 bytes of a failure; the totals are beside them."""
    line: dict[str, Any] = {
        "id": item.id,
        "title": item.title,
        "outcome": kind,
        "expected": expected,
        "seen": seen,
        "sent_b64": None,
        "received_b64": None,
        "took_s": round(took_s, 3),
    }
    if talk is not None and kind in ("failed", "declared"):
        for name, tape in (("sent", talk.sent), ("received", talk.received)):
            line[f"{name}_b64"] = base64.b64encode(tape.kept).decode()
            line[f"{name}_bytes"] = tape.total
    return line
