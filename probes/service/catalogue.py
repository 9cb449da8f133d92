"""Write the table of metrics in docs/probes.md from the declarations: `python -m probes.service.catalogue FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from .metrics import METRICS, OF_SERVICE, Metric

BEGIN = "<!-- made by `python -m probes.service.catalogue docs/probes.md`; a test fails when it is not -->\n"
END = "<!-- end -->\n"
_HEAD = "| metric | type, labels | unit | meaning | source | cost |\n|---|---|---|---|---|---|\n"


def render(page: str) -> str:
    """Return the page with its table made anew. Raises ValueError where the marks of its place are not there."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"expected a line {BEGIN.strip()!r} and later {END.strip()!r}")
    return f"{before}{BEGIN}{_HEAD}{''.join(map(_row, (*METRICS, *OF_SERVICE)))}{END}{after}"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    shape = f"{metric.kind}; {labels}" if labels else metric.kind
    return f"| `{metric.name}` | {shape} | {metric.unit} | {metric.help} | {metric.source} | {metric.cost} |\n"


if __name__ == "__main__":
    FILE = Path(sys.argv[1])
    FILE.write_text(render(FILE.read_text(encoding="utf-8")), encoding="utf-8")
