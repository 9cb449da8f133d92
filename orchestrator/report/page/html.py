"""Turn parts into one self-contained HTML page: no network, no other file but the raw data it links to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from orchestrator.report.page.beside import Beside
from orchestrator.report.page.charts import Chart
from orchestrator.report.page.content import Part

_HERE = Path(__file__).parent
_CHART = Markup(
    '<figure data-chart="{name}"{wide}><figcaption>{question}</figcaption><div class="chart" role="img" '
    'aria-label="{question}"></div><script type="application/json">{document}</script></figure>'
)


def render_html(title: str, parts: Sequence[Part], folder: Callable[[str], str], beside: Beside | None = None) -> str:
    """Return the page. folder: run id -> where its raw data lies, relative to where the page will be.

    beside: what is said of several runs together.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html.j2")
    return template.render(
        title=title,
        parts=parts,
        beside=beside,
        drawn=_drawn,
        folder=folder,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        library=Markup(get_plotlyjs().replace("</script", "<\\/script")),
    )


def relative_folder(page: Path, runs: Path) -> Callable[[str], str]:
    """Return what finds a run's folder from where the page is."""
    return lambda run_id: Path(os.path.relpath(runs / run_id, page.resolve().parent)).as_posix()


def _drawn(run_id: str, chart: Chart) -> Markup:
    # Inside <script> nothing is unescaped by a browser: only the tag's own end must not stand in the JSON.
    document = Markup(chart.document.replace("<", "\\u003c"))
    wide = Markup(' class="wide"') if chart.is_wide else ""
    return _CHART.format(name=f"{run_id}-{chart.name}", wide=wide, question=chart.question, document=document)
