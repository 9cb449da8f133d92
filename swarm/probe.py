"""Check a variant's contract from outside, inside its pod: `python3 -m swarm.probe '{"variant": ..., "port": ...}'`.

JSON in, JSON out: {"ok", "variant", "checks": [{"name", "ok", "expected", "seen"}]}; exit code 0 when all are ok. In:
host, port, speaks (http or raw), fixed_delay, delay_s, ready_s (default 10); where null they are not checked: backlog,
nonce (what LAB_NONCE told the server), instances (how many processes share the port). lacks: what the variant declares
not to keep, which is not asked for. Of an existing image: routes (plain, delay -> its own path) and body, its answer.
Standard library only. What is asked and what a right answer is: exchanges.py. The contract: servers/CONTRACT.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from swarm.exchanges import Check, Exchanges
from swarm.http1 import ClosedEarly, Malformed
from swarm.sockdiag import listeners

ALL_S = 12.0  # for all checks together, beside the variant's own delay
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


class Contract(Exchanges):
    """The checks, in the order they run."""

    def __init__(self, told: dict[str, Any]):
        super().__init__(told)
        self.speaks, self.fixed_delay = told.get("speaks", "http"), bool(told.get("fixed_delay"))
        self.backlog: Any = told.get("backlog")
        self.lacks = frozenset(told.get("lacks") or ())
        self.routes: dict[str, str] = told.get("routes") or {}

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


def _result(name: str, check: Callable[[], Check]) -> dict[str, Any]:
    try:
        ok, expected, seen = check()
    except (OSError, Malformed, ClosedEarly) as error:
        ok, expected, seen = False, "an answer", f"{type(error).__name__}: {error}"
    return {"name": name, "ok": ok, "expected": expected, "seen": seen}


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
