"""What the engine streams of a command is taken apart rightly, however it is cut, and no wait is for ever."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.containers import talk
from orchestrator.containers.launch import Running
from orchestrator.containers.talk import Job, _frames
from orchestrator.errors import NotReady


def frame(number: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", number, len(data)) + data


STREAM = frame(1, b'{"a": 1}\n{"b"') + frame(2, b"oh\n") + frame(1, b': "\xc3') + frame(1, b'\xa4"}\nlast')


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_frames_are_found_however_they_are_cut(size: int) -> None:
    """A header in two pieces, two frames in one: the same frames."""
    pieces = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]

    assert [(1, b'{"a": 1}\n{"b"'), (2, b"oh\n"), (1, b': "\xc3'), (1, b'\xa4"}\nlast')] == list(_frames(pieces))


class Engine:
    """An engine with one command, whose stream is the other end of a socket pair."""

    def __init__(self, stream: socket.socket, running: bool) -> None:
        self._stream, self._running = stream, running
        self.api = self

    def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
        return {"Id": "e"}

    def exec_start(self, _ident: str, *, socket: bool) -> Any:
        assert socket
        return self._stream

    def exec_inspect(self, _ident: str) -> dict[str, int]:
        return {"ExitCode": 7}

    def inspect_container(self, _ident: str) -> dict[str, Any]:
        return {"State": {"Running": self._running}}


def job(sent: bytes, *, running: bool = True, ends: bool = True, deadline_s: float = 10.0) -> Job:
    near, far = socket.socketpair()
    far.sendall(sent)
    if ends:
        far.close()
    made = Job(cast("Any", Engine(near, running)), Running("id", "talker", 1), ["x"], deadline_s=deadline_s)
    made.environment = {"FAR": cast("Any", far)}  # kept open as long as the job
    return made


def test_lines_come_as_they_are_whole_and_words_apart() -> None:
    """Characters cut in two are whole again; the last line needs no end; stderr and the exit code are kept."""
    one = job(STREAM)

    assert ['{"a": 1}', '{"b": "ä"}', "last"] == list(one.lines())
    assert ("oh\n", 7) == (one.words, one.code)


def test_a_stream_that_stays_open_after_its_container_went_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever came before is given out; then the container is named."""
    monkeypatch.setattr(talk, "_LOOK_MS", 10)
    lines = job(frame(1, b"one\n"), running=False, ends=False).lines()

    assert "one" == next(lines)
    with pytest.raises(NotReady, match="talker: ended while x ran in it"):
        next(lines)


def test_a_command_that_does_not_end_is_left_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its container runs."""
    monkeypatch.setattr(talk, "_LOOK_MS", 10)

    with pytest.raises(NotReady, match=r"talker: x is not over after 0.05 s"):
        list(job(b"", ends=False, deadline_s=0.05).lines())


def test_an_engine_that_refuses_is_named() -> None:
    """As one line, with the container."""
    broken = SimpleNamespace(exec_create=lambda *_, **__: (_ for _ in ()).throw(OSError("no such exec")))

    with pytest.raises(NotReady, match="talker: could not run x: no such exec"):
        list(Job(cast("Any", SimpleNamespace(api=broken)), Running("id", "talker", 1), ["x"]).lines())
