"""A container's cgroup is found and read alike under v1, v2 and both: frozen trees and a process's own path in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.observe.exporter import cgroup
from orchestrator.observe.exporter.errors import Absent, Unavailable
from orchestrator.observe.exporter.parse import (
    parse_cgroup_paths,
)
from tests.unit.kernel_text import FIXTURES

CONTAINER = "5ca6b785d156d3fb7dd6bab75474b9af978c58dcdebcf6b3ae9df3571ae5140d"


def test_controllers_mounted_together_share_a_path() -> None:
    """cpu,cpuacct is two controllers; the unified hierarchy is the empty name."""
    assert {"cpu": "/a", "cpuacct": "/a", "": "/b"} == parse_cgroup_paths("2:cpu,cpuacct:/a\n0::/b\n")


def v1_tree(root: Path) -> tuple[Path, Path]:
    """Lay out the frozen groups as the kernel mounts them; return (cgroup root, proc root)."""
    mounts, proc = root / "cgroup", root / "proc"
    for hierarchy in ("cpu", "cpuacct", "memory", "freezer", "unified"):
        folder = mounts / hierarchy / "docker" / CONTAINER
        shutil.copytree(FIXTURES / "cgroup-v1" / hierarchy, folder)
        (folder / "cgroup.procs").write_text("30499\n")
    shutil.copy(FIXTURES / "cgroup-v1" / "unified" / "cgroup.controllers", mounts / "unified")
    (proc / "30499").mkdir(parents=True)
    shutil.copy(FIXTURES / "epoll" / "cgroup", proc / "30499" / "cgroup")
    return mounts, proc


def v2_tree(root: Path) -> tuple[Path, Path]:
    mounts, proc = root / "cgroup", root / "proc"
    (proc / "30499").mkdir(parents=True)
    shutil.copy(FIXTURES / "cgroup-v2" / "cgroup-of-process", proc / "30499" / "cgroup")
    shutil.copytree(FIXTURES / "cgroup-v2", mounts / "system.slice" / f"docker-{CONTAINER}.scope")
    shutil.copy(FIXTURES / "cgroup-v2" / "cgroup.controllers", mounts)
    return mounts, proc


def test_v1_groups_give_exact_cpu_time_memory_and_throttling(tmp_path: Path) -> None:
    """The frozen container used 30.351815 ms, was throttled thrice, and owns 364,544 bytes."""
    root, proc = v1_tree(tmp_path)

    dirs = cgroup.find(30499, root, proc, CONTAINER)
    memory = cgroup.read_memory(dirs)

    assert 1 == dirs.version
    assert 0.030351815 == cgroup.read_cpu_s(dirs)
    assert (11, 3, 0.119364313) == tuple(getattr(cgroup.read_throttling(dirs), k) for k in cgroup.Throttling.__slots__)
    assert (884736, 40960, 323584, None) == (
        memory.usage_bytes,
        memory.anon_bytes,
        memory.kernel_bytes,
        memory.sock_bytes,
    )
    assert 40960 + 323584 == memory.own_bytes


def test_a_hybrid_host_tells_pressure_beside_v1(tmp_path: Path) -> None:
    """v1 holds the controllers; what stood still is in the unified hierarchy, for the same container."""
    root, proc = v1_tree(tmp_path)
    found = cgroup.read_pressure_s(cgroup.find(30499, root, proc, CONTAINER))

    assert {f"{resource} {kind}" for resource in ("cpu", "memory", "io") for kind in ("some", "full")} == set(found)
    assert 4.186774 == found["cpu some"]


def test_v1_alone_has_no_pressure_and_that_is_no_failure(tmp_path: Path) -> None:
    """Nothing is wrong with such a host: it is absent, not failing."""
    root, proc = v1_tree(tmp_path)
    shutil.rmtree(root / "unified")
    dirs = cgroup.find(30499, root, proc)

    with pytest.raises(Absent, match="no unified hierarchy"):
        cgroup.read_pressure_s(dirs)
    assert 0.030351815 == cgroup.read_cpu_s(dirs)


def test_v1_events_of_memory_go_by_the_names_of_v2(tmp_path: Path) -> None:
    """failcnt is how often the limit held; oom_control counts who was killed."""
    root, proc = v1_tree(tmp_path)
    dirs = cgroup.find(30499, root, proc)
    assert dirs.memory
    (dirs.memory / "memory.failcnt").write_text("7\n")

    assert {"max": 7, "oom_kill": 0} == cgroup.read_memory_events(dirs)
    (dirs.memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\n")
    with pytest.raises(Unavailable, match=r"4\.13"):
        cgroup.read_memory_events(dirs)


def test_a_paused_container_is_known_by_its_freezer(tmp_path: Path) -> None:
    """Thawed as it was frozen for these tests; then the kernel's other words."""
    root, proc = v1_tree(tmp_path)
    dirs = cgroup.find(30499, root, proc)
    assert dirs.freezer
    assert not cgroup.is_frozen(dirs)

    (dirs.freezer / "freezer.state").write_text("FROZEN\n")
    assert cgroup.is_frozen(dirs)


