"""The engine against servers that answer rightly, wrongly, late, in pieces or not at all: each outcome counts once."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cffi
import pytest
from gevent import monkey

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "swarm" / "engine"
BODY = b"Hello, world!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + BODY
CLOSED, OPEN, HOLD, STORM = range(4)
SOCKET, CONNECT, SEND, FIRST_BYTE, IN_BODY, CLOSE = range(6)
TIMEOUT, ENDED, MALFORMED, LENGTH, WRONG_BODY, UNANSWERED, STATUS = 5000, 5001, 5002, 5003, 5004, 5005, 6000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST
Serve = Callable[[socket.socket], None]


class Loose:
    """The library as it is: numbers in, numbers out."""

    def __init__(self, library: Path):
        self.ffi = cffi.FFI()
        self.ffi.cdef(re.sub(r"^#.*$", "", (ENGINE / "engine.h").read_text(), flags=re.MULTILINE))
        lib: Any = self.ffi.dlopen(str(library))
        made: Any = self.ffi.new("struct engine **")
        assert 0 == lib.engine_start(made)
        self.lib, self.engine = lib, made[0]
        self._kept: list[Any] = []

    def row(self, *, by_start: bool = False) -> int:
        return int(self.lib.engine_add_row(self.engine, by_start))

    def group(self, row: int, kind: int, port: int, connections: int, **changes: Any) -> int:
        """Begin a group; what is not said is a patient client of one source address that compares every body."""
        told: dict[str, Any] = {
            "row": row, "kind": kind, "host": b"127.0.0.1", "port": port, "connections": connections, "sample": 1,
            "request": b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", "body": BODY, "patience_ns": 10**10, "once": 0,
            "sources": b"127.64.0.1 127.64.0.2", "first_ns": time.monotonic_ns() + 10**7, "every_ns": 10**9, "seed": 1,
        } | changes  # fmt: skip
        struct_: Any = self.ffi.new("struct engine_group *")
        for key in ("request", "body", "sources"):
            buffer = self.ffi.new("char[]", told[key])
            self._kept.append(buffer)
            setattr(struct_, key, buffer)
        struct_.request_len, struct_.body_len = len(told["request"]), len(told["body"])
        for key in told.keys() - {"request", "body", "sources"}:
            setattr(struct_, key, told[key])
        return int(self.lib.engine_add_group(self.engine, struct_))

    def counts(self, row: int) -> dict[str, int]:
        counts = self.ffi.new("struct engine_counts *")
        self.lib.engine_counts(self.engine, row, counts)
        return {key: int(getattr(counts, key)) for key in dir(counts)}

    def take(self, row: int) -> dict[str, Any]:
        return self._record(self.lib.engine_take(self.engine, row))

    def scored(self, row: int) -> dict[str, Any]:
        return self._record(self.lib.engine_scored(self.engine, row))

    def window(self, start_ns: int, end_ns: int) -> None:
        self.lib.engine_window(self.engine, start_ns, end_ns)

    def end(self, group: int, *, count_unanswered: bool = False) -> None:
        assert 0 == self.lib.engine_end_group(self.engine, group, count_unanswered)

    def _record(self, record: Any) -> dict[str, Any]:
        assert record != self.ffi.NULL
        read: dict[str, Any] = {
            key: {int(cell.key): int(cell.count) for cell in (getattr(record, key)[0 : getattr(record, f"{key}_len")])}
            for key in ("answered", "failed", "lag", "errors")
        }
        read["errors"] = {(key >> 16, key & 0xFFFF): count for key, count in read["errors"].items()}
        for key in ("planned", "sent", "late", "dropped", "unanswered", "oldest_ns"):
            read[key] = int(getattr(record, key))
        self.lib.engine_record_free(record)
        return read


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engine")
    subprocess.run(["make", "-s", "-C", str(ENGINE), f"OUT={out}", "WERROR=-Werror"], check=True, timeout=120)
    return out / "libengine.so"


@pytest.fixture
def engine(library: Path) -> Iterator[Loose]:
    loose = Loose(library)
    yield loose
    loose.lib.engine_free(loose.engine)


@pytest.fixture
def server() -> Iterator[Callable[[Serve], int]]:
    """Return a function that serves each connection in a thread with the given function, and returns the port."""
    listeners: list[socket.socket] = []

    def start(serve: Serve) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve_quietly, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve_quietly(serve: Serve, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):  # the client left first
        serve(connection)


def answering(*answers: bytes, pause_s: float = 0.0) -> Serve:
    """Return a server that gives these answers in turn, for ever, on a connection that stays open."""

    def serve(connection: socket.socket) -> None:
        turn = 0
        while connection.recv(4096):
            if pause_s:
                time.sleep(pause_s)
            connection.sendall(answers[turn % len(answers)])
            turn += 1

    return serve


def saying(*pieces: bytes, reset: bool = False) -> Serve:
    """Return a server that reads one request, says these pieces one by one, and closes (or resets)."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.005)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    return serve


