"""One reader process: begun on a rung, asked for its counts, ended. Its lines are described in probes/reader.c."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import NotCounting

READY_S = 20.0  # loading ten programs takes 0.3 s; on a machine whose CPUs are all busy, some seconds
ANSWER_S = 5.0
END_S = 5.0
_WORDS = 400  # of a reader's complaint that are passed on

Counts = Mapping[str, Any]


class Reader:
    """A reader that counts. Its methods may be called from any thread."""

    def __init__(self, command: Sequence[str]) -> None:
        """Begin. Raises NotCounting with the reader's own line where the rung is refused."""
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
            )
        except OSError as why:
            raise NotCounting(f"{command[0]}: {why.strerror or why}") from why
        self._changed = threading.Condition()
        self._ready: Mapping[str, Any] | None = None
        self._latest: Counts | None = None
        self._asked = 0  # answers to `read` so far
        self._marks: dict[float, Counts] = {}
        self._complaint = ""
        self._has_ended = False
        self._threads = [
            threading.Thread(target=self._take_lines, daemon=True),
            threading.Thread(target=self._take_complaints, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready is not None or self._has_ended, READY_S)
            ready = self._ready
        if ready is None:
            code = self.end()
            raise NotCounting(self._complaint or f"{command[0]} said nothing within {READY_S:.0f} s (exit code {code})")
        self.rung: str = ready["ready"]
        self.ready_s: float = ready["at_s"]
        self.missing: Mapping[str, str] = ready.get("missing", {})

    @property
    def is_counting(self) -> bool:
        """Whether it still runs."""
        with self._changed:
            return not self._has_ended

    @property
    def latest(self) -> Counts | None:
        """The newest counts; None before the first."""
        with self._changed:
            return self._latest

    def mark(self, at_s: float) -> None:
        """Have the counts taken at that CLOCK_MONOTONIC second. Raises NotCounting."""
        self._say(f"at {at_s:.6f}")

    def read_now(self) -> Counts:
        """Return the counts as they are now. Raises NotCounting."""
        with self._changed:
            wanted = self._asked + 1
        self._say("read")
        with self._changed:
            self._changed.wait_for(lambda: self._asked >= wanted or self._has_ended, ANSWER_S)
            if self._asked < wanted or self._latest is None:
                raise NotCounting(self._complaint or "the reader did not answer")
            return self._latest

    def marks(self, wanted: Sequence[float], until_s: float) -> list[Counts]:
        """Return the counts taken at these seconds, waiting for them until time.monotonic() is until_s.

        Raises NotCounting when one has not come by then.
        """
        keys = [round(at_s, 6) for at_s in wanted]
        with self._changed:
            self._changed.wait_for(
                lambda: all(key in self._marks for key in keys) or self._has_ended, max(0.0, until_s - time.monotonic())
            )
            if not all(key in self._marks for key in keys):
                raise NotCounting(self._complaint or f"{len(self._marks)} of {len(keys)} readings came in time")
            return [self._marks[key] for key in keys]

    def end(self) -> int:
        """End it: its programs leave the kernel with it. Returns its exit code; the second time does nothing more."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for thread in self._threads:
            thread.join(END_S)
        return code

    def _say(self, order: str) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as why:
            raise NotCounting(self._complaint or f"the reader has ended: {why}") from why

    def _take_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                with self._changed:  # a line that breaks off: the reader's own complaint is the better one
                    self._complaint = self._complaint or f"the reader printed what is no JSON: {line[:_WORDS]!r}"
                continue
            with self._changed:
                if "ready" in told:
                    self._ready = told
                else:
                    self._latest = told
                    self._asked += told.get("why") == "asked"
                    if "due_s" in told:
                        self._marks[round(float(told["due_s"]), 6)] = told
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _take_complaints(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self._complaint = line.strip().removeprefix("reader: ")[:_WORDS]
