"""Talk to a server from within its network namespace: test_servers.py feeds this to the swarm image's `python3 -c`.

argv: a function of this module, and what it is told as JSON. Prints what it saw as JSON on the last line; judging that
is the test's work. Every wait has a deadline.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarm import probe
from swarm.blocking import Client, render
from swarm.http1 import Answer, ClosedEarly
from swarm.probe import read_aborts
from swarm.sockdiag import listeners

PORT = 8080
PATIENCE_S = 20.0  # for what takes milliseconds on an idle machine; two cores may be busy with something else
BODY = b"Hello, world!"
CPU_TICKS_PER_S = 100  # USER_HZ, on amd64 and arm64 alike


def connect() -> Client:
    return Client("127.0.0.1", PORT, PATIENCE_S)


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    """Wait until it is so, asking every 20 ms. Raises TimeoutError."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {PATIENCE_S:g} s")
        time.sleep(0.02)


def stats_of(watch: Client) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(watch.ask("/stats").body)
    return told


def is_right(answer: Answer) -> bool:
    return (answer.status, answer.body) == (200, BODY)


# ---- what a well-behaved crowd sees ---------------------------------------------------------------


def clean(told: dict[str, Any]) -> dict[str, Any]:
    """See everything that must not abort a connection. threads: each connection has one, to be given back too."""
    before = read_aborts()
    with connect() as watch:
        baseline = stats_of(watch)

        def is_back() -> bool:
            now = stats_of(watch)
            return now["active"] == 1 and (not told["threads"] or now["threads"] == baseline["threads"])

        seen: dict[str, Any] = {"delayed": delayed(watch, told["clients"])}
        wait_for("the crowd's connections are freed", is_back)
        seen["left"] = left(watch, 200)
        wait_for("the connections of those who left /delay are freed", is_back)
        seen |= {"bytewise": bytewise(), "pipelined": pipelined(), "early": early()}
        wait_for("every connection is freed", is_back)
        errors = stats_of(watch)["errors"]
    after = read_aborts()
    return seen | {"errors": errors, "aborts": {name: after[name] - before[name] for name in before}}


def delayed(watch: Client, clients: int) -> dict[str, Any]:
    """Let everybody wait a second at once."""
    crowd = [connect() for _ in range(clients)]
    wait_for("all are accepted", lambda: stats_of(watch)["active"] == clients + 1)
    begun_s = time.monotonic()
    for client in crowd:
        client.send(render("/delay?ms=1000"))
    right = sum(is_right(client.answer()) for client in crowd)
    took_s = time.monotonic() - begun_s
    for client in crowd:
        client.__exit__()
    return {"right": right, "took_s": took_s}


def left(watch: Client, clients: int) -> dict[str, Any]:
    """Leave in the middle of a two-minute /delay."""
    requests = stats_of(watch)["requests"]
    crowd = [connect() for _ in range(clients)]
    for client in crowd:
        client.send(render("/delay?ms=120000"))
    wait_for("all wait", lambda: stats_of(watch)["requests"] >= requests + clients)
    during = stats_of(watch)
    for client in crowd:
        client.__exit__()
    return {"active": during["active"], "threads": during["threads"]}


