"""What stands in for Grafana's image on machines that cannot have it: a server that keeps annotations.

It runs in a container and shows what it was started with. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANNOTATIONS: list[dict[str, object]] = []
DATABASE = Path("/var/lib/grafana/grafana.db")  # fails where the volume cannot be written by the image's user


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/api/health":
            self._send(200, {"database": "ok", "version": "fake"})
        elif self.path == "/api/annotations":
            self._send(200, ANNOTATIONS)  # to look at without a login, as the lab's own is
        elif self.path.startswith("/started"):
            home = Path(os.environ["GF_PATHS_PROVISIONING"]).parent
            files = {str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()}
            settings = {name: text for name, text in os.environ.items() if name.startswith("GF_")}
            settings.pop("GF_SECURITY_ADMIN_PASSWORD")
            self._send(200, {"files": files, "settings": settings, "uid": os.getuid()})
        else:
            self._send(404, {"message": "not found"})

    def do_POST(self) -> None:
        if self._may_write():
            ANNOTATIONS.append({**self._body(), "id": len(ANNOTATIONS)})
            self._send(200, {"id": len(ANNOTATIONS) - 1, "message": "Annotation added"})

    def do_PATCH(self) -> None:
        if self._may_write():
            ANNOTATIONS[int(self.path.rsplit("/", 1)[-1])].update(self._body())
            self._send(200, {"message": "Annotation patched"})

    def _body(self) -> dict[str, object]:
        told: dict[str, object] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return told

    def _may_write(self) -> bool:
        admin = f"admin:{os.environ['GF_SECURITY_ADMIN_PASSWORD']}"
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(admin.encode()).decode()}":
            return True
        self.close_connection = True
        self._send(401, {"message": "Unauthorized"})
        return False

    def _send(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    DATABASE.write_text("a database")
    ThreadingHTTPServer(("0.0.0.0", 3000), Handler).serve_forever()
