"""Draw the lab at one instant, as `lab watch` shows it: a table on a terminal, lines or JSON elsewhere.

Values in, renderables out. An unknown value is a dash, and why it is unknown stands in `troubles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.report import figures

_BAR_WIDTH = 14
_WIDE = 116  # columns that everything needs, with names of some twenty letters


@dataclass(frozen=True, slots=True)
class Figures:
    """One variant now; None: not known, or there is no such thing at the moment."""

    variant: str
    throughput_per_s: float | None = None  # right answers
    p50_s: float | None = None
    p99_s: float | None = None
    errors_ratio: float | None = None
    users: float | None = None
    connections: float | None = None  # established
    cpu_cores: float | None = None
    memory_bytes: float | None = None
    threads: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One that Prometheus scrapes."""

    job: str
    health: str  # up, down, unknown
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial of a scripted run that is under way, or after the last one how the run stands."""

    suite: str
    number: int  # from 1; of + 1 when all are done
    of: int
    variant: str
    scenario: str


@dataclass(frozen=True, slots=True)
class Now:
    """The lab at one instant."""

    at: str  # the reader's clock, 12:34:56
    run_id: str
    scenario: str
    state: str  # Locust's: ready, spawning, running, ...
    users: int | None
    connections: int | None
    trial: Trial | None
    targets: tuple[Target, ...]
    rung: str  # what looks into the kernel; "" where nobody says
    variants: tuple[Figures, ...]
    troubles: tuple[str, ...] = ()
    ramp: str = ""


def watch_document(now: Now) -> Mapping[str, object]:
    """Return the same as plain values, for --json."""
    return asdict(now)


def watch_lines(now: Now) -> list[str]:
    """Return one line for the lab and one for each variant, for a stream that is no terminal."""
    lines = [f"{now.at} {_headline(now)}"]
    for one in now.variants:
        known = {_HEADERS[name]: text for name, text in _cells(one).items() if text != figures.UNKNOWN}
        told = ", ".join(f"{header} {text}" for header, text in known.items())
        lines.append(f"{now.at} {one.variant}: {told or 'nothing known'}")
    return lines + [f"{now.at} {trouble}" for trouble in now.troubles]


def watch_screen(now: Now, width: int = _WIDE, ascii_only: bool = False) -> RenderableType:
    """Return what fills the terminal: where the lab is, who is looked at, the variants side by side.

    width: columns of the terminal; a narrow one does without the bar and the users, which the first line has.
    """
    is_narrow = width < _WIDE
    table = Table(box=None, padding=(0, 1 if is_narrow else 2, 0, 0), pad_edge=False)
    table.add_column("variant", no_wrap=True)
    shown = [name for name in _HEADERS if not (is_narrow and name == "users")]
    for name in shown:
        table.add_column(_HEADERS[name], no_wrap=True, justify="right")
        if name == "throughput_per_s" and not is_narrow:
            table.add_column("", no_wrap=True, width=_BAR_WIDTH)
    best = max((one.throughput_per_s or 0.0 for one in now.variants), default=0.0)
    for one in now.variants:
        texts = _cells(one)
        cells = [Text(figures.to_ascii(texts[name]) if ascii_only else texts[name]) for name in shown]
        if one.errors_ratio:
            cells[shown.index("errors_ratio")].stylize("bold red")
        if not is_narrow:
            share = (one.throughput_per_s or 0.0) / best if best > 0.0 else None
            cells.insert(1, Text(figures.bar(share, _BAR_WIDTH, ascii_only), style="green"))
        table.add_row(Text(one.variant), *cells)
    parts: list[RenderableType] = [Text(_headline(now), style="bold"), _health(now), Text("")]
    parts.append(table if now.variants else Text(_nothing(now), style="dim"))
    parts += [Text(trouble, style="yellow") for trouble in now.troubles]
    parts += [Text(""), Text("Ctrl-C ends the watching; the lab goes on.", style="dim")]
    return Group(*parts)


_HEADERS = {
    "throughput_per_s": "answers/s", "p50_s": "p50", "p99_s": "p99", "errors_ratio": "errors", "users": "users",
    "connections": "open", "cpu_cores": "CPU", "memory_bytes": "memory", "threads": "threads",
}  # fmt: skip


def _cells(one: Figures) -> dict[str, str]:
    """Return figure -> text, in the order of the columns."""
    return {
        "throughput_per_s": figures.rate(one.throughput_per_s),
        "p50_s": figures.duration(one.p50_s),
        "p99_s": figures.duration(one.p99_s),
        "errors_ratio": figures.percent(one.errors_ratio),
        "users": _count(one.users),
        "connections": _count(one.connections),
        "cpu_cores": figures.plain(one.cpu_cores),
        "memory_bytes": figures.size(one.memory_bytes),
        "threads": _count(one.threads),
    }


def _count(value: float | None) -> str:
    return figures.whole(None if value is None else round(value))


def _headline(now: Now) -> str:
    if now.trial is not None and now.trial.number <= now.trial.of:
        where = (
            f"run {now.run_id}: trial {now.trial.number} of {now.trial.of}, {now.trial.scenario} {now.trial.variant}"
        )
    elif now.trial is not None:
        where = f"run {now.run_id}: all {now.trial.of} trials are done"
    else:
        where = f"{now.run_id or 'the lab'}" + (f", {now.scenario}" if now.scenario else "")
    parts = [where, now.state]
    if now.users is not None:
        parts.append(f"{now.users:,} users")
    if now.connections is not None:
        parts.append(f"{now.connections:,} connections")
    return ", ".join(filter(None, [*parts, now.ramp]))


def _health(now: Now) -> Text:
    """Who is scraped, and how that goes: a word beside each, so that no colour is needed to read it."""
    line = Text("seen by Prometheus: ")
    for target in now.targets:
        style = "green" if target.health == "up" else "bold red"
        line.append(f"{target.job} {target.health}", style=style)
        line.append(f" ({target.error})  " if target.error else "  ")
    if not now.targets:
        line.append("nobody", style="bold red")
    if now.rung:
        line.append(f"kernel side: {now.rung}")
    return line


def _nothing(now: Now) -> str:
    if now.trial is not None:
        return "Between two trials: no server is under load."
    return "No load yet. Start a swarm on Locust's page, or: lab run quick"