def bytewise() -> bool:
    """One byte per segment: without Nagle each send is one."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in render("/echo", "POST", "Connection: close\r\n", BODY):
            sock.sendall(bytes([byte]))
        got = b""
        while piece := sock.recv(4096):
            got += piece
    return got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"\r\n\r\n" + BODY)


def pipelined() -> list[str]:
    """Ten requests in one segment, two of them slow ones."""
    waiting = render("/delay?ms=50")
    echoes = [render("/echo", "POST", body=b"%d" % i) for i in range(8)]
    with connect() as client:
        client.send(b"".join([*echoes[:3], waiting, *echoes[3:6], waiting, *echoes[6:]]))
        return [client.answer().body.decode() for _ in range(10)]


def early() -> bool:
    """A reply comes although the request behind it, in the same segment, is held."""
    with connect() as client, connect() as other:
        client.send(render("/plain") + render("/hold"))
        first = is_right(client.answer())
        wait_for("one is held", lambda: other.ask("/release", "POST").body == b'{"released": 1}')
        return first and is_right(client.answer())


# ---- what a malformed request gets ------------------------------------------------------------------


def malformed(told: dict[str, Any]) -> dict[str, Any]:
    """cases: name -> the request, as latin-1. Returns name -> [status or "close", did it end, is /plain served]."""
    seen = {}
    for name, text in told["cases"].items():
        with connect() as client:
            client.send(text.encode("latin-1"))
            try:
                status: int | str = client.answer().status
            except ClosedEarly:
                status = "close"
            is_ended = status != 200 and client.drain() == b""
        with connect() as client:
            seen[name] = [status, is_ended, is_right(client.ask("/plain"))]
    return seen


# ---- which server is it? --------------------------------------------------------------------------


def identity(told: dict[str, Any]) -> dict[str, Any]:
    """See the nonce, the instance, and how many are held while two wait, one has left and all are released."""
    with connect() as watch:
        health = watch.ask("/healthz")
        seen: dict[str, Any] = {"nonce": health.headers.get("lab-nonce"), "status": health.status}
        seen["elsewhere"] = watch.ask("/plain").headers.get("lab-nonce")
        held = []
        crowd = [connect() for _ in range(2)]
        for client in crowd:
            client.send(render("/hold"))
        wait_for("two are held", lambda: stats_of(watch)["held"] == 2)
        held.append(stats_of(watch)["held"])
        crowd.pop().__exit__()
        wait_for("one has left", lambda: stats_of(watch)["active"] == 2)
        held.append(stats_of(watch)["held"])
        watch.ask("/release", "POST")
        held.append(stats_of(watch)["held"])
        seen["answered"] = is_right(crowd[0].answer())
        after = stats_of(watch)
    report = probe.run({"host": "127.0.0.1", "port": PORT, **told})
    failed = [check["name"] for check in report["checks"] if not check["ok"]]
    return seen | {"held": [*held, after["held"]], "instance": after["instance"], "failed": failed}


# ---- without descriptors ----------------------------------------------------------------------------


def starve(told: dict[str, Any]) -> dict[str, Any]:
    """Connect more clients than the server has descriptors, for `hold_s`. Needs the server's pid namespace."""

    def cpu_s() -> float:
        fields = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CPU_TICKS_PER_S  # utime, stime: proc_pid_stat(5)

    with connect() as watch:
        watch.ask("/plain")  # so that it is served, not queued behind the others
        crowd = [connect() for _ in range(told["clients"])]
        wait_for("EMFILE is counted", lambda: stats_of(watch)["errors"].get("EMFILE", 0) > 0)
        first, cpu_before_s, begun_s = stats_of(watch)["errors"]["EMFILE"], cpu_s(), time.monotonic()
        time.sleep(told["hold_s"])  # not a wait for anything: the starvation that is looked at
        seen: dict[str, Any] = {"cpu_s": cpu_s() - cpu_before_s, "took_s": time.monotonic() - begun_s}
        seen["counted"] = stats_of(watch)["errors"]["EMFILE"] - first
        for client in crowd:
            client.__exit__()
        with connect() as client:
            seen["serves_after"] = is_right(client.ask("/plain"))
        wait_for("the crowd's connections are freed", lambda: stats_of(watch)["active"] == 1)
        return seen | {"errors": stats_of(watch)["errors"]}


# ---- while the server stops -------------------------------------------------------------------------


def drain(told: dict[str, Any]) -> dict[str, Any]:
    """Have one request in flight and one connection idle; say "ready" and see how the server stops."""
    with connect() as busy, connect() as idle, connect() as watch:
        idle.ask("/plain")
        requests = stats_of(watch)["requests"]
        busy.send(render("/delay?ms=1500"))
        wait_for("it is in flight", lambda: stats_of(watch)["requests"] > requests + 1)
        backlog = [listener.backlog for listener in listeners(PORT)]
        print("ready", flush=True)
        rest = idle.drain()  # its end shows that the server has begun to stop
        try:
            with connect() as late:
                refused = f"accepted: {late.ask('/plain')}"
        except (ConnectionError, ClosedEarly) as error:
            refused = type(error).__name__
        answer = busy.answer()
        seen = {"right": is_right(answer), "keeps_alive": answer.keeps_alive, "after": busy.drain().decode()}
    return seen | {"idle": rest.decode(), "refused": refused, "backlog": backlog}


# ---- the specimen -------------------------------------------------------------------------------------


def burst(told: dict[str, Any]) -> dict[str, Any]:
    """Send 13 bytes of one's own, first alone and then `clients` at once. Returns how often whose bytes came back."""
    with connect() as alone:
        alone.send(b"alone-0000000")
        lone = alone.drain().decode()
    crowd = [socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE_S) for _ in range(told["clients"])]
    for number, sock in enumerate(crowd):
        sock.sendall(b"client-%06d" % number)
    deadline_s = time.monotonic() + told["patience_s"]
    seen = {"own": 0, "other": 0, "hung": 0, "lost": 0}
    for number, sock in enumerate(crowd):
        sock.settimeout(max(0.001, deadline_s - time.monotonic()))
        try:
            got = sock.recv(64)
            kind = "lost" if not got else "own" if got == b"client-%06d" % number else "other"
        except TimeoutError:
            kind = "hung"
        except ConnectionError:
            kind = "lost"
        seen[kind] += 1
        sock.close()
    return {"lone": lone} | seen


if __name__ == "__main__":
    wait_for("a listener", lambda: bool(listeners(PORT)))
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))), flush=True)
