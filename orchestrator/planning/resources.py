"""Turn a trial into what it takes of memory and of the load side's CPUs, and how far these go.

Costs of one connection are calibrated on this machine or the reference's constants; a Bound says which.
"""

from __future__ import annotations

from orchestrator.model import Bound
from orchestrator.planning.ask import Ask
from orchestrator.planning.constraints import tune
from orchestrator.planning.costs import TRACKED_BYTES, UNCHARGED_BYTES, UNREAD_BYTES

HEADROOM_RATIO = 0.25  # of user memory: allocators, garbage collectors and buffers take more than what is in use

# 159 pages for 19,801 idle sockets; one small answer on its way takes a page of its own.
IDLE_PAGES = 159 / 19_801
PAGE_BYTES = 4096

_FEWER = "a machine with more memory, or fewer connections"


def kernel_bytes(ask: Ask) -> float:
    """Return the kernel's memory for one connection, both ends, its tracking, and unread data where answers flow."""
    unread = 0.0 if ask.scenario.kind == "hold" else UNREAD_BYTES
    tracking = TRACKED_BYTES if ask.host.pods_tracked and ask.host.conntrack_max is not None else 0.0
    return ask.costs.server.kernel_bytes + ask.costs.generator.kernel_bytes + 2 * UNCHARGED_BYTES + tracking + unread


def user_bytes(ask: Ask) -> float:
    """Return both processes' memory for one connection, headroom included."""
    return (ask.costs.server.user_bytes + ask.costs.generator.user_bytes) * (1 + HEADROOM_RATIO)


def kernel_memory(ask: Ask) -> Bound:
    """All memory there is, if only the kernel took any."""
    return _memory(ask, "kernel memory", kernel_bytes(ask), "both ends in the kernel")


def user_memory(ask: Ask) -> Bound:
    """All memory there is, if only the processes took any."""
    each = user_bytes(ask)
    return _memory(ask, "user memory", each, f"server and worker, {HEADROOM_RATIO:.0%} headroom")


def all_memory(ask: Ask) -> Bound:
    """All memory there is, shared by kernel and processes."""
    return _memory(ask, "memory", kernel_bytes(ask) + user_bytes(ask), "kernel and processes together")


def _memory(ask: Ask, name: str, each: float, what: str) -> Bound:
    calibrated = ask.costs.server.calibrated and ask.costs.generator.calibrated
    if ask.host.available_bytes is None:
        text = "not known: the machine's memory could not be read"
        return Bound(name, None, text, "", "host", calibrated, ask.connections)
    left = max(ask.host.available_bytes - ask.base_bytes, 0.0)
    return Bound(
        name=name,
        most=left // each,
        formula=f"({_gib(ask.host.available_bytes)} available - {_gib(ask.base_bytes)} for processes at rest) / "
        f"{each:,.0f} bytes for each connection ({what})",
        fix=_FEWER,
        whose="host",
        calibrated=calibrated,
        wanted=ask.connections,
    )


def tcp_buffers(ask: Ask) -> Bound:
    """Pages for the buffers of all sockets together."""
    if ask.host.tcp_memory_pages is None:
        text = "not known: net.ipv4.tcp_mem could not be read"
        return Bound("TCP buffers", None, text, "", "host", wanted=ask.connections)
    pages = 2 * IDLE_PAGES + (0 if ask.scenario.kind == "hold" else 1)
    return Bound(
        name="TCP buffers",
        most=ask.host.tcp_memory_pages // pages,
        formula=f"tcp_mem[2] {ask.host.tcp_memory_pages:,} pages / {pages:.3f} for each connection",
        fix=tune(ask, "net.ipv4.tcp_mem"),
        whose="host",
        calibrated=False,
        wanted=ask.connections,
    )


def generator_cpu(ask: Ask) -> Bound:
    """What the cores of the load side bring about in the time there is (Little's law: concurrency = rate x time)."""
    scenario, cost = ask.scenario, ask.costs.generator
    cores = min(ask.load_cpus, ask.workers)
    opens, answers = cores * cost.opens_per_core_s, cores * cost.answers_per_core_s
    unit, wanted = "connections", ask.connections
    if scenario.kind == "hold" and scenario.answer == "release":
        most, formula = opens * scenario.timeout_s, f"{opens:,.0f} opened/s x {scenario.timeout_s:g} s of patience"
    elif scenario.kind == "hold":
        most, formula = opens * scenario.delay_s, f"{opens:,.0f} opened/s x {scenario.delay_s:g} s to the first answer"
    elif scenario.kind == "storm":
        unit, wanted, most = "connects/s", ask.connections / scenario.every_s, opens
        formula = f"{opens:,.0f} opened/s"
    elif scenario.kind == "open" or (scenario.ramp is not None and scenario.ramp.of == "rate"):
        unit, wanted, most = "arrivals/s", scenario.ramp.last if scenario.ramp else scenario.rate_per_s, answers
        formula = f"{answers:,.0f} answers/s"
    elif scenario.delay_s:
        most, formula = answers * scenario.delay_s, f"{answers:,.0f} answers/s x {scenario.delay_s:g} s for each"
    else:
        text = "a closed loop asks as fast as it is answered: its rate adapts, not its number"
        return Bound("generator CPU", None, text, "", "lab", cost.calibrated, wanted, unit, hard=False)
    return Bound(
        name="generator CPU",
        most=most,
        formula=f"{formula}, by {ask.users} users on {cores} {'core' if cores == 1 else 'cores'}",
        fix="more CPUs for load_cpus, or users: engine" if ask.users == "locust" else "more CPUs for load_cpus",
        whose="lab",
        calibrated=cost.calibrated,
        wanted=wanted,
        unit=unit,
        hard=False,
    )


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / (1 << 30):,.1f} GiB"