def silence(connection: socket.socket) -> None:
    """Never answer; leave when the client does."""
    while connection.recv(4096):
        pass


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come to pass"
        time.sleep(0.005)


def test_closed_loop_counts_what_the_server_counts(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Every request the server answered is an answer or still under way; the connections are those asked for."""
    served: list[int] = []

    def serve(connection: socket.socket) -> None:
        count = 0
        try:
            while connection.recv(4096):
                count += 1
                connection.sendall(ANSWER)
        finally:
            served.append(count)

    row = engine.row()
    group = engine.group(row, CLOSED, server(serve), 4)
    eventually(lambda: engine.counts(row)["answered"] > 200)
    assert (4, 4, 0) == tuple(engine.counts(row)[key] for key in ("established", "opened", "failed"))
    engine.end(group)
    eventually(lambda: len(served) == 4)

    counts, taken = engine.counts(row), engine.take(row)
    assert counts["answered"] == sum(taken["answered"].values())
    assert counts["sent"] == sum(served)
    assert 0 <= sum(served) - counts["answered"] <= 4
    assert ({}, 0, 0) == (taken["errors"], counts["established"], counts["waiting"])
    assert {} == engine.take(row)["answered"]


@pytest.mark.parametrize(
    ("pieces", "reset", "expected"),
    [
        ((b"HTTP/1.1 302 Found\r\nLocation: //x/\r\nContent-Length: 0\r\n\r\n",), False, (IN_BODY, STATUS + 302)),
        ((b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",), False, (IN_BODY, STATUS + 500)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello",), False, (IN_BODY, LENGTH)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHallo, world!",), False, (IN_BODY, WRONG_BODY)),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), False, (IN_BODY, MALFORMED)),
        ((ANSWER + b"more",), False, (IN_BODY, MALFORMED)),
        ((), False, (FIRST_BYTE, ENDED)),
        ((ANSWER[:20],), False, (IN_BODY, ENDED)),
        ((ANSWER[:-1],), False, (IN_BODY, ENDED)),
        ((), True, (FIRST_BYTE, errno.ECONNRESET)),
        ((ANSWER[:45],), True, (IN_BODY, errno.ECONNRESET)),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_named_by_phase_and_kind(
    engine: Loose,
    server: Callable[[Serve], int],
    pieces: tuple[bytes, ...],
    reset: bool,
    expected: tuple[int, int],
) -> None:
    """One exchange, one error, and no second connection for somebody who asks once."""
    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(saying(*pieces, reset=reset)), 1, once=1)
    eventually(lambda: engine.counts(row)["failed"] == 1)
    assert {expected: 1} == engine.take(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "answered"))


def resetting(go: threading.Event, first: int) -> Serve:
    """Return a server whose first connections are reset, unasked, once `go` is set; later ones are left alone."""
    order = itertools.count()

    def serve(connection: socket.socket) -> None:
        if next(order) < first:
            go.wait(20)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            silence(connection)

    return serve


@pytest.mark.parametrize(("reset", "errors"), [(True, {(CLOSE, errno.ECONNRESET): 1}), (False, {})])
def test_a_reset_after_the_answer_is_an_error_of_the_close_and_an_end_in_order_is_none(
    engine: Loose, server: Callable[[Serve], int], reset: bool, errors: dict[tuple[int, int], int]
) -> None:
    """The exchange stays answered and nothing else is missing: the error is the connection's, not an answer's."""
    row = engine.row(by_start=True)
    engine.window(time.monotonic_ns(), time.monotonic_ns() + 60 * 10**9)
    engine.group(row, HOLD, server(saying(ANSWER, reset=reset)), 1, once=1, stays=1)
    eventually(lambda: engine.counts(row)["answered"] == 1 and engine.counts(row)["established"] == 0)

    assert errors == engine.take(row)["errors"]
    assert {} == engine.scored(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "failed"))


def test_a_pool_that_is_reset_while_idle_is_opened_again(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Three idle connections, three resets, three errors of the close; no arrival was due, so none failed."""
    go, row = threading.Event(), engine.row()
    first_ns = time.monotonic_ns() + 3600 * 10**9
    engine.group(row, OPEN, server(resetting(go, 3)), 3, rate_per_s=1.0, first_ns=first_ns)
    eventually(lambda: engine.counts(row)["established"] == 3)
    go.set()
    eventually(lambda: engine.counts(row)["opened"] == 6 and engine.counts(row)["established"] == 3)

    assert {(CLOSE, errno.ECONNRESET): 3} == engine.take(row)["errors"]
    assert (0, 0) == tuple(engine.counts(row)[key] for key in ("failed", "planned"))


def test_a_server_that_resets_what_the_engine_closes_makes_no_error(
    engine: Loose, server: Callable[[Serve], int]
) -> None:
    """The end of a trial: the engine ends first, whatever the server says to that."""
    ended: list[int] = []

    def serve(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(ANSWER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
        ended.append(1)

    row = engine.row(by_start=True)
    group = engine.group(row, HOLD, server(serve), 5, once=1, stays=1)
    eventually(lambda: engine.counts(row)["answered"] == 5)
    engine.end(group, count_unanswered=True)
    eventually(lambda: len(ended) == 5)

    assert ({}, 0) == (engine.take(row)["errors"], engine.counts(row)["failed"])


@pytest.mark.parametrize(
    "pieces",
    [
        tuple(ANSWER[i : i + 1] for i in range(len(ANSWER))),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n8;x=y\r\n, world!\r\n0\r\nA: b\r\n\r\n",),
        (b"HTTP/1.0 200 OK\r\n\r\nHello, ", b"world!"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER),
    ],
)
def test_every_framing_of_the_right_answer_is_right(
    engine: Loose, server: Callable[[Serve], int], pieces: tuple[bytes, ...]
) -> None:
    """Pieces, chunks, an interim answer, and a body that ends with the connection."""
    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(saying(*pieces)), 1, once=1)
    eventually(lambda: engine.counts(row)["answered"] + engine.counts(row)["failed"] == 1)
    assert {} == engine.take(row)["errors"]


def test_nobody_listens(engine: Loose) -> None:
    """Each connect is refused, is counted, and is tried again after a pause that grows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    row = engine.row()
    engine.group(row, CLOSED, port, 10)
    eventually(lambda: engine.counts(row)["failed"] >= 40)
    assert {(CONNECT, errno.ECONNREFUSED)} == set(engine.take(row)["errors"])
    time.sleep(0.2)
    assert engine.counts(row)["failed"] < 200, "ten connections that never pause would have failed thousands of times"


def test_patience_ends_in_the_phase_it_was_lost_in(engine: Loose, server: Callable[[Serve], int]) -> None:
    """A silent server and one that stops in the middle."""

    def half(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(ANSWER[:30])
        silence(connection)

    for serve, phase in ((silence, FIRST_BYTE), (half, IN_BODY)):
        row = engine.row(by_start=True)
        engine.group(row, HOLD, server(serve), 3, once=1, patience_ns=50 * 10**6)
        eventually(lambda row=row: engine.counts(row)["failed"] == 3)  # type: ignore[misc]
        taken = engine.take(row)
        assert {(phase, TIMEOUT): 3} == taken["errors"]
        assert min(taken["failed"]) >= 50_000


@pytest.mark.parametrize(("resets", "wrong"), [(True, errno.ECONNRESET), (False, TIMEOUT)])
def test_a_request_that_nobody_reads_fails_in_the_send(
    engine: Loose, server: Callable[[Serve], int], resets: bool, wrong: int
) -> None:
    """More than both windows hold: connected, part of it under way, and then a reset or no patience left."""
    go = threading.Event()

    def serve(connection: socket.socket) -> None:
        go.wait(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    row = engine.row(by_start=True)
    engine.group(row, HOLD, server(serve), 1, once=1, request=b"GET /" + b"x" * (64 << 20) + b" HTTP/1.1\r\n\r\n",
                 patience_ns=10**10 if resets else 50 * 10**6)  # fmt: skip
    if resets:
        eventually(lambda: engine.counts(row)["established"] == 1)
        go.set()
    eventually(lambda: engine.counts(row)["failed"] == 1)
    go.set()

    assert {(SEND, wrong): 1} == engine.take(row)["errors"]
    assert (1, 0) == tuple(engine.counts(row)[key] for key in ("opened", "sent"))


@pytest.mark.parametrize(
    ("sample", "body", "errors"),
    [
        (16, b"Hallo, world!", {(IN_BODY, WRONG_BODY): 3}),
        (1, b"Hallo, world!", {(IN_BODY, WRONG_BODY): 48}),
        (0, b"Hallo, world!", {}),
        (16, b"Hello, world", {(IN_BODY, LENGTH): 48}),
        (0, b"Hello, world!!", {(IN_BODY, LENGTH): 48}),
        (16, BODY, {}),
    ],
)
def test_the_body_is_compared_on_a_sample_and_the_length_always(
    engine: Loose, server: Callable[[Serve], int], sample: int, body: bytes, errors: dict[tuple[int, int], int]
) -> None:
    """Of 48 wrong bodies every 16th is found; of 48 wrong lengths each one."""
    row = engine.row(by_start=True)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    engine.group(row, HOLD, server(saying(answer)), 48, once=1, sample=sample)
    eventually(lambda: engine.counts(row)["answered"] + engine.counts(row)["failed"] == 48)

    assert errors == engine.take(row)["errors"]
    assert 48 - sum(errors.values()) == engine.counts(row)["answered"]


def test_connections_come_from_all_source_addresses_in_turn(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Whom the server sees: each address that was given as often as the others, and no other."""
    peers: list[str] = []

    def serve(connection: socket.socket) -> None:
        peers.append(connection.getpeername()[0])
        silence(connection)

    row = engine.row(by_start=True)
    sources = ["127.64.0.1", "127.64.0.2", "127.65.3.4", "127.255.255.254"]
    engine.group(row, HOLD, server(serve), 12, once=1, sources=" ".join(sources).encode())
    eventually(lambda: len(peers) == 12)

    assert dict.fromkeys(sources, 3) == Counter(peers)


FEW_PORTS = """
import fcntl, socket, struct, sys
from pathlib import Path
from tests.swarm.test_engine import HOLD, Loose, eventually

with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP: a new namespace's lo is down
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("30000 30003")
engine = Loose(Path(sys.argv[1]))
row = engine.row(by_start=True)
listeners = [socket.create_server(("127.0.0.1", port)) for port in (2001, 2002)]
for port in (2001, 2002):
    engine.group(row, HOLD, port, 4, once=1, sources=b"127.64.0.1")
eventually(lambda: engine.counts(row)["established"] + engine.counts(row)["failed"] == 8)
print(engine.counts(row)["established"], engine.take(row)["errors"])
"""


def test_a_source_address_has_all_its_ports_for_each_target(library: Path) -> None:
    """Four ports, one address, two targets: eight connections. A port chosen at bind() would do for one target only."""
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace of its own: unshare is refused")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", FEW_PORTS, str(library)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ("8 {}\n", 0) == (done.stdout, done.returncode), done.stderr


SERVER = """
import sys
from tests.swarm.moody import rightly, serve

with serve(rightly) as port:
    print(port, flush=True)
    sys.stdin.read()
"""


def test_answers_are_counted_while_python_holds_the_interpreter_lock(engine: Loose) -> None:
    """All of a window lies in one call that never gives the lock away: no Python ran in it, and the engine did."""
    stamps: list[int] = []
    is_over = False
    sleep: Any = monkey.get_original("time", "sleep")

    def witness() -> None:
        while not is_over:
            stamps.append(time.monotonic_ns())
            sleep(0.001)

    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        row = engine.row()
        group = engine.group(row, CLOSED, int(process.stdout.readline()), 8)
        eventually(lambda: engine.counts(row)["answered"] > 100)
        # A real thread: importing Locust, as other tests do, makes greenlets of the usual ones.
        monkey.get_original("_thread", "start_new_thread")(witness, ())
        for size in (10**7 << doubled for doubled in range(8)):
            start_ns = time.monotonic_ns() + 50 * 10**6
            end_ns = start_ns + 200 * 10**6
            engine.window(start_ns, end_ns)
            sum(range(size))
            done_ns = time.monotonic_ns()
            seen = [stamp for stamp in stamps if start_ns <= stamp < end_ns]
            if done_ns > end_ns and not seen:
                break
        is_over = True
        answered = sum(engine.scored(row)["answered"].values())
        engine.end(group)
        process.stdin.close()

    assert (True, []) == (done_ns > end_ns, seen), "the lock was never held that long"
    assert answered > 20


def test_open_arrivals_are_all_accounted_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """planned = sent + dropped, sent = answered + failed, and the plan is the rate times the window."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 50 * 10**6
    engine.window(start_ns, start_ns + 10**9)
    port = server(answering(ANSWER))
    engine.group(row, OPEN, port, 8, rate_per_s=500.0, first_ns=start_ns)
    eventually(lambda: time.monotonic_ns() > start_ns + 10**9 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    assert 500 == scored["planned"]
    assert 500 == scored["sent"] + scored["dropped"]
    assert scored["sent"] == sum(scored["answered"].values()) == sum(scored["lag"].values())
    assert ({}, 0) == (scored["errors"], scored["dropped"])


def test_open_latency_runs_from_the_plan_through_a_stall(engine: Loose, server: Callable[[Serve], int]) -> None:
    """One connection and a server that takes 100 ms, asked 100 times a second: waiting for the connection counts."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 10**9)
    engine.group(row, OPEN, server(answering(ANSWER, pause_s=0.1)), 1, rate_per_s=100.0, first_ns=start_ns,
                 patience_ns=400 * 10**6)  # fmt: skip
    eventually(lambda: time.monotonic_ns() > start_ns + 10**9 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    answered = sum(scored["answered"].values())
    assert 100 == scored["planned"] == answered + scored["dropped"] + sum(scored["errors"].values())
    assert scored["dropped"] > answered, "most arrivals find no connection within their patience"
    assert scored["late"] >= answered - 1
    assert max(scored["answered"]) >= 300_000, "some waited nearly all their patience before they were sent"


def test_poisson_arrivals_have_the_rate_and_the_spread(engine: Loose, server: Callable[[Serve], int]) -> None:
    """About 2,000 in two seconds (five standard deviations), and not evenly spaced."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 2 * 10**9)
    engine.group(row, OPEN, server(answering(ANSWER)), 64, rate_per_s=1000.0, first_ns=start_ns, arrivals=1, seed=7)
    eventually(lambda: time.monotonic_ns() > start_ns + 2 * 10**9 and engine.scored(row)["unanswered"] == 0)
    assert 2000 - 224 < engine.scored(row)["planned"] < 2000 + 224
    assert 2000 != engine.scored(row)["planned"]


def test_a_hold_is_answered_once_each_or_counted_as_missing(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Ended in the middle: answered and unanswered together are what was asked for."""
    waiting = threading.Barrier(21)

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        if waiting.wait(20) % 2:
            connection.sendall(ANSWER)
        silence(connection)

    row = engine.row(by_start=True)
    engine.window(time.monotonic_ns(), time.monotonic_ns() + 60 * 10**9)
    group = engine.group(row, HOLD, server(serve), 20, once=1, opening=3)
    eventually(lambda: engine.counts(row)["waiting"] == 20)
    assert (20, 20) == (engine.counts(row)["established"], engine.scored(row)["unanswered"])
    own = waiting.wait(20) % 2  # the test is one of the 21 who draw a number
    eventually(lambda: engine.counts(row)["answered"] == 10 - own)
    engine.end(group, count_unanswered=True)
    scored = engine.scored(row)
    assert {(FIRST_BYTE, UNANSWERED): 10 + own} == scored["errors"]
    assert 10 - own == sum(scored["answered"].values())
    eventually(lambda: engine.counts(row)["established"] == 0)


def test_first_connects_are_spread_at_the_rate_asked_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Never more than the rate allows by now, and all in the end; later connects are not held back."""
    row = engine.row()
    begun_s = time.monotonic()
    engine.group(row, CLOSED, server(answering(ANSWER, pause_s=0.05)), 100, opens_per_s=200.0)
    seen: list[tuple[int, float]] = []

    def are_all_open() -> bool:
        opened = engine.counts(row)["opened"]
        seen.append((opened, time.monotonic() - begun_s))
        return opened >= 100

    eventually(are_all_open)
    assert [] == [(opened, at_s) for opened, at_s in seen if opened > at_s * 200 + 1]
    assert len({opened for opened, _ in seen}) > 10


def test_storm_bursts_are_accounted_for(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Three bursts of 50 in a window, each connection asks once, on a connection of its own."""
    row = engine.row()
    start_ns = time.monotonic_ns() + 20 * 10**6
    engine.window(start_ns, start_ns + 3 * 200 * 10**6)
    engine.group(row, STORM, server(answering(ANSWER)), 50, every_ns=200 * 10**6, first_ns=start_ns)
    eventually(lambda: time.monotonic_ns() > start_ns + 600 * 10**6 and engine.scored(row)["unanswered"] == 0)
    scored = engine.scored(row)
    assert 150 == scored["planned"] == scored["sent"] + scored["dropped"]
    assert scored["sent"] == sum(scored["answered"].values()) + sum(scored["errors"].values())
    assert engine.counts(row)["opened"] >= scored["sent"]


def test_a_window_scores_what_completes_in_it(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Closed: nothing before, nothing after; a new window begins at nothing."""
    row = engine.row()
    engine.group(row, CLOSED, server(answering(ANSWER, pause_s=0.01)), 2)
    eventually(lambda: engine.counts(row)["answered"] > 10)
    start_ns = time.monotonic_ns() + 50 * 10**6
    engine.window(start_ns, start_ns + 300 * 10**6)
    assert 0 == sum(engine.scored(row)["answered"].values())
    eventually(lambda: time.monotonic_ns() > start_ns + 300 * 10**6)
    first = engine.scored(row)
    time.sleep(0.1)
    assert first["answered"] == engine.scored(row)["answered"]
    assert 0 < sum(first["answered"].values()) <= 62, "two clients, 10 ms each, 0.3 s"
    assert engine.counts(row)["answered"] > sum(first["answered"].values())


def test_only_loopback_is_ever_loaded(engine: Loose) -> None:
    """Neither a foreign address nor a name nor a foreign source, whoever asks."""
    row = engine.row()
    for host in (b"10.0.0.1", b"128.0.0.1", b"126.255.255.255", b"localhost", b"::1", b""):
        assert -errno.EACCES == engine.group(row, CLOSED, 80, 1, host=host), host
    assert -errno.EACCES == engine.group(row, CLOSED, 80, 1, sources=b"127.0.0.1 10.0.0.1")


@pytest.mark.parametrize(
    "wrong",
    [{"port": 0}, {"port": 65536}, {"kind": 4}, {"kind": -1}, {"connections": 0}, {"patience_ns": 0}, {"row": 5},
     {"row": -1}, {"kind": OPEN, "rate_per_s": 0.0}, {"kind": OPEN, "rate_per_s": float("nan")}, {"request": b""},
     {"kind": STORM, "every_ns": 0}, {"sources": b"127.0.0.1 nonsense"}, {"sample": -1}],
)  # fmt: skip
def test_nonsense_is_refused(engine: Loose, wrong: dict[str, Any]) -> None:
    """EINVAL, and nothing begins."""
    engine.row()
    told = {"row": 0, "kind": CLOSED, "port": 80, "connections": 1} | wrong
    assert -errno.EINVAL == engine.group(**told)


def test_descriptors_run_out(engine: Loose, server: Callable[[Serve], int]) -> None:
    """EMFILE is an error of its phase; the others are held, and the loop goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    row = engine.row(by_start=True)
    port = server(silence)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        engine.group(row, HOLD, port, 200, once=1)
        eventually(lambda: engine.counts(row)["failed"] + engine.counts(row)["established"] == 200)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {(SOCKET, errno.EMFILE)} == set(engine.take(row)["errors"])


def test_groups_change_while_they_run(engine: Loose, server: Callable[[Serve], int]) -> None:
    """More connections, another rate; never fewer connections."""
    row, other = engine.row(), engine.row()
    port = server(answering(ANSWER, pause_s=0.002))
    closed = engine.group(row, CLOSED, port, 2)
    eventually(lambda: engine.counts(row)["established"] == 2)
    assert 0 == engine.lib.engine_change_group(engine.engine, closed, -1.0, 0.0, 7)
    eventually(lambda: engine.counts(row)["established"] == 7)
    assert -errno.EINVAL == engine.lib.engine_change_group(engine.engine, closed, -1.0, 0.0, 3)
    clocked = engine.group(other, OPEN, port, 4, rate_per_s=1.0)
    assert 0 == engine.lib.engine_change_group(engine.engine, clocked, 400.0, 0.0, -1)
    eventually(lambda: engine.counts(other)["answered"] > 100, within_s=5.0)
    assert -errno.EINVAL == engine.lib.engine_change_group(engine.engine, clocked, 400.0, 1.0, -1)
    assert -errno.ENOENT == engine.lib.engine_change_group(engine.engine, 99, 1.0, 0.0, -1)


def test_groups_whose_rates_change_stay_interleaved(engine: Loose, server: Callable[[Serve], int]) -> None:
    """Told at different moments, two groups of 10/s are half a period apart: near one's plan is none of the other's."""
    port, period_ns = server(answering(ANSWER)), 10**8
    rows = [engine.row(), engine.row()]
    groups = [engine.group(row, OPEN, port, 4, rate_per_s=7.0) for row in rows]
    for number, group in enumerate(groups):
        eventually(lambda row=rows[number]: engine.counts(row)["answered"] > 0)  # type: ignore[misc]
        assert 0 == engine.lib.engine_change_group(engine.engine, group, 10.0, number / 2, -1)
    for number in range(2):
        start_ns = (time.monotonic_ns() // period_ns + 2) * period_ns + period_ns // 4 + number * period_ns // 2
        end_ns = start_ns + period_ns // 2
        engine.window(start_ns, end_ns)
        eventually(lambda: all(engine.counts(row)["planned"] > 8 for row in rows))  # the window's end is long past
        assert time.monotonic_ns() > end_ns

        assert [number, 1 - number] == [engine.scored(row)["planned"] for row in rows]


def test_calls_are_answered_while_the_engine_is_flat_out(engine: Loose, server: Callable[[Serve], int]) -> None:
    """A call waits for an event's work, not for a pause in the load: 200 of them take less than the load's own time."""
    row = engine.row()
    engine.group(row, CLOSED, server(answering(ANSWER)), 100)
    eventually(lambda: engine.counts(row)["answered"] > 100)
    before, begun_s = engine.counts(row)["answered"], time.monotonic()
    for _ in range(200):
        engine.counts(row)
    assert time.monotonic() - begun_s < 10.0
    eventually(lambda: engine.counts(row)["answered"] > before)


def test_many_groups_due_at_once_keep_no_caller_waiting(engine: Loose) -> None:
    """Forty bursts planned for one instant: calls are answered between two groups' turns, not after all forty."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        row, port = engine.row(), listener.getsockname()[1]
        start_ns = time.monotonic_ns() + 300 * 10**6
        for _ in range(40):
            engine.group(row, STORM, port, 64, first_ns=start_ns, every_ns=3600 * 10**9)
        seen = [0]
        while seen[-1] < 40 * 64:
            seen.append(engine.counts(row)["opened"])
            assert time.monotonic_ns() < start_ns + 60 * 10**9, "the bursts were not opened"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    between = sorted(later - sooner for sooner, later in itertools.pairwise(seen) if later > sooner)

    assert between[len(between) // 2] <= 2 * 64, between  # a turn of one group, or two where the caller was late


def test_the_largest_hold_one_process_may_have_leaves_nothing_behind(engine: Loose) -> None:
    """Ended at once with all connections under way: every descriptor comes back."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        row = engine.row(by_start=True)
        group = engine.group(row, HOLD, listener.getsockname()[1], 2000, once=1)
        eventually(lambda: engine.counts(row)["established"] == 2000)
        engine.end(group, count_unanswered=True)
        assert {(FIRST_BYTE, UNANSWERED): 2000} == engine.take(row)["errors"]
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
