"""Ask a server, and say what was expected and what was seen: the exchanges that the contract probe is made of.

Standard library and blocking sockets only. All but `malformed` read what they are sent before they close, so that the
aborts counted meanwhile are the server's.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from swarm.blocking import Client, render
from swarm.http1 import Answer

BODY = b"Hello, world!"
ANSWER_S = 1.5  # a right answer takes a millisecond; a server that hangs must not hang the probe
SLACK_S = 0.001  # a timer may round a millisecond down

Check = tuple[bool, str, str]  # ok, expected, seen


class Exchanges:
    """One or a few exchanges each. `host` and `port`: the server under test; the rest as probe.py is told."""

    def __init__(self, told: dict[str, Any]):
        self.host, self.port = told["host"], int(told["port"])
        self.delay_s = float(told.get("delay_s") or 0.0)
        self.nonce: str | None = told.get("nonce")
        self.instances: int | None = told.get("instances")
        self.body = str(told.get("body") or "").encode() or BODY

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


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_date(text: str) -> bool:
    """Return whether `text` is an HTTP date (RFC 9110, 5.6.7, the form that senders must use)."""
    try:
        time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return False
    return True


def _tell(*answers: Answer) -> str:
    return " and ".join(f"{answer.status} {answer.body[:40]!r}" for answer in answers)
