"""Draw what a calibration found: what a connection costs each variant, and the load side."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.planning.calibrating import ServerFigures
from orchestrator.planning.costs import GeneratorCost
from orchestrator.report.text import plain_table


def calibration_table(
    servers: Mapping[str, ServerFigures], generators: Mapping[str, GeneratorCost], failed: Mapping[str, str]
) -> RenderableType:
    """What each variant and each kind of users costs here, and who has no figures and why."""
    headers = ("variant", "process, bytes", "kernel, bytes", "CPU to open, µs", "CPU of a request, µs")
    table = plain_table("One connection costs the server", *headers)
    for name, one in servers.items():
        request = "-" if one.request_cpu_s is None else f"{one.request_cpu_s * 1e6:.1f}"
        memory = (f"{one.cost.user_bytes:,.0f}", f"{one.cost.kernel_bytes:,.0f}")
        table.add_row(*map(Text, (name, *memory, f"{one.open_cpu_s * 1e6:.1f}", request)))
    each = ("users", "process, bytes", "kernel, bytes", "worker at rest, MB", "opens/s, a core", "answers/s, a core")
    load = plain_table("One connection costs the load", *each)
    for name, cost in generators.items():
        load.add_row(
            Text(name),
            Text(f"{cost.user_bytes:,.0f}"),
            Text(f"{cost.kernel_bytes:,.0f}"),
            Text(f"{cost.base_bytes / 1e6:.1f}"),
            Text(f"{cost.opens_per_core_s:,.0f}"),
            Text(f"{cost.answers_per_core_s:,.0f}"),
        )
    lines = [Text(f"{name}: not calibrated: {why}") for name, why in failed.items()]
    return Group(table, Text(), load, *lines)
