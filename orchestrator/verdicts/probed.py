"""Turn two readings of the probes, and the answers between them, into figures per request.

Pure. Counts are the reader's lines (probes/reader.c), cumulative since it was ready; what a rung does not count is not
in them, and its figure is missing with the reason. The exporter's readings stand beside them: they are the whole of the
last rung, and schedstat's waiting for a CPU is shown next to eBPF's, which sees a wakeup only when the other CPU does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.model import Probed

Counts = Mapping[str, Any]

# name -> (what it is, its unit); the order they are shown in
FIGURES: Mapping[str, tuple[str, str]] = {
    "answers_per_s": ("right answers in the probe window", "1/s"),
    "syscalls_per_request": ("system calls that returned, for each right answer", ""),
    "epoll_events_per_wait": ("events that one epoll_wait returned", ""),
    "context_switches_per_request": ("switches away from the server's threads, any kind, for each right answer", ""),
    "wakeups_per_request": ("threads of the server made ready, for each right answer", ""),
    "runqueue_latency_p99_s": ("from being made ready to getting a CPU, eBPF", "s"),
    "runqueue_latency_mean_s": ("the same, on average", "s"),
    "runqueue_wait_mean_s": ("waiting for a CPU before each time slice, schedstat by taskstats", "s"),
    "resets_sent": ("RST segments sent in the pod's network namespace", ""),
    "resets_received": ("RST segments that connections there received", ""),
    "retransmits": ("segments sent again there", ""),
    "drops": ("packets dropped there", ""),
    "uring_requests_per_request": ("io_uring requests, for each right answer", ""),
}

_TASKSTATS = ("context_switches_voluntary", "context_switches_involuntary", "runqueue_wait_s", "timeslices")
_PER_REQUEST = {
    "syscalls_per_request": "syscalls",
    "context_switches_per_request": "switches",
    "wakeups_per_request": "wakeups",
    "uring_requests_per_request": "uring",
}
_TCP = {"resets_received": "reset_received", "retransmits": "retransmit"}


def unseen(why: str) -> Probed:
    """Return the outcome of a probe window in which nothing could be seen."""
    return Probed("", {}, 0.0, 0, {}, dict.fromkeys(FIGURES, why))


def judge_probe(
    rung: str,
    refused: Mapping[str, str],
    window_s: float,
    answered: int,
    between: tuple[Counts, Counts] | None,
    seen_beside: tuple[Mapping[str, float], Mapping[str, float], float] | None,
) -> Probed:
    """Return what a probe window showed.

    between: the reader's counts at the window's start and end; None on the rung that has no reader.
    seen_beside: the exporter's values at about the same times, and the seconds between those two readings.
    """
    counts = {} if between is None else grown_counts(*between)
    figures: dict[str, float] = {}
    missing: dict[str, str] = {}
    lowest = f"not counted on rung {rung}" if between is not None else f"no probe counts here: {_refusals(refused)}"
    if window_s > 0:
        figures["answers_per_s"] = answered / window_s
    for name, group in _PER_REQUEST.items():
        if group not in counts:
            missing[name] = lowest
        elif not answered:
            missing[name] = "no request was answered in the probe window"
        else:
            figures[name] = sum(counts[group].values()) / answered
    _epoll(counts, figures, missing, lowest)
    _latency(between, figures, missing, lowest)
    if "tcp" in counts:
        figures["resets_sent"] = sum(counts.get("resets_sent", {}).values())
        figures |= {name: counts["tcp"].get(event, 0.0) for name, event in _TCP.items()}
        figures["drops"] = sum(counts.get("drops", {}).values())
    else:
        missing |= dict.fromkeys(("resets_sent", *_TCP, "drops"), lowest)
    _taskstats(seen_beside, answered / window_s if window_s > 0 else 0.0, figures, missing)
    if any(counts.get("lost", {}).values()):
        lost = ", ".join(f"{count:,.0f} {what}" for what, count in counts["lost"].items() if count)
        missing["lost"] = f"events that could not be counted ({lost}): counts are too low by as many"
    in_order = {name: figures[name] for name in FIGURES if name in figures}
    return Probed(rung, dict(refused), window_s, answered, in_order, missing, counts)


def probe_notes(probe: Probed | None) -> list[str]:
    """Say on which rung a trial was probed, and why not on a better one; nothing where no probe was asked for."""
    if probe is None:
        return []
    if not probe.rung:
        return [f"not probed: {next(iter(probe.missing.values()))}"]
    lost = [probe.missing["lost"]] if "lost" in probe.missing else []
    why = f" ({_refusals(probe.refused)})" if probe.refused else ""
    return [f"probed on rung {probe.rung}{why}, in a window of its own after the scored one", *lost]


def grown_counts(before: Counts, after: Counts) -> dict[str, dict[str, float]]:
    """Return what grew between two readings, group -> name -> count; names that stood still are left out.

    errors are named "read EAGAIN"; resets sent, by reason, are a group of their own beside the other TCP events.
    """
    was, now = _flat(before), _flat(after)
    return {
        group: {name: count - was.get(group, {}).get(name, 0.0) for name, count in names.items()
                if group in _WHOLE or count > was.get(group, {}).get(name, 0.0)}
        for group, names in now.items()
    }  # fmt: skip


_WHOLE = frozenset({"epoll", "tcp", "lost"})  # their zeros are kept: few, and worth seeing


def _flat(counts: Counts) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for group in ("syscalls", "epoll", "switches", "wakeups", "drops", "uring", "scheduler", "lost"):
        if isinstance(counts.get(group), Mapping):
            found[group] = {str(name): float(count) for name, count in counts[group].items()}
    if isinstance(counts.get("errors"), Mapping):
        found["errors"] = {
            f"{call} {errno}": float(n) for call, by_errno in counts["errors"].items() for errno, n in by_errno.items()
        }
    if isinstance(counts.get("tcp"), Mapping):
        events = dict(counts["tcp"])
        found["resets_sent"] = {str(reason): float(n) for reason, n in events.pop("reset_sent", {}).items()}
        found["tcp"] = {str(event): float(n) for event, n in events.items()}
    return found


def _epoll(
    counts: Mapping[str, Mapping[str, float]], figures: dict[str, float], missing: dict[str, str], lowest: str
) -> None:
    epoll = counts.get("epoll", {})
    if "events" not in epoll:
        missing["epoll_events_per_wait"] = lowest
    elif not epoll["returns"]:
        missing["epoll_events_per_wait"] = "the server did not call epoll_wait"
    else:
        figures["epoll_events_per_wait"] = epoll["events"] / epoll["returns"]


def _latency(
    between: tuple[Counts, Counts] | None, figures: dict[str, float], missing: dict[str, str], lowest: str
) -> None:
    names = ("runqueue_latency_p99_s", "runqueue_latency_mean_s")
    if between is None or "runqueue_latency" not in between[1]:
        missing |= dict.fromkeys(names, lowest)
        return
    was, now = (each.get("runqueue_latency", {"below_ns": {}, "sum_ns": 0, "count": 0}) for each in between)
    buckets = {int(edge): int(n) - int(was["below_ns"].get(edge, 0)) for edge, n in now["below_ns"].items()}
    total = sum(buckets.values())
    if not total:
        missing |= dict.fromkeys(names, "no thread of the server waited for a CPU in the probe window")
        return
    figures["runqueue_latency_p99_s"] = quantile_ns(buckets, 0.99) / 1e9
    figures["runqueue_latency_mean_s"] = (now["sum_ns"] - was["sum_ns"]) / total / 1e9


def quantile_ns(buckets: Mapping[int, int], q: float) -> int:
    """Return the upper edge of the bucket that holds the q-th value by nearest rank, in ns.

    buckets: upper edge -> count, at least one above 0. The edge is at most a quarter above the true value.
    """
    wanted = q * sum(buckets.values())
    reached = 0
    for edge in sorted(buckets):
        reached += buckets[edge]
        if reached >= wanted and reached:
            return edge
    return max(buckets)


def _taskstats(
    seen: tuple[Mapping[str, float], Mapping[str, float], float] | None,
    answered_per_s: float,
    figures: dict[str, float],
    missing: dict[str, str],
) -> None:
    """Add what the exporter saw: schedstat's waiting on every rung, switches where no better rung counted them."""
    if seen is None or any(name not in values for values in seen[:2] for name in _TASKSTATS):
        missing["runqueue_wait_mean_s"] = "the exporter has no taskstats"
        return
    before, after, seconds = seen
    slices, waited_s = (after[name] - before[name] for name in ("timeslices", "runqueue_wait_s"))
    if slices > 0:
        figures["runqueue_wait_mean_s"] = waited_s / slices
    else:
        missing["runqueue_wait_mean_s"] = "no thread of the server got a CPU in the probe window"
    if "context_switches_per_request" not in figures and answered_per_s > 0 and seconds > 0:
        switches = sum(after[name] - before[name] for name in _TASKSTATS[:2])
        figures["context_switches_per_request"] = switches / seconds / answered_per_s
        missing.pop("context_switches_per_request", None)


def _refusals(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{rung}: {why}" for rung, why in refused.items()) or "none was asked for"
