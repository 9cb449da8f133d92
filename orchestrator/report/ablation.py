"""Draw what taking back one setting did: the ceiling with and without it, and the kernel's counter that shows it.

"No effect" is a result: the ceiling is that of the rows with everything in place, and no counter grew that did not grow
there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.verdicts.ablation import Effect, find_effects
from orchestrator.verdicts.summary import Summary

_BAR_WIDTH = 8
_COUNTERS_SHOWN = 3
_SETTING_WIDTH = 24


def ablation_table(rows: Sequence[Summary], ascii_only: bool = False) -> Table | None:
    """Return a line for each setting taken back, bars against the whole; None where none was."""
    effects = find_effects(rows)
    if not effects:
        return None
    title = Text(f"{rows[0].scenario}: one setting taken back at a time", style="bold")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for header in ("variant", "without", effects[0].what, "", "of all", "effect", "shown by"):
        is_figure = header in (effects[0].what, "of all")
        table.add_column(header, no_wrap=True, justify="right" if is_figure else "left")
    for effect in effects:
        cells = (
            effect.variant,
            _setting(effect.reverted),
            figures.rate(effect.ceiling),
            figures.bar(effect.share, _BAR_WIDTH, ascii_only),
            figures.UNKNOWN if effect.share is None else figures.percent(effect.share),
            _words(effect),
            counters_in_words(effect.counters, "\n"),
        )
        table.add_row(*[Text(figures.to_ascii(cell) if ascii_only else cell) for cell in cells])
    return table


def counters_in_words(counters: Mapping[str, float], between: str = ", ") -> str:
    """280 ListenOverflows, 98 SyncookiesSent: the largest first."""
    ranked = sorted(counters.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{figures.whole(round(grown))} {name}" for name, grown in ranked[:_COUNTERS_SHOWN]]
    return between.join(words + ([f"{len(ranked) - _COUNTERS_SHOWN} more"] if len(ranked) > _COUNTERS_SHOWN else []))


def _setting(reverted: str) -> str:
    """The setting's own name and, where that is long, its value below it: the table has to fit a hundred columns."""
    if not reverted:
        return "(all in place)"
    short = reverted.partition("=")[0].rpartition(".")[2] + "=" + reverted.partition("=")[2]
    return short if len(short) <= _SETTING_WIDTH else short.replace("=", "=\n  ", 1)


def _words(effect: Effect) -> str:
    if not effect.reverted:
        return ""
    if effect.ceiling is None:
        return "not known"
    if effect.share is None:
        return "not compared"
    if effect.is_none:
        return "no effect"
    return "same, but see" if effect.is_same else "lower" if effect.share < 1.0 else "higher"
