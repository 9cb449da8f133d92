"""The `lab` command: parses, calls the story, prints, decides nothing.

Results go to stdout, progress and errors to stderr. Exit codes: 0 fine, 1 regression or failed verification, 2 bad
input, 3 environment, 4 void or undecided, 130 interrupted. Each module holds the verbs of one subject.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

# Importing them adds their verbs to the group.
from orchestrator.cli import (
    compare,
    ending,
    grafana,
    group,
    new,
    nightly,
    plan,
    report,
    run,
    standing,
    transfer,
    tune,
    verify,
    watch,
)
from orchestrator.cli.ending import end
from orchestrator.cli.group import lab

__all__ = [
    "compare", "ending", "grafana", "group", "lab", "main", "new", "nightly", "plan", "report", "run", "standing",
    "transfer", "tune", "verify", "watch",
]  # fmt: skip


def main() -> NoReturn:
    """Run the command line and end with a documented exit code."""
    # The lab's own pages are on loopback, whatever proxy the outside world needs.
    os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"]))
    end(lab, "lab", "trials", Path.cwd())
