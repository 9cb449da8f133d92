"""Talk with what runs in a container: its lines as they come, its log, a signal, and how it ends."""

from __future__ import annotations

import contextlib
import select
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.utils.socket import read

from orchestrator.containers.launch import Running
from orchestrator.errors import NotReady

_ENDED_EACH_S = 0.1  # between two looks at a container that is about to end
_LOOK_MS = 1000  # without a word; then the container is looked at
_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
_WORDS_BYTES = 4000  # how much of what goes to stderr is kept


@dataclass(slots=True)
class Job:
    """A command that runs inside a container: iterate over its lines, then look how it ended."""

    client: docker.DockerClient
    container: Running
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 60.0  # for all of it
    code: int | None = None  # once its lines are over
    words: str = ""  # the end of what it wrote to stderr

    def lines(self) -> Iterator[str]:
        """Start it and yield each line of its standard output as it comes.

        Raises NotReady when it cannot start, when its container goes, and when it is not over after deadline_s.
        """
        api = self.client.api
        try:
            job = api.exec_create(self.container.id, self.command, environment=dict(self.environment))
            rest, complaints = b"", b""
            with contextlib.closing(api.exec_start(job["Id"], socket=True)) as stream:
                for number, data in _frames(self._pieces(stream)):
                    if number == _STDERR:
                        complaints = (complaints + data)[-_WORDS_BYTES:]
                        continue
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        yield line.decode(errors="replace")
            if rest:
                yield rest.decode(errors="replace")
            self.words = complaints.decode(errors="replace")
            self.code = api.exec_inspect(job["Id"])["ExitCode"]
        except (APIError, requests.RequestException, OSError) as error:
            said = error.explanation if isinstance(error, APIError) else error
            raise NotReady(f"{self.container.name}: could not run {self.command[0]}: {said}") from error

    def _pieces(self, stream: Any) -> Iterator[bytes]:
        """Yield what comes. An engine may leave the stream of a removed container open for ever (seen with 20.10)."""
        end_s = time.monotonic() + self.deadline_s
        ready = select.poll()
        ready.register(stream, select.POLLIN | select.POLLHUP)
        while True:
            if time.monotonic() > end_s:
                raise NotReady(f"{self.container.name}: {self.command[0]} is not over after {self.deadline_s:g} s")
            if not ready.poll(_LOOK_MS):
                if not self.client.api.inspect_container(self.container.id)["State"]["Running"]:
                    raise NotReady(f"{self.container.name}: ended while {self.command[0]} ran in it")
                continue
            data = read(stream, 65536)
            if not data:
                return
            yield bytes(data)


def _frames(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, data) from what the engine sends: eight bytes before each part, its stream and its length.

    Source: the engine's API, "attach to a container", stream format.
    """
    data = b""
    for piece in pieces:
        data += piece
        while len(data) >= _HEADER.size:
            number, length = _HEADER.unpack_from(data)
            if len(data) < _HEADER.size + length:
                break
            yield number, data[_HEADER.size : _HEADER.size + length]
            data = data[_HEADER.size + length :]


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
