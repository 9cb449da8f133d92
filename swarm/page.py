"""Show connections on Locust's page: beside the users in a line of its own, and by variant under a tab.

Two additions that Locust's page is made for or does not notice: a table through `extended_tabs` and `extended_stats`
(Locust's own extension of its page, see its docs, "extending the web UI"), and one line above the page's root, filled
from /lab/state once a second. Nothing inside the page's own tree is touched, so the next version can move it about.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from html import escape
from typing import Any

from flask import Response, request

TAB = "connections"
ROOT = '<div id="root"></div>'
COLUMNS = (
    ("variant", "Variant"),
    ("users", "Users"),
    ("established", "Connections established"),
    ("connecting", "Connecting"),
    ("waiting", "Waiting for an answer"),
    ("answered", "Answered"),
    ("failed", "Failed"),
    ("planned", "Planned"),
    ("sent", "Sent"),
    ("late", "Late"),
    ("dropped", "Dropped"),
)
# Its own colours: the page is light or dark, and this line stands outside its theme.
BAR = """<div id="lab-bar" role="status" style="font: 600 14px/32px system-ui, sans-serif; padding: 0 24px;
  background: #15252d; color: #fff; min-height: 32px"><span></span>
  <a href="./lab" style="color: #9fd3ff; float: right">Live, side by side</a>{grafana}</div>
<script>
(function () {
  const bar = document.getElementById("lab-bar"), grouped = new Intl.NumberFormat("en");
  async function show() {
    try {
      const state = await (await fetch("./lab/state")).json(), now = state.connections;
      let text = "Users " + grouped.format(state.user_count)
        + " \\u00b7 Connections established " + grouped.format(now.established);
      if (now.connecting) text += " \\u00b7 connecting " + grouped.format(now.connecting);
      if (now.failed) text += " \\u00b7 failed " + grouped.format(now.failed);
      if (now.planned) text += " \\u00b7 planned " + grouped.format(now.planned) + ", sent " + grouped.format(now.sent)
        + ", late " + grouped.format(now.late) + ", dropped " + grouped.format(now.dropped);
      for (const [variant, why] of Object.entries(state.left_out)) text += " \\u00b7 " + variant + " left out: " + why;
      if (state.ramp) text += " \\u00b7 " + state.ramp;
      bar.firstChild.textContent = text;
    } catch (error) {
      bar.firstChild.textContent = "The master does not answer.";
    }
    setTimeout(show, 1000);
  }
  show();
})();
</script>
"""


GRAFANA = """<a href="{address}" style="color: #9fd3ff; float: right; margin-right: 24px">Grafana</a>"""
DASHBOARD = "/d/netpoll-lab-compare"


def render_bar(grafana_url: str) -> str:
    """Return the line above Locust's page. grafana_url: where the dashboards are; "" for no link."""
    link = GRAFANA.replace("{address}", escape(grafana_url + DASHBOARD)) if grafana_url else ""
    return BAR.replace("{grafana}", link)


def extend(web_ui: Any, read_rows: Callable[[], list[dict[str, Any]]]) -> None:
    """Add both to Locust's web UI. read_rows: the ledger's sums by variant."""
    bar = render_bar(os.environ.get("LAB_GRAFANA_URL", ""))
    structure = [{"key": key, "title": title} for key, title in COLUMNS]
    web_ui.template_args["extended_tabs"] = [{"title": "Connections", "key": TAB}]
    web_ui.template_args["extended_tables"] = [{"key": TAB, "structure": structure}]

    def add(response: Response) -> Response:
        if request.method != "GET" or response.status_code != 200:
            return response
        if request.path.endswith("/stats/requests"):
            # Locust keeps this answer for two seconds and gives the same object again: it is extended anew each time.
            rows = [{key: row[key] for key, _ in COLUMNS} for row in read_rows()]
            told = dict(response.get_json()) | {"extended_stats": [{"key": TAB, "data": rows}]}
            response.set_data(json.dumps(told))
        elif request.path.endswith("/") and response.mimetype == "text/html":
            response.set_data(response.get_data(as_text=True).replace(ROOT, bar + ROOT, 1))
        return response

    web_ui.app.after_request(add)
