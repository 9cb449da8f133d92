"""What a container has of its engine is read from inside one, and nothing that could not be read is a number."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.containers import granted
from orchestrator.containers.granted import parse_granted, read_granted
from orchestrator.containers.labels import Owner
from orchestrator.containers.launch import Running, Spec
from orchestrator.errors import LimitRefused, NotReady
from orchestrator.planning.hostlimits import ContainerLimits

# As recorded on Linux 6.18: /proc/P/limits has the soft limit before the hard one.
LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max stack size            8388608              unlimited            bytes
Max processes             {nproc}                96364                processes
Max open files            20000                20000                files
Max locked memory         {memlock}              unlimited            bytes
Max file locks            unlimited            unlimited            locks
"""
SYSCTLS = "4096\n32768\t60999\n"


def output(pids: str, memlock: str = "8388608", nproc: str = "96364") -> str:
    """Return what the script prints: a container's own hard nofile and CPUs, two settings, two places of pids.max."""
    return f"20000\n0-1\n{SYSCTLS}{pids}{LIMITS.format(memlock=memlock, nproc=nproc)}"


def test_every_limit_of_a_container_is_in_its_place() -> None:
    """The soft limit is what the kernel asks, except of descriptors, where the hard one is what can be had."""
    seen = parse_granted(output("max\nabsent\n"), 1 << 20)

    assert (20_000, "0-1") == (seen.nofile, seen.cpus)
    assert {"net.core.somaxconn": "4096", "net.ipv4.ip_local_port_range": "32768 60999"} == seen.sysctls
    assert ContainerLimits(memlock_bytes=8_388_608, nproc=96_364, pids_max=None) == seen.limits


@pytest.mark.parametrize(
    ("pids", "most"),
    [("4915\nabsent\n", 4_915), ("absent\n2048\n", 2_048), ("absent\nmax\n", None), ("absent\nabsent\n", None)],
    ids=["cgroup v2", "cgroup v1", "v1 without a limit", "not to be read"],
)
def test_a_containers_pids_are_read_under_both_cgroups(pids: str, most: int | None) -> None:
    """Under v2 the file lies at the root of the container's own namespace, under v1 in a hierarchy of its own."""
    assert most == parse_granted(output(pids), 20_000).limits.pids_max


def test_what_is_unlimited_is_no_number() -> None:
    """Neither 0 nor the largest there is."""
    assert ContainerLimits() == parse_granted(output("max\nabsent\n", "unlimited", "unlimited"), 20_000).limits


@pytest.mark.parametrize("text", ["", "sh: 1: ulimit: bad", "20000\n0-1\n4096\n", output("max\n")[:120]])
def test_a_container_that_says_something_else_is_not_believed(text: str) -> None:
    """With what was seen, so that it can be looked into."""
    with pytest.raises(NotReady, match="could not be read inside a container; seen: "):
        parse_granted(text, 20_000)


@pytest.mark.parametrize(("refuses", "nofile"), [(False, 15_000), (True, 15_000)])
def test_what_the_engine_refuses_is_asked_for_without(
    monkeypatch: pytest.MonkeyPatch, refuses: bool, nofile: int
) -> None:
    """Never more than was wanted; each container that was started is taken away."""
    started: list[str] = []
    removed: list[str] = []

    def launch(_client: Any, spec: Spec, _lab: str, _owner: Owner) -> Running:
        if refuses and spec.nofile is not None:
            raise LimitRefused("no")
        started.append(spec.name)
        return Running(spec.name, spec.name, 1)

    monkeypatch.setattr(granted, "launch", launch)
    monkeypatch.setattr(granted, "remove", lambda _client, container_id: removed.append(container_id))
    monkeypatch.setattr(granted, "run_inside", lambda *_: (0, output("max\nabsent\n")))
    client: Any = None
    seen = read_granted(client, "ab12", Owner("run", "boot", 7, 2), 15_000)

    assert nofile == seen.nofile
    assert [f"netpoll-lab-ab12-limits-{'own' if refuses else 15000}-7"] == started == removed
