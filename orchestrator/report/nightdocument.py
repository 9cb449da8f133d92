"""Turn a night into the document that lies beside its report, and into what a terminal shows of its history."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from orchestrator.report import figures
from orchestrator.report.comparetable import compare_document
from orchestrator.report.text import plain_table
from orchestrator.verdicts.history import Change
from orchestrator.verdicts.night import Night
from orchestrator.verdicts.noise import Key


def night_document(night: Night) -> dict[str, object]:
    """Return everything a night says as JSON-shaped values, numbers as they are."""
    compared = night.compared
    return {
        "run_id": night.run_id,
        "verdict": night.word,
        "exit_code": night.exit_code,
        "sentences": list(night.sentences),
        "baseline": night.baseline or None,
        "nights": night.nights,
        "comparisons": compare_document(compared.judged) if compared else [],
        "as_measured": compare_document(list(compared.plain.values())) if compared else [],
        "machine": _by_key(compared.machine if compared else {}, "ratio"),
        "noise_floor": _by_key(night.noise, "difference"),
        "noise_tonight": _by_key(night.tonight, "difference"),
        "changes": [_change(change) for change in night.changes],
        "history": [
            {
                "scenario": history.scenario,
                "variant": history.variant,
                "figure": history.figure.name,
                "nights": [{"run_id": p.run_id, "started_at": p.started_at, "median": p.value} for p in history.points],
            }
            for history in night.histories
        ],
        "remarks": list(night.remarks),
    }


def _by_key(values: Mapping[Key, float], name: str) -> list[dict[str, object]]:
    return [{"scenario": scenario, "figure": figure, name: value} for (scenario, figure), value in values.items()]


def _change(change: Change) -> dict[str, object]:
    return {
        "run_id": change.run_id,
        "started_at": change.started_at,
        "scenario": change.scenario,
        "variant": change.variant,
        "figure": change.figure.name,
        "before": change.before,
        "after": change.after,
        "ratio": change.ratio,
        "is_worse": change.is_worse,
        "nights_after": change.nights_after,
        "p_value": change.p_value,
        "is_machine": change.is_machine,
        "since": list(change.since),
    }


def changes_table(night: Night) -> Table:
    """Return the changes of a history, the newest first."""
    table = plain_table(
        f"What changed in {night.nights} nights",
        "since", "scenario", "variant", "figure", "change", "nights", "remark",
        wrap={"remark"}, right={"change", "nights"},
    )  # fmt: skip
    for change in night.changes:
        table.add_row(
            Text(change.started_at[:10]), Text(change.scenario), Text(change.variant), Text(change.figure.title),
            Text(shift(change.ratio), style="red" if change.is_worse else "green"), Text(str(change.nights_after)),
            Text(remark(change), style="dim"),
        )  # fmt: skip
    return table


def shift(ratio: float) -> str:
    """+4.2 % for 1.042."""
    return f"{'+' if ratio >= 1.0 else '-'}{figures.percent(abs(ratio - 1.0))}"


def remark(change: Change) -> str:
    """Return what must be known of a change: whose it is, and what else is different since."""
    whose = ["the machine's: all stable variants changed alike"] if change.is_machine else []
    return "; ".join([*whose, *change.since])
