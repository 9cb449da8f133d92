"""Start one container from a spec, look into it, and take it away.

Everything launched here carries the lab's labels. A container that did not come up says so with its exit code and the
last line of its log.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Ulimit

from orchestrator.containers.labels import SPEC, Owner, labels
from orchestrator.errors import LimitRefused, NotReady, Unsupported

NOBODY = "65534:65534"
_UNSUPPORTED = "unsupported: "  # begins the line of a server that ends with _NOT_HERE (servers/CONTRACT.md)
_NOT_HERE = 3
_MOST_WORDS = 200  # of such a line
_REMOVALS = 5  # tries
_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Spec:
    """One container to be; the defaults are the safe ones: unprivileged, read-only, no capability."""

    role: str
    name: str  # full container name, unique on the engine
    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None  # instead of the image's own
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None  # a network's name; None with join unset: no network at all
    join: str | None = None  # the id of the container whose network namespace it shares
    join_pids: str | None = None  # the id of the container whose processes it shares, and with whose first one it ends
    sysctls: Mapping[str, str] = field(default_factory=dict)
    nofile: int | None = None
    cpus: str | None = None
    ports: Mapping[int, int] = field(default_factory=dict)  # container port -> port on 127.0.0.1
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)  # host path or volume name -> "path:mode"
    user: str = NOBODY
    capabilities: tuple[str, ...] = ()
    host_pids: bool = False
    health_check: bool = False  # the image's own; off in trials, where its exec would be load on the server's CPUs
    alias: str | None = None  # the name other containers of the control network find it by
    seccomp: str = ""  # a profile's JSON text; "" for the engine's own
    cpu_shares: int | None = None  # of the CPUs it shares, where they are short; everybody else has 1,024

    def digest(self) -> str:
        """Return what identifies the spec, to see later whether a running container still is what is wanted."""
        parts = {k: getattr(self, k) for k in self.__slots__}
        text = json.dumps(parts, default=dict, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Running:
    """A started container."""

    id: str
    name: str
    pid: int  # of its first process, as the engine's host counts


def launch(client: docker.DockerClient, spec: Spec, lab: str, owner: Owner, *, keeps_ended: bool = False) -> Running:
    """Create and start a container. Raises LimitRefused when the engine refuses a limit, NotReady for the rest.

    keeps_ended: one that ended at once stays, to be looked into; without it nothing is left of what did not come up.
    """
    options: dict[str, Any] = {
        "name": spec.name,
        "environment": dict(spec.environment),
        "labels": labels(lab, spec.role, owner, spec.digest()),
        "read_only": True,
        "user": spec.user,
        "cap_drop": ["ALL"],
        "cap_add": list(spec.capabilities),
        "security_opt": ["no-new-privileges", *([f"seccomp={spec.seccomp}"] if spec.seccomp else [])],
        "sysctls": dict(spec.sysctls),
        "tmpfs": dict(spec.tmpfs),
        "volumes": [f"{source}:{target}" for source, target in spec.volumes.items()],
        "ports": {f"{inside}/tcp": ("127.0.0.1", outside) for inside, outside in spec.ports.items()},
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "cgroupns": "host" if spec.host_pids else None,
        "pid_mode": "host" if spec.host_pids else f"container:{spec.join_pids}" if spec.join_pids else None,
    }
    if spec.entrypoint is not None:
        options["entrypoint"] = list(spec.entrypoint)
    if not spec.health_check:
        options["healthcheck"] = {"test": ["NONE"]}
    if spec.nofile is not None:
        options["ulimits"] = [Ulimit(name="nofile", soft=spec.nofile, hard=spec.nofile)]
    if spec.cpus is not None:
        options["cpuset_cpus"] = spec.cpus
    if spec.cpu_shares is not None:
        options["cpu_shares"] = spec.cpu_shares
    if spec.join is not None:
        options["network_mode"] = f"container:{spec.join}"
    elif spec.network is not None:
        options["network"] = spec.network
        if spec.alias:
            options["networking_config"] = {spec.network: client.api.create_endpoint_config(aliases=[spec.alias])}
    else:
        options["network_mode"] = "none"
    try:
        container = client.containers.create(spec.image, list(spec.command) if spec.command else None, **options)
    except APIError as error:
        raise _refusal(spec, error) from error
    try:
        container.start()
    except APIError as error:
        with contextlib.suppress(APIError):
            container.remove(force=True)
        raise _refusal(spec, error) from error
    try:
        return running(container, stays=keeps_ended)
    except (NotReady, Unsupported):
        if not keeps_ended:
            remove(client, str(container.id))
        raise


def ensure(client: docker.DockerClient, spec: Spec, lab: str, owner: Owner) -> tuple[Running, bool]:
    """Leave alone a container that runs as this spec wants; replace one that ended or changed; start an absent one.

    Returns the container and whether it was started now. One that ended at once stays, for docker logs.
    """
    try:
        present = client.containers.get(spec.name)
    except NotFound:
        return launch(client, spec, lab, owner, keeps_ended=True), True
    if present.status == "running" and present.labels.get(SPEC) == spec.digest():
        return running(present), False
    remove(client, str(present.id))
    return launch(client, spec, lab, owner, keeps_ended=True), True


def running(container: Container, *, stays: bool = True) -> Running:
    """Return the pid of a started container. Raises NotReady, or Unsupported, when it has ended already.

    stays: whether its log can still be looked into afterwards.
    """
    container.reload()
    state = container.attrs["State"]
    if not state["Running"]:
        if (words := _unsupported(container)) is not None:
            raise Unsupported(words)
        said = last_log(container, stays)
        raise NotReady(f"{container.name}: ended at once with exit code {state['ExitCode']}; {said}")
    return Running(str(container.id), str(container.name), int(state["Pid"]))


def run_inside(client: docker.DockerClient, container_id: str, command: list[str]) -> tuple[int, str]:
    """Run a command in a container; return (exit code, standard output). Raises NotReady when it is not running."""
    try:
        job = client.api.exec_create(container_id, command, stderr=False)
        output = client.api.exec_start(job["Id"])
        code = client.api.exec_inspect(job["Id"])["ExitCode"]
    except APIError as error:
        raise NotReady(f"container {container_id[:12]}: could not run {command[0]}: {error.explanation}") from error
    return int(code if code is not None else -1), bytes(output).decode(errors="replace")


def remove(client: docker.DockerClient, container_id: str) -> None:
    """Remove a container with its anonymous volumes, running or not; one that is gone already is fine."""
    for is_last in (False,) * (_REMOVALS - 1) + (True,):
        try:
            client.api.remove_container(container_id, v=True, force=True)
            return
        except NotFound:
            return
        except (APIError, requests.ReadTimeout) as error:
            if isinstance(error, APIError) and "already in progress" in str(error.explanation):
                return
            if is_last:
                raise
            time.sleep(_AGAIN_S)


def stop(client: docker.DockerClient, container_id: str, grace_s: int) -> None:
    """Ask a container to end (SIGTERM), give it grace_s seconds, and remove it; one that is gone already is fine."""
    # A busy engine may fail to stop what it then removes: seen with a hundred containers, "PID is zombie and can not be
    # killed".
    with contextlib.suppress(NotFound, APIError, requests.ReadTimeout):
        client.api.stop(container_id, timeout=grace_s)
    remove(client, container_id)


def ended(client: docker.DockerClient, container: Running) -> str | None:
    """Return how a container ended, in words, or None while it runs."""
    try:
        state = client.api.inspect_container(container.id)["State"]
    except NotFound:
        return f"{container.name} is gone"
    if state["Running"]:
        return None
    killed = ", out of memory" if state.get("OOMKilled") else ""
    return f"{container.name} ended during the trial with exit code {state['ExitCode']}{killed}"


def unsupported(client: docker.DockerClient, container: Running) -> str | None:
    """Return the line of a server that ended because its technique is refused here; None for any other."""
    try:
        return _unsupported(client.containers.get(container.id))
    except NotFound:
        return None


def _unsupported(container: Container) -> str | None:
    state = container.attrs["State"]
    if state["Running"] or state["ExitCode"] != _NOT_HERE:
        return None
    lines = container.logs(stdout=False, tail=20).decode(errors="replace").splitlines()
    found = next((line for line in lines if line.startswith(_UNSUPPORTED)), None)
    return None if found is None else " ".join(found.split())[:_MOST_WORDS]


def last_log(container: Container, stays: bool = True) -> str:
    """Return the end of a container's log as a phrase: its last line and the command that shows the rest, if it stays;
    otherwise all that will be seen of it."""
    try:
        lines = container.logs(tail=3).decode(errors="replace").strip().splitlines()
    except APIError:
        lines = []
    if not stays:
        return f"its last words: {' / '.join(lines)[-_MOST_WORDS:] or 'none'!r}"
    return f"last log line: {(lines or ['none'])[-1]!r}. Try: docker logs {container.name}"


def _refusal(spec: Spec, error: APIError) -> LimitRefused | NotReady:
    said = str(error.explanation or error).splitlines()[-1]
    if "rlimit" in said or "sysctl" in said or "cpuset" in said.lower() or "CPUs" in said:
        return LimitRefused(
            f"{spec.name}: the engine refused a limit (nofile {spec.nofile}, CPUs {spec.cpus}, "
            f"sysctls {dict(spec.sysctls)}): {said}. Lower it in lab.yaml's profile, or set best_effort: true"
        )
    hint = "Try: lab gc"
    if "port is already allocated" in said or "address already in use" in said:
        hint = "Another program has the port: stop it, or choose another under observability in lab.yaml"
    return NotReady(f"{spec.name}: the engine could not start {spec.image}: {said}. {hint}")
