"""Talk with what runs in a container: its lines as they come, its log, a signal, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import docker
import requests
from docker.errors import APIError, NotFound

from orchestrator.containers.launch import Running
from orchestrator.errors import NotReady

_ENDED_EACH_S = 0.1  # between two looks at a container that is about to end
_WORDS_BYTES = 4000  # how much of what goes to stderr is kept


@dataclass(slots=True)
class Job:
    """A command that runs inside a container: iterate over its lines, then look how it ended."""

    client: docker.DockerClient
    container: Running
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None  # once its lines are over
    words: str = ""  # the end of what it wrote to stderr

    def lines(self) -> Iterator[str]:
        """Start it and yield each line of its standard output as it comes. Raises NotReady when it cannot start."""
        api = self.client.api
        try:
            job = api.exec_create(self.container.id, self.command, environment=dict(self.environment))
            stream = api.exec_start(job["Id"], stream=True, demux=True)
            rest, complaints = b"", b""
            for out, err in stream:
                complaints = (complaints + (err or b""))[-_WORDS_BYTES:]
                *whole, rest = (rest + (out or b"")).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace")
            if rest:
                yield rest.decode(errors="replace")
            self.words = complaints.decode(errors="replace")
            self.code = api.exec_inspect(job["Id"])["ExitCode"]
        except (APIError, requests.RequestException) as error:
            said = error.explanation if isinstance(error, APIError) else error
            raise NotReady(f"{self.container.name}: could not run {self.command[0]}: {said}") from error


@dataclass(frozen=True, slots=True)
class End:
    """How a container ended."""

    code: int
    out_of_memory: bool
    took_s: float  # since the wait for it began


def send_signal(client: docker.DockerClient, container: Running, signal: str) -> None:
    """Send a signal to a container's first process; one that has ended already gets none."""
    try:
        client.api.kill(container.id, signal)
    except APIError as error:
        if error.status_code not in (404, 409):  # gone, or not running
            raise


def wait_end(client: docker.DockerClient, container: Running, deadline_s: float) -> End | None:
    """Wait until a container has ended; None when it still runs after deadline_s."""
    began_s = time.monotonic()
    while True:
        try:
            state = client.api.inspect_container(container.id)["State"]
        except NotFound:
            raise NotReady(f"{container.name} is gone; somebody else removed it. Try again") from None
        took_s = time.monotonic() - began_s
        if not state["Running"]:
            return End(int(state["ExitCode"]), bool(state.get("OOMKilled")), took_s)
        if took_s > deadline_s:
            return None
        time.sleep(_ENDED_EACH_S)


def log_of(client: docker.DockerClient, container: Running) -> str:
    """Return what a container's first process has written so far, as far as the engine kept it."""
    try:
        return bytes(client.api.logs(container.id)).decode(errors="replace")
    except APIError:
        return ""
