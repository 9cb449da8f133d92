"""Call the load engine from Python: cffi in ABI mode over engine.h, records as plain values.

The interface is engine.h's; the words for errors are swarm/kinds.py's. A call gives the interpreter lock away and
returns within some two milliseconds (engine.h), so it may be made from any greenlet. Nothing is loaded before the
first Engine.
The library: LAB_ENGINE, else build/libengine.so beside this file (`make -C swarm/engine`).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm import kinds

HERE = Path(__file__).parent
KINDS = {"closed": 0, "open": 1, "hold": 2, "storm": 3}
ARRIVALS = {"constant": 0, "poisson": 1}
PHASES = ("socket", "connect", "send", "first byte", "body", "close")  # enum engine_phase
TIMEOUT, CLOSED, MALFORMED, LENGTH, BODY, UNANSWERED, STATUS = (*range(5000, 5006), 6000)  # enum engine_wrong
WORDS = {
    CLOSED: kinds.CLOSED,
    MALFORMED: kinds.MALFORMED,
    LENGTH: kinds.WRONG_LENGTH,
    BODY: kinds.WRONG_BODY,
    UNANSWERED: kinds.UNANSWERED,
}
CELL = struct.Struct("=QQ")  # struct engine_cell


class EngineMissing(RuntimeError):
    """The library cannot be loaded; the message says how to build it."""


class EngineRefused(RuntimeError):
    """The engine would not do what it was told; the message says what and why."""


class Cells:
    """A sparse histogram as the engine handed it over: whole microseconds -> count, unordered, read lazily.

    A dict of it would cost milliseconds at 100,000 different values; whoever reads it may pause in between.
    """

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes):
        self._bytes = content

    def __len__(self) -> int:
        return len(self._bytes) // CELL.size

    def items(self) -> Iterator[tuple[int, int]]:
        return CELL.iter_unpack(self._bytes)


@dataclass(frozen=True, slots=True)
class Record:
    """What one row gathered in some interval; see struct engine_record. oldest_ns: 0 without unanswered ones."""

    answered_us: Cells
    failed_us: Cells
    lag_us: Cells
    errors: dict[str, int]
    planned: int
    sent: int
    late: int
    dropped: int
    unanswered: int
    oldest_ns: int


@dataclass(frozen=True, slots=True)
class Group:
    """What one engine user does; see struct engine_group. rate_per_s and connections are this group's own."""

    kind: str  # closed, open, hold, storm
    host: str
    port: int
    request: bytes
    body: bytes  # the right answer's
    connections: int
    patience_s: float
    opening: int
    sources: str  # "127.64.0.1 127.64.0.2 ..."
    seed: int
    sample: int = 16  # of how many answers one body is compared; the length always is
    once: bool = False
    stays: bool = False
    opens_per_s: float = 0.0  # closed, hold: the first connects are spread; 0: as fast as `opening` lets them
    rate_per_s: float = 0.0
    arrivals: str = "constant"
    first_ns: int = 0
    every_s: float = 0.0


def find_library() -> Path:
    """Return where the library should be."""
    return Path(os.environ.get("LAB_ENGINE") or HERE / "build" / "libengine.so")


def read_interface(header: str) -> str:
    """Return engine.h as cffi reads it: without preprocessor lines."""
    return re.sub(r"(?m)^\s*#.*$", "", header)


def name_error(key: int, errno_name: str | None) -> str:
    """Return the word for an error cell's key, phase << 16 | wrong. errno_name: the engine's own for `wrong`."""
    phase, wrong = PHASES[key >> 16] if key >> 16 < len(PHASES) else f"phase {key >> 16}", key & 0xFFFF
    if wrong >= STATUS:
        return f"status {wrong - STATUS}"
    if wrong == TIMEOUT:
        return f"timeout in {phase}"
    return WORDS.get(wrong) or f"{errno_name or f'errno {wrong}'} in {phase}"


