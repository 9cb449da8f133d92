"""Compile C for a test with gcc: what the tests of the engine stand on.

gcc is required, not wished for: `make test` installs it (tests/prepare.py), and without it these tests fail.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[2] / "swarm" / "engine"
HERE = Path(__file__).resolve().parent / "c"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror")
FLAGS = ("-std=c11", "-g", "-pthread", *WARNINGS)
SANITIZED = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PARSER = tuple(sorted(ENGINE.glob("answer*.c")))


def compile_c(out: Path, *sources: Path, flags: tuple[str, ...] = ("-O2",)) -> Path:
    """Return `out`, made of the sources: a program, or a shared library if `flags` say so. The test fails otherwise."""
    command = ["gcc", *FLAGS, *flags, "-o", str(out), *map(str, sources), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except FileNotFoundError:
        raise AssertionError("no gcc: run `make test`, or sudo apt-get install gcc libc6-dev make") from None
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return out
