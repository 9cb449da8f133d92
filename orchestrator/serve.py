"""Show kept runs on the live page: the same page, panels and drawing, with files in place of Prometheus.

One small HTTP server on 127.0.0.1 for `lab report --serve`. A trial's charts leave as they lie in the run's folder,
gzipped; nothing is computed and nothing written. Only who asks for 127.0.0.1 or localhost by name is answered, so that
no page from elsewhere can read results through a browser.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from dashboards import live
from orchestrator.containers.recipes import HOME, chart_library
from orchestrator.errors import EnvironmentMissing, LabError
from orchestrator.results.series import list_tracks
from orchestrator.results.store import open_store

WEB = HOME / "swarm" / "web"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_IDLE_S = 30.0  # a kept connection that stays silent is closed


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent. encoding: of the body, as it lies on the disk."""

    status: HTTPStatus
    kind: str
    body: bytes
    encoding: str = ""
    location: str = ""


class Site:
    """Where the results are, and which run is shown first ("": the newest)."""

    def __init__(self, results: Path, chosen: str = "") -> None:
        self.results = results
        self.chosen = chosen

    def answer(self, path: str) -> Reply:
        """Return the reply to GET of a path. What is not there is 404; damage is 500 with its line."""
        try:
            return self._answer(unquote(path.partition("?")[0]))
        except LabError as error:
            return _json({"error": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _answer(self, path: str) -> Reply:
        match path.strip("/").split("/"):
            case [""]:
                return Reply(HTTPStatus.FOUND, "text/plain", b"the page is at /lab\n", location="/lab")
            case ["lab"]:
                return _file(WEB / "page.html")
            case ["lab", "live", "panels.json"]:
                return _json(live.document(is_kept=True) | {"stored": True})
            case ["lab", "live", "plotly.min.js"]:
                return _file(chart_library())
            case ["lab", "live", "runs.json"]:
                return self._runs()
            case ["lab", "live", name] if _NAME.fullmatch(name) and (WEB / name).suffix in KINDS:
                return _file(WEB / name)
            case ["lab", "live", "runs", name] if name.endswith(".json") and _NAME.fullmatch(name):
                files = list_tracks(self.results, name.removesuffix(".json"), "panels")
                return _json({"files": [file.name for file in files]})
            case ["lab", "live", "runs", run_id, name] if _NAME.fullmatch(run_id):
                found = [file for file in list_tracks(self.results, run_id, "panels") if file.name == name]
                if found:
                    return Reply(HTTPStatus.OK, "application/json", found[0].read_bytes(), encoding="gzip")
        return _json({"error": f"{path[:100]} is not here; the page is at /lab"}, HTTPStatus.NOT_FOUND)

    def _runs(self) -> Reply:
        with open_store(self.results / "lab.db") as store:
            entries = store.list_runs()
        chosen = self.chosen or next(
            (one.run_id for one in entries if list_tracks(self.results, one.run_id, "panels")), ""
        )
        chosen = chosen or (entries[0].run_id if entries else "")
        return _json({"chosen": chosen, "runs": [asdict(one) for one in entries]})


class Server(ThreadingHTTPServer):
    """The server, bound and listening; `serve_forever` answers. Raises EnvironmentMissing for a port that is taken."""

    daemon_threads = True

    def __init__(self, site: Site, port: int) -> None:
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as why:
            raise EnvironmentMissing(
                f"127.0.0.1:{port}: expected a free port for the page, but {why.strerror or why}. Try: --port 0 (any)"
            ) from why
        self.site = site

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/lab"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "netpoll-lab"
    sys_version = ""
    timeout = _IDLE_S

    def do_GET(self) -> None:
        """Answer GET; there is nothing else to do here."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host in ("127.0.0.1", "localhost"):
            reply = self.server.site.answer(self.path)
        else:
            reply = _json({"error": "this page is for 127.0.0.1 only"}, HTTPStatus.FORBIDDEN)
        try:
            self._send(reply)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the reader went away

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the terminal belongs to the person."""

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", f"{reply.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (("Content-Encoding", reply.encoding), ("Location", reply.location)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)


def _file(path: Path) -> Reply:
    if not path.is_file():
        return _json({"error": f"{path.name} is not here; the page is at /lab"}, HTTPStatus.NOT_FOUND)
    return Reply(HTTPStatus.OK, KINDS[path.suffix], path.read_bytes())


def _json(document: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status, "application/json", json.dumps(document).encode())
