"""An engine is found where it was named, and only the one this lab started is stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from orchestrator.containers import engine
from orchestrator.containers.engine import ensure_engine, find_engine, started_engine, stop_engine
from orchestrator.containers.labels import Owner, owner_of
from orchestrator.errors import EnvironmentMissing

INSTALL = (
    "no Docker engine: none answers at DOCKER_HOST, the current context or the default socket. "
    "Install one and try again: sudo apt-get update && sudo apt-get install -y docker.io && "
    "sudo systemctl start docker && sudo usermod -aG docker $USER (then log in anew)"
)


class FakeEngine(BaseHTTPRequestHandler):
    """As much of an engine as `docker version` sees."""

    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.41"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextmanager
def engine_at(path: Path) -> Iterator[str]:
    """Serve a fake engine on a socket; give its address."""
    with ThreadingUnixStreamServer(str(path), FakeEngine) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two live processes of the test's own."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def record(state: Path, owner: Owner) -> Path:
    """Write an engine's record as the lab does."""
    path = state / "engine.json"
    path.write_text(json.dumps(asdict(owner)))
    return path


def write_pid(folder: Path, pid: int) -> Path:
    """Write a pid file as an engine does."""
    path = folder / "docker.pid"
    path.write_text(str(pid))
    return path


def reaped() -> subprocess.Popen[bytes]:
    """Return a process that has ended and was waited for."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process


def test_the_engine_that_docker_host_names_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the context and not the default socket."""
    with engine_at(tmp_path / "s") as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        client = find_engine()

        assert client is not None
        assert ("http+docker://localhost", "1.41") == (client.api.base_url, client.api.api_version)
        client.close()


def test_a_silent_docker_host_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other engine is taken in its place."""
    named = f"unix://{tmp_path}/dead.sock"
    monkeypatch.setenv("DOCKER_HOST", named)

    with pytest.raises(EnvironmentMissing) as caught:
        find_engine()

    before, _, rest = str(caught.value).partition("(")
    reason, _, after = rest.rpartition(")")
    assert f"DOCKER_HOST={named}: no Docker engine answers there " == before
    assert ". Start it, or unset DOCKER_HOST to use the default socket." == after
    assert ("No such file or directory" in reason, True) == (True, reason.isprintable())


def test_the_default_socket_is_tried_after_a_silent_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context left over from another machine does not hide the engine."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "_context_host", lambda: f"unix://{tmp_path}/dead.sock")
    with engine_at(tmp_path / "s") as address:
        monkeypatch.setattr(engine, "_SOCKET", address)
        client = find_engine()

        assert client is not None
        client.close()


def test_where_nothing_answers_there_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody named one, so this is no error."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "_context_host", lambda: None)
    monkeypatch.setattr(engine, "_SOCKET", f"unix://{tmp_path}/dead.sock")

    assert None is find_engine()


def test_without_root_nothing_is_installed_and_the_commands_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is what a person pastes; nothing was said, because nothing was begun."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "_context_host", lambda: None)
    monkeypatch.setattr(engine, "_SOCKET", f"unix://{tmp_path}/dead.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))  # no dockerd and no apt-get is found, so none can be run
    said: list[str] = []

    with pytest.raises(EnvironmentMissing) as caught:
        ensure_engine(tmp_path / "state", said.append)

    assert (INSTALL, [], False) == (str(caught.value), said, (tmp_path / "state").exists())


def test_without_root_an_engine_at_rest_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed and silent has another remedy than absent."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(EnvironmentMissing) as caught:
        engine._start(tmp_path / "state", print)

    assert (
        "a Docker engine is installed but does not answer. Start it: sudo systemctl start docker "
        "(and be in the group docker: sudo usermod -aG docker $USER, then log in anew)"
    ) == str(caught.value)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"pid": 1}'])
def test_without_a_record_no_engine_is_stopped(tmp_path: Path, content: str | None) -> None:
    """An absent or garbled record names nobody."""
    if content is not None:
        (tmp_path / "engine.json").write_text(content)

    assert "no engine was started by this lab; none is stopped" == stop_engine(tmp_path)
    assert None is started_engine(tmp_path)


def test_the_recorded_engine_is_stopped_and_only_it(tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]) -> None:
    """It gets SIGTERM; a process beside it lives on; the record is gone."""
    ours, other = sleepers
    path = record(tmp_path, owner_of(ours.pid, "engine"))

    assert f"dockerd, pid {ours.pid}, log {tmp_path}/dockerd.log" == started_engine(tmp_path)
    assert f"stopped the engine this lab started (pid {ours.pid})" == stop_engine(tmp_path)
    assert (-15, None, False) == (ours.wait(10), other.poll(), path.exists())


def test_an_engine_that_is_gone_is_not_stopped(tmp_path: Path) -> None:
    """Its record is removed."""
    with subprocess.Popen(["sleep", "60"]) as process:
        path = record(tmp_path, owner_of(process.pid, "engine"))
        process.kill()

    assert None is started_engine(tmp_path)
    assert f"the engine this lab started (pid {process.pid}) is already gone" == stop_engine(tmp_path)
    assert not path.exists()


def test_a_stranger_with_the_engines_old_pid_is_left_alone(
    tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    """The start time tells it from the engine."""
    owner = owner_of(sleepers[0].pid, "engine")
    record(tmp_path, replace(owner, start_ticks=owner.start_ticks - 1))

    assert f"the engine this lab started (pid {owner.pid}) is already gone" == stop_engine(tmp_path)
    assert None is sleepers[0].poll()


def test_the_pid_file_of_a_dead_process_is_dropped(tmp_path: Path) -> None:
    """dockerd would start; but the number may be given out before it does."""
    path = write_pid(tmp_path, reaped().pid)
    engine._drop_stale_pid_file(path, "dockerd")

    assert not path.exists()


def test_a_pid_file_that_names_another_program_is_dropped(
    tmp_path: Path, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    """The number was given out anew; its new owner lives on."""
    path = write_pid(tmp_path, sleepers[0].pid)
    engine._drop_stale_pid_file(path, "dockerd")

    assert (False, None) == (path.exists(), sleepers[0].poll())


def test_the_pid_file_of_a_zombie_is_dropped(tmp_path: Path) -> None:
    """A killed engine that nobody waited for keeps its name and its number."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and left unreaped
        path = write_pid(tmp_path, process.pid)
        engine._drop_stale_pid_file(path, "sleep")

        assert (False, None) == (path.exists(), engine._command_of(process.pid))


def test_the_pid_file_of_a_live_engine_is_kept(tmp_path: Path) -> None:
    """A program of that name, with a parenthesis in it for good measure, runs under that number."""
    program = tmp_path / "lab) engine"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as process:
        path = write_pid(tmp_path, process.pid)
        engine._drop_stale_pid_file(path, "lab) engine")

        assert (True, True) == (path.exists(), engine._is_running("lab) engine"))
        process.kill()


def test_without_a_pid_file_there_is_nothing_to_drop(tmp_path: Path) -> None:
    """The first start finds none."""
    engine._drop_stale_pid_file(tmp_path / "docker.pid", "dockerd")

    assert [] == list(tmp_path.iterdir())