def test_v1_modes_of_cpu_time_are_in_seconds(tmp_path: Path) -> None:
    """Counted by ticks, so that they need not add up to the exact total."""
    root, proc = v1_tree(tmp_path)
    modes = cgroup.read_cpu_modes_s(cgroup.find(30499, root, proc))

    assert {"user": 0.564, "system": 0.571974922} == modes


def test_v1_socket_buffers_count_once_their_limit_is_set(tmp_path: Path) -> None:
    """With memory.kmem.tcp.limit_in_bytes set, its usage is the server's memory too."""
    root, proc = v1_tree(tmp_path)
    folder = root / "memory" / "docker" / CONTAINER
    (folder / "memory.kmem.tcp.limit_in_bytes").write_text("1099511627776\n")
    (folder / "memory.kmem.tcp.usage_in_bytes").write_text("8192\n")

    memory = cgroup.read_memory(cgroup.find(30499, root, proc))

    assert 8192 == memory.sock_bytes
    assert 40960 + 323584 + 8192 == memory.own_bytes


def test_v1_controllers_mounted_together_are_found(tmp_path: Path) -> None:
    """Many distributions mount cpu and cpuacct as one hierarchy, with links beside it."""
    root, proc = v1_tree(tmp_path)
    both = root / "cpu,cpuacct"
    (root / "cpu").rename(both)
    shutil.copy(FIXTURES / "cgroup-v1" / "cpuacct" / "cpuacct.usage", both / "docker" / CONTAINER)
    shutil.rmtree(root / "cpuacct")

    dirs = cgroup.find(30499, root, proc)

    assert dirs.cpu == dirs.cpuacct == both / "docker" / CONTAINER
    assert 0.030351815 == cgroup.read_cpu_s(dirs)


def test_v2_group_gives_cpu_time_memory_and_throttling(tmp_path: Path) -> None:
    """Kernel memory and what lies in a tmpfs are the server's; page cache of files is not, and there was none."""
    root, proc = v2_tree(tmp_path)

    dirs = cgroup.find(30499, root, proc, CONTAINER)
    memory = cgroup.read_memory(dirs)

    assert (2, 1.225474) == (dirs.version, cgroup.read_cpu_s(dirs))
    assert {"user": 0.938426, "system": 0.287048} == cgroup.read_cpu_modes_s(dirs)
    assert (63, 60, 4.607337) == tuple(getattr(cgroup.read_throttling(dirs), k) for k in cgroup.Throttling.__slots__)
    assert (32669696, 0, 102400, 0) == (memory.usage_bytes, memory.file_bytes, memory.anon_bytes, memory.sock_bytes)
    assert 102400 + 32198656 + 184320 == memory.own_bytes


def test_v2_group_tells_limits_met_pressure_and_whether_it_is_frozen(tmp_path: Path) -> None:
    """The limit held 35 times and one process was killed; what stood still is in the same directory."""
    root, proc = v2_tree(tmp_path)
    dirs = cgroup.find(30499, root, proc, CONTAINER)
    assert dirs.freezer

    assert (35, 1, 1) == tuple(cgroup.read_memory_events(dirs)[event] for event in ("max", "oom", "oom_kill"))
    pressure = cgroup.read_pressure_s(dirs)
    assert (5.136403, 0.155616, 0.0) == (pressure["cpu some"], pressure["memory full"], pressure["io some"])
    assert not cgroup.is_frozen(dirs)
    shutil.copy(FIXTURES / "cgroup-v2" / "cgroup.events.frozen", dirs.freezer / "cgroup.events")
    assert cgroup.is_frozen(dirs)


def test_v2_kernel_without_a_kernel_line_has_no_kernel_memory(tmp_path: Path) -> None:
    """Before 5.18 memory.stat had no sum; a part of it would look like the whole."""
    root, proc = v2_tree(tmp_path)
    dirs = cgroup.find(30499, root, proc)
    assert dirs.memory
    stat = dirs.memory / "memory.stat"
    stat.write_text("".join(line for line in stat.read_text().splitlines(True) if not line.startswith("kernel ")))

    with pytest.raises(Unavailable, match=r"5\.18"):
        cgroup.read_memory(dirs)


def test_a_reused_pid_is_not_taken_for_the_container(tmp_path: Path) -> None:
    """The container's id must be in the process's groups."""
    root, proc = v1_tree(tmp_path)

    with pytest.raises(Unavailable, match="is not in container feedfeedfeed"):
        cgroup.find(30499, root, proc, "feed" * 16)


def test_groups_seen_from_a_private_namespace_are_refused_with_the_mend(tmp_path: Path) -> None:
    """Paths that climb out of the namespace cannot be looked up."""
    root, proc = v1_tree(tmp_path)
    (proc / "30499" / "cgroup").write_text("4:memory:/../abc\n")

    with pytest.raises(Unavailable, match="cgroupns=host"):
        cgroup.find(30499, root, proc)


def test_processes_in_groups_below_are_listed(tmp_path: Path) -> None:
    """A container that makes groups of its own hides nothing."""
    for folder, pids in ((tmp_path, "1\n2\n"), (tmp_path / "below", "3\n")):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text(pids)

    assert [1, 2, 3] == cgroup.read_pids(tmp_path)
