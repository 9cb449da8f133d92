"""Find a Docker engine, or install and start one where that is allowed.

Looked for in the order the docker command uses: DOCKER_HOST, the current context, the default socket. Installing is
done only as root on a machine with apt, and is said before it is done. An engine the lab started by hand is recorded
in `.lab/engine.json`, so that `lab down --engine` stops exactly that process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import docker
from docker.context import ContextAPI
from docker.errors import DockerException

from orchestrator.containers.labels import Owner, is_alive, owner_of
from orchestrator.errors import EnvironmentMissing

Say = Callable[[str], None]

_START_DEADLINE_S = 90.0  # a first start creates the storage root and its bridges; seen: 2 to 6 s
_API_TIMEOUT_S = 120
_SOCKET = "unix:///var/run/docker.sock"
_PID_FILES = {"dockerd": Path("/var/run/docker.pid"), "containerd": Path("/var/run/docker/containerd/containerd.pid")}


def find_engine() -> docker.DockerClient | None:
    """Return a client of the engine that answers, or None.

    Raises EnvironmentMissing when DOCKER_HOST names one and it is silent.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        try:
            return _client(None)
        except DockerException as error:
            raise EnvironmentMissing(
                f"DOCKER_HOST={named}: no Docker engine answers there ({_brief(error)}). "
                "Start it, or unset DOCKER_HOST to use the default socket."
            ) from error
    for host in dict.fromkeys(h for h in (_context_host(), _SOCKET) if h):
        try:
            return _client(host)
        except DockerException:
            continue
    return None


def ensure_engine(state: Path, say: Say) -> docker.DockerClient:
    """Return a client of a running engine, installing and starting one first where there is none.

    state: the folder for the engine's record and log. Raises EnvironmentMissing with the commands to run.
    """
    found = find_engine()
    if found is not None:
        return found
    if shutil.which("dockerd") is None:
        _install(say)
    _start(state, say)
    deadline_s = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline_s:
        found = find_engine()
        if found is not None:
            return found
        time.sleep(0.2)
    raise EnvironmentMissing(
        f"dockerd was started but did not answer on {_SOCKET} within {_START_DEADLINE_S:.0f} s; "
        f"last line of its log: {_tail(state / 'dockerd.log')!r}. Try: dockerd in a terminal of its own."
    )


def stop_engine(state: Path) -> str:
    """Stop the engine this lab started, and no other; return what was done in words."""
    owner = _read_record(state)
    if owner is None:
        return "no engine was started by this lab; none is stopped"
    (state / "engine.json").unlink(missing_ok=True)
    if not is_alive(owner):
        return f"the engine this lab started (pid {owner.pid}) is already gone"
    os.kill(owner.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + 30.0
    while is_alive(owner):
        if time.monotonic() > deadline_s:
            raise EnvironmentMissing(
                f"dockerd (pid {owner.pid}) did not end within 30 s of SIGTERM. Try: kill {owner.pid}"
            )
        time.sleep(0.1)
    return f"stopped the engine this lab started (pid {owner.pid})"


def started_engine(state: Path) -> str | None:
    """Return a line naming the engine this lab started and that still runs, or None."""
    owner = _read_record(state)
    if owner is None or not is_alive(owner):
        return None
    return f"dockerd, pid {owner.pid}, log {state / 'dockerd.log'}"


def _client(host: str | None) -> docker.DockerClient:
    # pool: a pod starts and clears its containers side by side, each call on a connection of its own
    if host is None:
        client = docker.from_env(timeout=_API_TIMEOUT_S, max_pool_size=32)
    else:
        client = docker.DockerClient(base_url=host, timeout=_API_TIMEOUT_S, max_pool_size=32)
    client.ping()
    return client


def _context_host() -> str | None:
    """Return the address of the current docker context, or None where there is none to read."""
    try:
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    except (DockerException, OSError, ValueError, KeyError):
        return None
    return str(context.Host) if context is not None and context.Host else None


def _install(say: Say) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EnvironmentMissing(
            "no Docker engine: none answers at DOCKER_HOST, the current context or the default socket. "
            "Install one and try again: sudo apt-get update && sudo apt-get install -y docker.io && "
            "sudo systemctl start docker && sudo usermod -aG docker $USER (then log in anew)"
        )
    say("no Docker engine found: installing Debian's docker.io with apt-get")
    apt_install(["docker.io"])


def apt_install(packages: list[str]) -> None:
    """Install Debian packages as root. Raises EnvironmentMissing with the end of apt's own words."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            raise EnvironmentMissing(
                f"'{' '.join(command)}' ended with {done.returncode}: {last}. Run it by hand, then try again."
            )


def _start(state: Path, say: Say) -> None:
    if os.geteuid() != 0:
        raise EnvironmentMissing(
            "a Docker engine is installed but does not answer. Start it: sudo systemctl start docker "
            "(and be in the group docker: sudo usermod -aG docker $USER, then log in anew)"
        )
    if Path("/run/systemd/system").is_dir():
        say("starting the Docker engine: systemctl start docker")
        done = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EnvironmentMissing(
                f"'systemctl start docker' ended with {done.returncode}. Try: journalctl -u docker -n 50"
            )
        return
    if _is_running("dockerd"):
        say("a dockerd is already starting; waiting for it")
        return
    state.mkdir(parents=True, exist_ok=True)
    for name, path in _PID_FILES.items():
        _drop_stale_pid_file(path, name)
    log = state / "dockerd.log"
    say(f"starting dockerd in the background (no systemd here); its log: {log}")
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    (state / "engine.json").write_text(json.dumps(asdict(owner_of(process.pid, "engine"))))


def _drop_stale_pid_file(path: Path, name: str) -> None:
    """Remove the pid file of an engine that was killed: dockerd refuses to start when the number was given out anew."""
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return
    if _command_of(pid) != name:
        path.unlink(missing_ok=True)


def _is_running(name: str) -> bool:
    return any(_command_of(int(p.name)) == name for p in Path("/proc").iterdir() if p.name.isdigit())


def _command_of(pid: int) -> str | None:
    """Return the name of a live process; a killed one that nobody has waited for (state Z) is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, state = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2]
    return None if state in "ZX" else name


def _read_record(state: Path) -> Owner | None:
    try:
        return Owner(**json.loads((state / "engine.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "empty"


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
