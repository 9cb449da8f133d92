"""Serve the live page, /lab, on the web UI's own server: files, and what the page must know.

The page asks Prometheus itself, from the browser, so that watching costs the master nothing. What the image adds to the
files beside this module (Plotly's library, the panels as JSON) lies in LAB_WEB.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flask import Response

from swarm.page import DASHBOARD

HERE = Path(__file__).parent / "web"
ADDED = Path("/opt/lab/web")  # images/swarm.Dockerfile
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
PROMETHEUS_PORT = 9090


def add_routes(app: Any) -> None:
    """Add /lab and the files it names. A file that is not there is 404, never an error of the master's."""
    added = Path(os.environ.get("LAB_WEB") or ADDED)
    port = int(os.environ.get("LAB_PROMETHEUS_PORT") or PROMETHEUS_PORT)
    grafana = os.environ.get("LAB_GRAFANA_URL", "")

    def show_page() -> Response:
        return _file(HERE / "page.html")

    def show_file(name: str) -> Response:
        if name == "panels.json":
            return _panels(added / name, port, grafana)
        found = next((folder / name for folder in (HERE, added) if (folder / name).is_file()), None)
        if found is None or found.suffix not in KINDS or Path(name).name != name:
            return Response(f"no {name}\n", 404, mimetype="text/plain")
        return _file(found, most_age_s=3600 if found.parent == added else 0)

    app.add_url_rule("/lab", "lab-live", show_page, methods=["GET"])
    app.add_url_rule("/lab/live/<name>", "lab-live-file", show_file, methods=["GET"])


def _file(path: Path, most_age_s: int = 0) -> Response:
    answer = Response(path.read_bytes(), mimetype=KINDS[path.suffix])
    answer.headers["Cache-Control"] = f"max-age={most_age_s}" if most_age_s else "no-cache"
    return answer


def _panels(path: Path, port: int, grafana: str) -> Response:
    """Return the panels, and where else to look: Prometheus, and Grafana where the lab has one."""
    if not path.is_file():
        return Response("no panels\n", 404, mimetype="text/plain")
    links = [[grafana + DASHBOARD, "Grafana"]] if grafana else []
    told = json.loads(path.read_text()) | {"prometheus_port": port, "links": links}
    answer = Response(json.dumps(told), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-cache"
    return answer
