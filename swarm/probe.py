"""Check a variant's contract from outside, inside its pod: `python3 -m swarm.probe '{"variant": ..., "port": ...}'`.

JSON in, JSON out: {"ok", "variant", "checks": [{"name", "ok", "expected", "seen"}]}; exit code 0 when all are ok. In:
host, port, speaks (http or raw), fixed_delay, delay_s, ready_s (default 10); where null they are not checked: backlog,
nonce (what LAB_NONCE told the server), instances (how many processes share the port). lacks: what the variant declares
not to keep, which is not asked for. Of an existing image: routes (plain, delay -> its own path) and body, its answer.
Standard library and blocking sockets only. Every clean check reads what it is sent before it closes, so that the
aborts counted at the end are the server's. The contract: servers/CONTRACT.md.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from swarm.blocking import Client, render
from swarm.http1 import Answer, ClosedEarly, Malformed
from swarm.sockdiag import listeners

BODY = b"Hello, world!"
ANSWER_S = 1.5  # a right answer takes a millisecond; a server that hangs must not hang the probe
ALL_S = 12.0  # for all checks together, beside the variant's own delay
SLACK_S = 0.001  # a timer may round a millisecond down
DELAY_MS = 50  # what is asked of /delay

# Check -> the words of `lacks` that excuse it: routes, and ids of lab verify's checks (orchestrator/contract/table.py).
EXCUSES = {
    "plain": ("plain",),
    "keep-alive": ("plain", "keep-alive"),
    "connection close": ("plain", "connection-close"),
    "HTTP/1.0 closes": ("plain", "http10-closes"),
    "pipelining in order": ("plain", "echo", "pipelined-ten"),
    "delay": ("delay",),
    "delay out of range": ("delay", "delay-bounds"),
    "echo with Content-Length": ("echo",),
    "echo chunked": ("echo", "chunked-echo"),
    "healthz": ("healthz",),
    "stats": ("stats",),
    "unknown path": ("not-found",),
    "no aborts": ("no-aborts",),
    "backlog": ("backlog",),
    "malformed request": ("plain", "request-line-bad"),
}

Check = tuple[bool, str, str]  # ok, expected, seen


class Contract:
    """The checks, in the order they run. `host` and `port`: the server under test."""

    def __init__(self, told: dict[str, Any]):
        self.host, self.port = told["host"], int(told["port"])
        self.speaks, self.fixed_delay = told.get("speaks", "http"), bool(told.get("fixed_delay"))
        self.delay_s = float(told.get("delay_s") or 0.0)
        self.backlog: Any = told.get("backlog")
        self.nonce: str | None = told.get("nonce")
        self.instances: int | None = told.get("instances")
        self.lacks = frozenset(told.get("lacks") or ())
        self.routes: dict[str, str] = told.get("routes") or {}
        self.body = str(told.get("body") or "").encode() or BODY

    def checks(self) -> Iterator[tuple[str, Callable[[], Check]]]:
        """Return name and check of all that nothing declared excuses."""
        return ((name, check) for name, check in self.all() if not self.lacks.intersection(EXCUSES.get(name, ())))

    def all(self) -> Iterator[tuple[str, Callable[[], Check]]]:
        """Return name and check, the clean ones first; what may make a server abort comes last."""
        before = read_aborts()
        if self.speaks == "raw":
            yield "raw exchange", self.raw_exchange
        elif self.fixed_delay:
            yield "exchange after the fixed delay", lambda: self.delayed("/", self.delay_s)
        elif self.routes:
            yield from self.mapped()
        else:
            yield from (
                ("plain", self.plain),
                ("keep-alive", self.keep_alive),
                ("connection close", lambda: self.closes("Connection: close\r\n", "1.1")),
                ("HTTP/1.0 closes", lambda: self.closes("", "1.0")),
                ("pipelining in order", self.pipelining),
                ("delay", lambda: self.delayed(f"/delay?ms={DELAY_MS}", DELAY_MS / 1000)),
                ("delay out of range", self.delay_out_of_range),
                ("echo with Content-Length", lambda: self.echo(chunked=False)),
                ("echo chunked", lambda: self.echo(chunked=True)),
                ("healthz", self.healthz),
                ("stats", self.stats),
                ("unknown path", lambda: self.status("/no-such-path", 404)),
            )
        yield "no aborts", lambda: compare_aborts(before, read_aborts())
        if self.backlog is not None:
            yield "backlog", self.backlog_in_force
        if self.speaks == "http" and not self.fixed_delay and not self.routes:
            yield "malformed request", self.malformed

    def mapped(self) -> Iterator[tuple[str, Callable[[], Check]]]:
        """Return the checks of an existing image: what is mapped, and nothing of the contract besides."""
        if path := self.routes.get("plain"):
            yield f"GET {path}", lambda: self.delayed(path, 0.0)
        if template := self.routes.get("delay"):
            late = template.replace("{ms}", str(DELAY_MS))
            yield f"GET {late}", lambda: self.delayed(late, DELAY_MS / 1000)

    def connect(self, patience_s: float = ANSWER_S) -> Client:
        return Client(self.host, self.port, patience_s)

    def plain(self) -> Check:
        with self.connect() as client:
            got = client.ask("/plain")
        wrong = []
        if got.status != 200:
            wrong.append(f"status {got.status}")
        if got.headers.get("content-type", "").partition(";")[0].strip() != "text/plain":
            wrong.append(f"Content-Type {got.headers.get('content-type')!r}")
        if got.headers.get("content-length") != "13":
            wrong.append(f"Content-Length {got.headers.get('content-length')!r}")
        if not got.headers.get("server"):
            wrong.append("no Server")
        if not is_date(got.headers.get("date", "")):
            wrong.append(f"Date {got.headers.get('date')!r}")
        if got.body != BODY:
            wrong.append(f"body {got.body[:40]!r}")
        return not wrong, f"200, text/plain, 13 bytes, Server, Date, {BODY!r}", ", ".join(wrong) or "just that"

    def keep_alive(self) -> Check:
        with self.connect() as client:
            seen = [client.ask("/plain") for _ in range(2)]
        right = all(answer.status == 200 and answer.keeps_alive and answer.body == BODY for answer in seen)
        return right, "two right answers on one connection", _tell(*seen)

    def closes(self, headers: str, version: str) -> Check:
        with self.connect() as client:
            got = client.ask("/plain", headers=headers, version=version)
            after = client.drain()
        right = got.status == 200 and got.body == BODY and not after
        return right, "a right answer, then the end", f"{_tell(got)}, then {after[:40]!r} and the end"

    def pipelining(self) -> Check:
        first, third = os.urandom(8).hex().encode(), os.urandom(8).hex().encode()
        with self.connect() as client:
            client.send(render("/echo", "POST", "", first) + render("/plain") + render("/echo", "POST", "", third))
            bodies = [client.answer().body for _ in range(3)]
        return bodies == [first, BODY, third], f"{[first, BODY, third]}", f"{bodies}"

    def delayed(self, path: str, delay_s: float) -> Check:
        begun_s = time.monotonic()
        with self.connect(delay_s + ANSWER_S) as client:
            got = client.ask(path)
        took_s = time.monotonic() - begun_s
        right = got.status == 200 and got.body == self.body and took_s >= delay_s - SLACK_S
        return right, f"200 and {self.body[:40]!r} after at least {delay_s:.3f} s", f"{_tell(got)} after {took_s:.3f} s"

    def raw_exchange(self) -> Check:
        message = f"{int.from_bytes(os.urandom(5), 'big') % 10**12:012d}\n".encode()
        begun_s = time.monotonic()
        with self.connect(self.delay_s + ANSWER_S) as client:
            client.send(message)
            got = client.drain()
        took_s = time.monotonic() - begun_s
        right = got == message and took_s >= self.delay_s - SLACK_S
        expected = f"{message!r} and the end after at least {self.delay_s:.3f} s"
        return right, expected, f"{got[:40]!r} after {took_s:.3f} s"

    def delay_out_of_range(self) -> Check:
        seen = []
        for ms in ("120001", "-1"):
            with self.connect() as client:
                seen.append(client.ask(f"/delay?ms={ms}"))
        return all(answer.status == 400 for answer in seen), "400 for ms=120001 and ms=-1", _tell(*seen)

    def echo(self, *, chunked: bool) -> Check:
        body = os.urandom(600).hex().encode()
        with self.connect() as client:
            if chunked:
                parts = (body[:1], body[1:500], body[500:])
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
                client.send(render("/echo", "POST", "Transfer-Encoding: chunked\r\n") + chunks)
                got = client.answer()
            else:
                got = client.ask("/echo", "POST", body=body)
        right = got.status == 200 and got.body == body
        return right, f"200 and the same {len(body)} bytes", "just that" if right else _tell(got)

    def status(self, path: str, status: int) -> Check:
        with self.connect() as client:
            got = client.ask(path)
        return got.status == status, str(status), _tell(got)

    def healthz(self) -> Check:
        with self.connect() as client:
            got = client.ask("/healthz")
        shown = got.headers.get("lab-nonce")
        if self.nonce is None:
            return got.status == 200, "200", _tell(got)
        right = got.status == 200 and shown == self.nonce
        return right, f"200 with Lab-Nonce: {self.nonce}", f"{got.status} with {'none' if shown is None else shown}"

    def stats(self) -> Check:
        keys = ("accepted", "active", "held", "threads")
        expected = f"JSON with the numbers {', '.join(keys)}"
        with self.connect() as client:
            got = client.ask("/stats")
        try:
            told = json.loads(got.body)
            right = got.status == 200 and all(is_count(told.get(key)) for key in keys)
            if self.instances is not None:
                expected += f" and instance below {self.instances}"
                right = right and is_count(told.get("instance")) and told["instance"] < self.instances
        except (ValueError, AttributeError):
            right = False
        return right, expected, f"{got.status} {got.body[:200]!r}"

    def malformed(self) -> Check:
        with self.connect() as client:
            try:
                client.send(b"NOT A REQUEST\r\n\r\n")
                seen = client.drain()[:12]
            except TimeoutError:
                seen = b"neither"
            except ConnectionError:
                seen = b""  # closing with unread bytes resets: that is a close
        after = self.status("/plain", 200)
        right = (not seen or seen.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))) and after[0]
        return right, "4xx or a close, and /plain still served", f"{seen!r}, then {after[2]}"

    def backlog_in_force(self) -> Check:
        most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        expected = min(int(self.backlog), most)
        seen = [one.backlog for one in self.my_listeners()]
        return bool(seen) and set(seen) == {expected}, f"{expected} (min of {self.backlog} and {most})", f"{seen}"

    def my_listeners(self) -> list[Any]:
        """Return the kernel's listeners that serve this host and port, each process's own among them."""
        mine = (self.host, "0.0.0.0", "::", f"::ffff:{self.host}")
        return [listener for listener in listeners(self.port) if listener.address in mine]

    def wait_ready(self, ready_s: float) -> Check:
        """Wait for the listener and, where the variant has it, for /healthz. The first needs no connection."""
        deadline_s = time.monotonic() + ready_s
        seen = "no listener"
        while time.monotonic() < deadline_s:
            try:
                if self.my_listeners():
                    if self.speaks == "raw" or self.fixed_delay or self.routes or "healthz" in self.lacks:
                        return True, "a listener", "a listener"
                    ok, _, seen = self.status("/healthz", 200)
                    if ok:
                        return True, "200 from /healthz", seen
            except (OSError, Malformed, ClosedEarly) as error:
                seen = repr(error)
            time.sleep(0.01)
        return False, f"an answer within {ready_s:g} s", seen


def run(told: dict[str, Any]) -> dict[str, Any]:
    """Return the report on one variant."""
    contract = Contract(told)
    results = [_result("ready", lambda: contract.wait_ready(float(told.get("ready_s") or 10.0)))]
    if results[0]["ok"]:
        deadline_s = time.monotonic() + ALL_S + contract.delay_s
        for name, check in contract.checks():
            if time.monotonic() > deadline_s:
                results.append({"name": name, "ok": False, "expected": "to be reached", "seen": "out of time"})
            else:
                results.append(_result(name, check))
    return {"ok": all(result["ok"] for result in results), "variant": told.get("variant"), "checks": results}


def read_aborts() -> dict[str, int]:
    """Return this network namespace's TCPAbortOn* counters (proc_net_netstat: a line of names, then one of values)."""
    lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt:")]
    return {name: int(value) for name, value in zip(*lines[:2], strict=True) if name.startswith("TCPAbortOn")}


def compare_aborts(before: dict[str, int], after: dict[str, int]) -> Check:
    grown = {name: after[name] - before[name] for name in before if after[name] != before[name]}
    return not grown, "TCPAbortOn* unchanged", f"{grown or 'unchanged'}"


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_date(text: str) -> bool:
    """Return whether `text` is an HTTP date (RFC 9110, 5.6.7, the form that senders must use)."""
    try:
        time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return False
    return True


def _result(name: str, check: Callable[[], Check]) -> dict[str, Any]:
    try:
        ok, expected, seen = check()
    except (OSError, Malformed, ClosedEarly) as error:
        ok, expected, seen = False, "an answer", f"{type(error).__name__}: {error}"
    return {"name": name, "ok": ok, "expected": expected, "seen": seen}


def _tell(*answers: Answer) -> str:
    return " and ".join(f"{answer.status} {answer.body[:40]!r}" for answer in answers)


def main() -> int:
    try:
        report = run(json.loads(sys.argv[1]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        print(json.dumps({"ok": False, "checks": [], "error": f"expected one JSON argument: {error!r}"}))
        return 2
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
