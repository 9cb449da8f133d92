"""Who is told of a night: a webhook on a real server, a real command; what a secret must never be in."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.hosts import notify as module
from orchestrator.hosts.notify import ATTEMPTS, notify
from orchestrator.model import Notify

TOLD = {"text": "netpoll-lab nightly: fine", "verdict": "fine", "exit_code": 0, "report": "/tmp/report.html"}
SECRET = "services/T00/B11/s3cr3t"


class Receiver:
    """A webhook's far end: answers with the codes given, one after another, the last one for ever."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.got = list(codes), list[dict[str, Any]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append({"path": self.path, "json": json.loads(body)})
                code = receiver.codes.pop(0) if len(receiver.codes) > 1 else receiver.codes[0]
                self.send_response(code)
                if code in (301, 302, 307):
                    self.send_header("Location", f"/elsewhere/{SECRET}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/{SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[Receiver] = []

    def start(*codes: int) -> Receiver:
        made.append(Receiver(*codes))
        monkeypatch.setenv("LAB_TEST_WEBHOOK", made[-1].url)
        return made[-1]

    yield start
    for one in made:
        one.server.shutdown()
        one.server.server_close()


WANTED = Notify(webhook_env="LAB_TEST_WEBHOOK")


def test_the_webhook_gets_the_verdict_as_json(serve: Any, said: list[str], tmp_path: Path) -> None:
    """Once, at its whole path."""
    receiver = serve(200)

    assert notify(WANTED, tmp_path, TOLD, said.append)
    assert ([{"path": f"/{SECRET}", "json": TOLD}], []) == (receiver.got, said)


def test_a_busy_receiver_is_asked_again(serve: Any, said: list[str], tmp_path: Path) -> None:
    """Until it takes it, with growing pauses."""
    receiver, slept = serve(503, 429, 204), list[float]()

    assert notify(WANTED, tmp_path, TOLD, said.append, slept.append)
    assert (3, [], [2.0, 8.0]) == (len(receiver.got), said, slept)


@pytest.mark.parametrize(("code", "times"), [(500, ATTEMPTS), (404, 1), (302, 1)])
def test_a_receiver_that_never_takes_it_is_told_of(
    serve: Any, said: list[str], tmp_path: Path, code: int, times: int
) -> None:
    """What cannot get better is not tried again; a redirect, which would carry the secret on, is not followed."""
    receiver = serve(code)

    assert not notify(WANTED, tmp_path, TOLD, said.append, lambda _: None)
    assert times == len(receiver.got)
    assert said[0].startswith(f"the webhook was not told: it answered {code}")


def test_no_part_of_the_url_is_said_or_logged(
    serve: Any, said: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused connections, refused requests, a malformed URL, a name that does not exist."""
    serve(403)
    with caplog.at_level(logging.INFO):
        for url in (
            None,
            f"http://127.0.0.1:1/{SECRET}",
            f"http://[bad/{SECRET}",
            f"ftp://x/{SECRET}",
            f"https://a..b/{SECRET}",
        ):
            if url is not None:
                monkeypatch.setenv("LAB_TEST_WEBHOOK", url)
            assert not notify(WANTED, tmp_path, TOLD, said.append, lambda _: None)

    assert 5 == len(said)
    assert [] == [line for line in [*said, *(record.getMessage() for record in caplog.records)] if "s3cr3t" in line]
    assert "the webhook was not told: no connection, 3 times" == said[1]


def test_the_url_may_lie_in_a_file(serve: Any, said: list[str], tmp_path: Path) -> None:
    """Beside the lab file or anywhere; an absent one is named."""
    receiver = serve(200)
    (tmp_path / "hook").write_text(receiver.url + "\n")

    assert notify(Notify(webhook_file="hook"), tmp_path, TOLD, said.append)
    assert not notify(Notify(webhook_file="none"), tmp_path, TOLD, said.append)
    assert ["the webhook was not told: none cannot be read or is empty; it holds the URL to post to"] == said


def test_a_variable_that_is_not_set_is_named(said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is under cron, which knows nobody's environment."""
    monkeypatch.delenv("LAB_TEST_WEBHOOK", raising=False)

    assert not notify(WANTED, tmp_path, TOLD, said.append)
    assert ["the webhook was not told: LAB_TEST_WEBHOOK is not set; it holds the URL to post to"] == said


def test_a_command_gets_report_and_verdict_in_its_environment(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in the lab's folder, without a terminal and without the webhook's secret."""
    monkeypatch.setenv("LAB_TEST_WEBHOOK", f"http://127.0.0.1:1/{SECRET}")
    script = "import json, os, sys; json.dump([dict(os.environ), os.getcwd(), sys.stdin.read()], open('told', 'w'))"
    wanted = Notify(webhook_env="LAB_TEST_WEBHOOK", command=(sys.executable, "-c", script))
    reached = notify(wanted, tmp_path, TOLD, said.append, lambda _: None)
    environment, folder, typed = json.loads((tmp_path / "told").read_text())

    assert (False, os.path.realpath(tmp_path), "") == (reached, folder, typed)
    assert ("fine", "0", "/tmp/report.html") == tuple(
        environment[f"LAB_NIGHTLY_{key}"] for key in ("VERDICT", "EXIT_CODE", "REPORT")
    )
    assert "LAB_TEST_WEBHOOK" not in environment


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("false",), "ended with 1"),
        (("sh", "-c", "echo first; echo no mail here >&2; exit 3"), "ended with 3: no mail here"),
        (("./no-such-command",), "No such file or directory; write a command that"),
    ],
)
def test_a_command_that_fails_is_told_of(said: list[str], tmp_path: Path, command: tuple[str, ...], what: str) -> None:
    """Its name, its exit code, its last line."""
    assert not notify(Notify(command=command), tmp_path, TOLD, said.append)
    assert said[0].startswith(f"nightly.notify.command {command[0]}: {what}")


def test_a_command_that_hangs_is_stopped(said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it left in the background cannot hold the night up either."""
    monkeypatch.setattr(module, "_COMMAND_S", 0.3)

    assert not notify(Notify(command=("sh", "-c", "sleep 5 & sleep 5")), tmp_path, TOLD, said.append)
    assert "did not end within 0 s, and was stopped" in said[0]


def test_nobody_to_tell_is_nobody_missed(said: list[str], tmp_path: Path) -> None:
    """The default."""
    assert (True, []) == (notify(Notify(), tmp_path, TOLD, said.append), said)
