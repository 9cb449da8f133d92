"""A small Grafana that keeps to the description of its API: it refuses what is not in it, and answers as it says.

Like a real one it rewrites what it stores (ids, versions, a newer schema), forbids what has no token, refuses names
that are taken, and sends a query on to the data source. What it is told to be troubled by comes first.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from tests.grafana.description import NotAsDescribed, check_answer, check_request

TOKEN = "glsa_0123456789abcdefghijklmnopqrstuv_89abcdef"
NEWER_SCHEMA = 42
Answer = tuple[int, Any]


class FakeGrafana:
    """A server on a port of the kernel's choice; use it in a `with`."""

    def __init__(self) -> None:
        self.sources: dict[str, dict[str, Any]] = {}
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}  # uid -> {"dashboard", "folderUid"}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []  # "GET /api/health", in order
        self.wrong: list[str] = []  # requests that are not the API's, answers that are not
        # Statuses to answer first, or "empty", "page", "502 page", "redirect", "hang up".
        self.troubles: list[int | str] = []
        self.may_write_sources = True
        self._numbers = iter(range(1, 10_000))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def changes(self) -> list[str]:
        return [line for line in self.asked if not line.startswith("GET ")]

    def __enter__(self) -> FakeGrafana:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, body: Any) -> Answer:
        """Return status and body. target: as in the request line."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        steps = [unquote(step) for step in parts.path.removeprefix("/api/").split("/")]
        match method, steps:
            case "GET", ["health"]:
                return 200, {"database": "ok", "version": "13.0.0", "commit": "fake"}
            case "GET", ["datasources", "uid", uid]:
                return self._found(self.sources.get(uid))
            case "POST", ["datasources"]:
                return self._add_source(body)
            case "PUT", ["datasources", "uid", uid] if uid in self.sources:
                self.sources[uid] |= body | {"version": self.sources[uid]["version"] + 1}
                told = {"datasource": self.sources[uid], "id": self.sources[uid]["id"], "name": body["name"]}
                return 200, {**told, "message": "Datasource updated"}
            case "DELETE", ["datasources", "uid", uid] if uid in self.sources:
                del self.sources[uid]
                return 200, {"message": "Data source deleted"}
            case "POST", ["ds", "query"]:
                return self._ask_source(body)
            case "GET", ["folders", uid]:
                return self._found(self.folders.get(uid))
            case "POST", ["folders"]:
                if body["uid"] in self.folders:
                    return 409, {"message": "a folder with that UID already exists"}
                self.folders[body["uid"]] = {**body, "id": next(self._numbers), "version": 1}
                return 200, self.folders[body["uid"]]
            case "DELETE", ["folders", uid] if uid in self.folders:
                del self.folders[uid]
                self.dashboards = {u: d for u, d in self.dashboards.items() if d["folderUid"] != uid}
                return 200, {"message": "Folder deleted", "title": "netpoll-lab"}
            case "GET", ["search"]:
                inside = [d for d in self.dashboards.values() if d["folderUid"] in query.get("folderUIDs", [])]
                return 200, [{"uid": d["dashboard"]["uid"], "title": d["dashboard"]["title"]} for d in inside]
            case "GET", ["dashboards", "uid", uid]:
                kept = self.dashboards.get(uid)
                told_meta = {"folderUid": kept["folderUid"], "slug": uid} if kept else {}
                return self._found({"dashboard": kept["dashboard"], "meta": told_meta} if kept else None)
            case "POST", ["dashboards", "db"]:
                return self._save_dashboard(body)
            case "DELETE", ["dashboards", "uid", uid] if uid in self.dashboards:
                title = self.dashboards.pop(uid)["dashboard"]["title"]
                return 200, {"message": f"Dashboard {title} deleted", "title": title, "uid": uid}
            case "GET", ["annotations"]:
                wanted = set(query.get("tags", []))
                return 200, [one for one in self.annotations.values() if wanted <= set(one["tags"])]
            case "POST", ["annotations"]:
                number = next(self._numbers)
                self.annotations[number] = {"timeEnd": body["time"], **body, "id": number}
                return 200, {"id": number, "message": "Annotation added"}
            case "PATCH", ["annotations", number] if int(number) in self.annotations:
                self.annotations[int(number)] |= body
                return 200, {"message": "Annotation patched"}
            case "DELETE", ["annotations", number] if int(number) in self.annotations:
                del self.annotations[int(number)]
                return 200, {"message": "Annotation deleted"}
        return 404, {"message": "Not found"}

    @staticmethod
    def _found(thing: dict[str, Any] | None) -> Answer:
        return (404, {"message": "Not found"}) if thing is None else (200, thing)

    def _add_source(self, body: dict[str, Any]) -> Answer:
        if not self.may_write_sources:
            return 403, {"message": "You'll need additional permissions to perform this action"}
        if body["uid"] in self.sources or body["name"] in {one["name"] for one in self.sources.values()}:
            return 409, {"message": "data source with the same name already exists"}
        kept = {**body, "id": next(self._numbers), "orgId": 1, "version": 1, "readOnly": False}
        self.sources[body["uid"]] = kept
        return 200, {"datasource": kept, "id": kept["id"], "name": kept["name"], "message": "Datasource added"}

    def _save_dashboard(self, body: dict[str, Any]) -> Answer:
        document = body["dashboard"]
        uid = document["uid"]
        before = self.dashboards.get(uid)
        if before is not None and not body.get("overwrite"):
            return 412, {"message": "A dashboard with the same uid already exists", "status": "name-exists"}
        if body.get("folderUid", "") not in {"", *self.folders}:
            return 400, {"message": "folder not found"}
        version = before["dashboard"]["version"] + 1 if before else 1
        number = before["dashboard"]["id"] if before else next(self._numbers)
        rewritten = {**document, "id": number, "version": version, "schemaVersion": NEWER_SCHEMA}
        self.dashboards[uid] = {"dashboard": rewritten, "folderUid": body.get("folderUid", "")}
        told = {"id": number, "uid": uid, "version": version, "status": "success", "title": document["title"]}
        return 200, {**told, "url": f"/d/{uid}/x"}

    def _ask_source(self, body: dict[str, Any]) -> Answer:
        results = {}
        for query in body["queries"]:
            url = self.sources[query["datasource"]["uid"]]["url"]
            found = requests.get(f"{url}/api/v1/query", params={"query": query["expr"]}, timeout=5).json()["data"]
            is_scalar = found["resultType"] == "scalar"
            pairs = [found["result"]] if is_scalar else [one["value"] for one in found["result"]]
            frames = [{"data": {"values": [[round(at * 1000)], [float(value)]]}} for at, value in pairs]
            results[query["refId"]] = {"status": 200, "frames": frames}
        return 200, {"results": results}


def _handler(grafana: FakeGrafana) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            target, headers = self.path, dict(self.headers.items())
            grafana.asked.append(f"{self.command} {target}")
            if grafana.troubles:
                self._be_troubled(grafana.troubles.pop(0))
                return
            try:
                check_request(self.command, target, headers, body)
            except NotAsDescribed as why:
                grafana.wrong.append(str(why))
                self._send(400, json.dumps({"message": str(why)}).encode())
                return
            if headers.get("Authorization") != f"Bearer {TOKEN}" and target != "/api/health":
                status, told = 401, {"message": "Unauthorized"}
            else:
                status, told = grafana.answer(self.command, target, json.loads(body or b"null"))
            answer = json.dumps(told).encode()
            try:
                check_answer(self.command, target, headers, body, status, answer)
            except NotAsDescribed as why:
                grafana.wrong.append(str(why))
            self._send(status, answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def _be_troubled(self, how: int | str) -> None:
            if how == "hang up":
                self.close_connection = True
            elif how == "redirect":
                self.send_response(302)
                self.send_header("Location", "http://127.0.0.1:1/login")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif how == "page":
                self._send(200, b"<!doctype html><title>Log in</title>", "text/html")
            elif how == "502 page":
                self._send(502, b"<p>a message</p>", "text/html")
            elif how == "empty":
                self._send(200, b"")
            else:
                self._send(int(how), b'{"message": "trouble"}')

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    return Handler