class Engine:
    """One engine with its thread; a process has one. Raises EngineMissing or EngineRefused.

    Rows are never given back, so whoever makes them uses them again.
    """

    def __init__(self) -> None:
        self._ffi, self._lib = _load()
        made = self._ffi.new("struct engine **")
        _check(self._lib.engine_start(made), "start")
        self._engine = made[0]
        self._names: dict[int, str] = {}

    def close(self) -> None:
        """End all groups and the thread."""
        engine, self._engine = self._engine, self._ffi.NULL
        if engine != self._ffi.NULL:
            self._lib.engine_free(engine)

    def add_row(self, *, by_start: bool) -> int:
        """Return a new row's number. by_start: hold's rule for windows."""
        return _check(self._lib.engine_add_row(self._engine, by_start), "make a row")

    def add_group(self, row: int, group: Group) -> int:
        """Begin to load; return the group's number."""
        new = self._ffi.new
        request, body = new("char[]", group.request), new("char[]", group.body)
        sources = new("char[]", group.sources.encode())
        told = new(
            "struct engine_group *",
            {
                "row": row,
                "kind": KINDS[group.kind],
                "host": group.host.encode(),
                "port": group.port,
                "request": request,
                "request_len": len(group.request),
                "body": body,
                "body_len": len(group.body),
                "sample": group.sample,
                "connections": group.connections,
                "opening": group.opening,
                "opens_per_s": group.opens_per_s,
                "patience_ns": round(group.patience_s * 1e9),
                "once": group.once,
                "stays": group.stays,
                "rate_per_s": group.rate_per_s,
                "arrivals": ARRIVALS[group.arrivals],
                "first_ns": group.first_ns,
                "every_ns": round(group.every_s * 1e9),
                "seed": group.seed,
                "sources": sources,
            },
        )
        what = f"load {group.host}:{group.port} with {group.connections} connections ({group.kind})"
        return _check(self._lib.engine_add_group(self._engine, told), what)

    def end_group(self, group: int, *, count_unanswered: bool) -> None:
        """Close a group's connections; what was under way counts as unanswered if told so."""
        _check(self._lib.engine_end_group(self._engine, group, count_unanswered), f"end group {group}")

    def change_group(self, group: int, *, rate_per_s: float = -1.0, phase: float = 0.0, connections: int = -1) -> None:
        """Change an open group's rate and its arrivals' place in a period, or raise a closed one's connections."""
        what = f"change group {group} to {connections} connections and {rate_per_s}/s"
        _check(self._lib.engine_change_group(self._engine, group, rate_per_s, phase, connections), what)

    def counts(self, row: int) -> dict[str, int]:
        """Return struct engine_counts by name."""
        counts = self._ffi.new("struct engine_counts *")
        self._lib.engine_counts(self._engine, row, counts)
        return {name: getattr(counts, name) for name, _ in self._ffi.typeof("struct engine_counts").fields}

    def take(self, row: int) -> Record:
        """Take away what the row gathered since the last take."""
        return self._read(self._lib.engine_take(self._engine, row), "take a record")

    def window(self, start_ns: int, end_ns: int) -> None:
        """Open a window on all rows, CLOCK_MONOTONIC ns; the last one's record is dropped."""
        self._lib.engine_window(self._engine, start_ns, end_ns)

    def scored(self, row: int) -> Record:
        """Return the window's record so far."""
        return self._read(self._lib.engine_scored(self._engine, row), "read a window")

    def cpu_ns(self) -> int:
        """Return the CPU time of the engine's thread."""
        return int(self._lib.engine_cpu_ns(self._engine))

    def _read(self, record: Any, what: str) -> Record:
        if record == self._ffi.NULL:
            raise EngineRefused(f"the engine could not {what}: out of memory")
        try:
            return Record(
                answered_us=self._cells(record.answered, record.answered_len),
                failed_us=self._cells(record.failed, record.failed_len),
                lag_us=self._cells(record.lag, record.lag_len),
                errors=self._errors(self._cells(record.errors, record.errors_len)),
                planned=record.planned,
                sent=record.sent,
                late=record.late,
                dropped=record.dropped,
                unanswered=record.unanswered,
                oldest_ns=record.oldest_ns,
            )
        finally:
            self._lib.engine_record_free(record)

    def _cells(self, cells: Any, length: int) -> Cells:
        return Cells(bytes(self._ffi.buffer(cells, length * CELL.size)) if length else b"")

    def _errors(self, cells: Cells) -> dict[str, int]:
        found: dict[str, int] = {}
        for key, count in cells.items():
            if key not in self._names:
                name = self._lib.engine_errno_name(key & 0xFFFF)
                self._names[key] = name_error(key, None if name == self._ffi.NULL else self._ffi.string(name).decode())
            found[self._names[key]] = found.get(self._names[key], 0) + count
        return found


def _load() -> tuple[Any, Any]:
    path = find_library()
    try:
        import cffi  # here, so that everything but the engine works without it
    except ImportError:
        raise EngineMissing("the engine needs cffi: pip install cffi") from None
    ffi = cffi.FFI()
    ffi.cdef(read_interface((HERE / "engine.h").read_text(encoding="ascii")))
    try:
        return ffi, ffi.dlopen(str(path))
    except OSError as error:
        why = "cannot be loaded" if path.exists() else "is not there"
        said = str(error)[:120]
        raise EngineMissing(f"the load engine {path} {why}; build it: make -C swarm/engine ({said})") from None


def _check(result: int, what: str) -> int:
    """Return a result that is no error. Negative and, from engine_start, positive errnos raise EngineRefused."""
    if result < 0 or (what == "start" and result):
        raise EngineRefused(f"the engine would not {what}: {os.strerror(abs(result))}")
    return int(result)
