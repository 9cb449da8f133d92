"""What c-uring's sandbox allows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

VARIANT = Path(__file__).parents[2] / "servers" / "c-uring"
IO_URING = {"io_uring_setup", "io_uring_enter", "io_uring_register"}


def rules_of(profile: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(rule) for rule in profile["syscalls"]]


def allowed(profile: dict[str, Any]) -> set[str]:
    """The calls that are allowed whatever their arguments."""
    rules = rules_of(profile)
    return {name for r in rules if r["action"] == "SCMP_ACT_ALLOW" and "args" not in r for name in r["names"]}


def test_one_rule_allows_io_uring_and_nothing_else() -> None:
    """Without its last rule the profile refuses io_uring, and nothing more."""
    profile = json.loads((VARIANT / "seccomp.json").read_text())
    about = [set(rule["names"]) for rule in rules_of(profile) if IO_URING & set(rule["names"])]

    assert [IO_URING] == about
    assert "SCMP_ACT_ERRNO" == profile["defaultAction"]


def test_what_reaches_beyond_a_container_is_refused() -> None:
    """Mounts, namespaces, modules, keyrings are in no rule; clone, personality and socket only with conditions."""
    profile = json.loads((VARIANT / "seccomp.json").read_text())
    refused = {"mount", "umount2", "unshare", "setns", "init_module", "bpf", "perf_event_open", "keyctl", "reboot"}
    refused |= {"clock_settime", "clock_settime64", "settimeofday"}
    conditional = {"clone", "clone3", "personality", "socket"}

    assert set() == allowed(profile) & (refused | conditional)
    assert {"accept4", "execve", "futex", "mmap"} <= allowed(profile)


def test_a_call_of_a_newer_kernel_joins_when_the_profile_is_made_anew() -> None:
    """The generator takes names from the headers it is given, and leaves out what it refuses."""
    known = "".join(f"#define __NR_call{n} {n}\n" for n in range(300))
    told = known + "#define __NR_brandnew 999\n#define __NR_mount 40\n#define __NR_io_uring_enter 426\n"
    command = [sys.executable, str(VARIANT / "make_seccomp.py")]
    made = json.loads(subprocess.run(command, input=told, capture_output=True, text=True, check=True).stdout)

    assert "brandnew" in allowed(made)
    assert "mount" not in allowed(made)
    assert "io_uring_enter" not in rules_of(made)[0]["names"]


def test_headers_that_hold_no_table_are_refused() -> None:
    """An empty input makes no profile that refuses everything."""
    command = [sys.executable, str(VARIANT / "make_seccomp.py")]
    ended = subprocess.run(command, input="", capture_output=True, text=True, check=False)

    assert 1 == ended.returncode
    assert "seen 2 calls" in ended.stderr
