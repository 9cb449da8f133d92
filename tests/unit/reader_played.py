"""The probes' reader, played by a script with counts that are always the same, and a ladder on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from probes.service.ladder import Ladder
from probes.service.reader import Reader
from probes.service.target import Target

LABELS = {"run_id": "r", "scenario": "s", "variant": "v"}
TARGET = Target("t", LABELS, (1,), 1)
COUNTS: dict[str, Any] = {
    "syscalls": {"read": 7, "epoll_wait": 3},
    "errors": {"read": {"EAGAIN": 2}},
    "epoll": {"returns": 3, "events": 6},
    "switches": {"voluntary": 4, "involuntary": 1},
    "wakeups": {"woken": 5, "new": 0},
    "runqueue_latency": {"below_ns": {"1024": 2, "3072": 1, "4294967296": 1}, "sum_ns": 2_000_000_000, "count": 4},
    "tcp": {"reset_sent": {"TCP_STATE": 2}, "reset_received": 1, "retransmit": 0},
    "drops": {},
    "uring": {},
    "lost": {"recursion": 0},
}

# What reader.c does, with counts that are always the same: ready, then a line for each order, until its input ends.
SCRIPT = """
import json, sys, time
rung, counts = sys.argv[1], json.loads(sys.argv[2])
if rung in sys.argv[3].split(","):
    print(f"reader: {rung}: refused here", file=sys.stderr)
    sys.exit(3)
print(json.dumps({"ready": rung, "at_s": 100.0, "missing": {"uring": "old"}}), flush=True)
for line in sys.stdin:
    word, _, due = line.strip().partition(" ")
    if word == "die":
        print("reader: the counts cannot be read", file=sys.stderr)
        sys.exit(4)
    told = {"at_s": 101.0, "why": "asked", **counts} if word == "read" else {
        "at_s": float(due) + 0.001, "why": "mark", "due_s": float(due), **counts}
    print(json.dumps(told), flush=True)
"""


def reader(rung: str, refuse: str = "") -> Reader:
    return Reader([sys.executable, "-c", SCRIPT, rung, json.dumps(COUNTS), refuse])


def ladder(tmp_path: Path, refuse: str = "") -> Ladder:
    """Return a ladder whose host refuses some rungs; process 1 is there."""
    (tmp_path / "1").mkdir()
    return Ladder("reader", lambda command: reader(command[1], refuse), tmp_path)
