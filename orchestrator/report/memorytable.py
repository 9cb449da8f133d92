"""Draw what one more connection costs: the slope over several sizes with its interval, in whole and by its parts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.verdicts.memory import STRAIGHT_R2, MemoryFit, Slope

HEADERS = ("variant", "each connection", "95 % interval", "user", "kernel", "sockets", "with none", "from")


def memory_table(fits: Sequence[MemoryFit]) -> Table | None:
    """Return one row for each variant, the cheapest first; None without a fit."""
    if not fits:
        return None
    table = Table(
        title=Text("memory: what one more connection costs, the slope over several sizes", style="bold"),
        title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False,
    )  # fmt: skip
    for header in HEADERS:
        table.add_column(header, no_wrap=header != "from", justify="left" if header in ("variant", "from") else "right")
    for one in ordered(fits):
        table.add_row(*map(Text, memory_cells(one)))
    return table


def ordered(fits: Sequence[MemoryFit]) -> list[MemoryFit]:
    """Return them as they are shown: the cheapest connection first."""
    return sorted(fits, key=lambda one: one.whole.bytes_each)


def memory_cells(fit: MemoryFit) -> tuple[str, ...]:
    """Return a fit's row, in the order of HEADERS."""
    sizes = f"{len(fit.points)} trials, {figures.whole(fit.sizes[0])} to {figures.whole(fit.sizes[-1])} held"
    return (
        fit.variant,
        figures.size(fit.whole.bytes_each),
        interval(fit.whole),
        *(figures.UNKNOWN if part is None else figures.size(part.bytes_each) for part in _parts(fit)),
        figures.size(fit.whole.base_bytes),
        sizes if fit.is_straight else f"{sizes}; not on a line (R2 {fit.whole.r2:.3f})",
    )


def interval(slope: Slope) -> str:
    """Return the interval of a slope as people read it."""
    return f"{figures.size(slope.low)} to {figures.size(slope.high)}"


def memory_remarks(fits: Sequence[MemoryFit]) -> list[str]:
    """Return what must be known of the figures: parts that the kernel does not account, lines that are none."""
    missing: dict[str, list[str]] = {}
    for one in fits:
        for part, why in one.missing.items():
            missing.setdefault(f"no {part} memory: {why}", []).append(one.variant)
    remarks = [text if len(who) == len(fits) else f"{text} ({', '.join(who)})" for text, who in missing.items()]
    beside = [one.variant for one in fits if one.socket_source == "inet_diag"]
    if beside:
        who = "" if len(beside) == len(fits) else f" ({', '.join(beside)})"
        remarks.append(f"sockets by inet_diag: cgroup v1 charges them to nobody, so the whole is without them{who}")
    bent = [one.variant for one in fits if not one.is_straight]
    if bent:
        remarks.append(
            f"R2 below {STRAIGHT_R2}: memory does not grow evenly, so no figure is the cost of one ({', '.join(bent)})"
        )
    return remarks


def _parts(fit: MemoryFit) -> tuple[Slope | None, Slope | None, Slope | None]:
    return fit.user, fit.kernel, fit.socket
