"""What a machine allows is read from its /proc, or said to be assumed."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from orchestrator.hosts.limits import keep_granted, keep_sysctls, read_limits
from orchestrator.planning.hostlimits import ContainerLimits

FREE = ContainerLimits()

FILES = {
    "sys/fs/nr_open": "1048576\n",
    "sys/fs/file-max": "2466183\n",
    "sys/fs/file-nr": "1216\t0\t2466183\n",
    "sys/fs/epoll/max_user_watches": "5491533\n",
    "sys/kernel/threads-max": "192731\n",
    "sys/kernel/pid_max": "32768\n",
    "sys/vm/max_map_count": "65530\n",
    "sys/net/ipv4/tcp_mem": "287901\t383869\t575802\n",
    "sys/net/netfilter/nf_conntrack_max": "262144\n",
    "meminfo": "MemTotal:       24684096 kB\nMemFree:          1 kB\nMemAvailable:   20000000 kB\n",
    "cpuinfo": "processor\t: 0\nmodel name\t: A CPU: @ 2.5GHz\n",
}


def make_proc(folder: Path, **changes: str | None) -> Path:
    """Write a /proc of text recorded on a machine of two cores; None leaves a file out."""
    for name, text in {**FILES, **changes}.items():
        if text is not None:
            path = folder / "proc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder / "proc"


def test_limits_are_what_the_kernel_says(tmp_path: Path) -> None:
    """Every figure in its place, sizes in bytes."""
    seen = read_limits(tmp_path, make_proc(tmp_path))

    assert (1_048_576, 2_466_183, 1216, 5_491_533) == (
        seen.nr_open,
        seen.file_max,
        seen.files_open,
        seen.epoll_watches,
    )
    assert (192_731, 32_768, 65_530) == (seen.threads_max, seen.pid_max, seen.max_map_count)
    assert (24_684_096 * 1024, 20_000_000 * 1024) == (seen.memory_bytes, seen.available_bytes)
    assert (575_802, 262_144) == (seen.tcp_memory_pages, seen.conntrack_max)
    assert ("A CPU: @ 2.5GHz", "24") == (seen.fingerprint["cpu_model"], seen.fingerprint["memory_gib"])


def test_what_was_never_granted_is_assumed_and_said(tmp_path: Path) -> None:
    """Without limits.json the profile's number is believed, in words."""
    seen = read_limits(tmp_path, make_proc(tmp_path))

    assert seen.nofile_granted is None
    assert (
        "descriptors granted to a container: the profile's wish; lab run or lab up will read them back",
    ) == seen.assumed


def test_what_was_granted_is_remembered(tmp_path: Path) -> None:
    """A later plan knows it, and the engine's version belongs to the fingerprint."""
    tight = ContainerLimits(memlock_bytes=8 << 20, nproc=None, pids_max=4096)
    keep_granted(tmp_path / ".lab", nofile=20_000, wanted=1 << 20, engine="20.10.24", container=tight)
    seen = read_limits(tmp_path / ".lab", make_proc(tmp_path))

    assert (20_000, tight, "20.10.24", ()) == (
        seen.nofile_granted,
        seen.container,
        seen.fingerprint["engine"],
        seen.assumed,
    )
    assert ["limits.json"] == [path.name for path in (tmp_path / ".lab").iterdir()]


def test_a_wish_that_was_granted_is_no_cap(tmp_path: Path) -> None:
    """Asked for 16,384 and given them, the engine may give more; a cap met before stays known."""
    keep_granted(tmp_path, nofile=16_384, wanted=16_384, engine="x", container=FREE)
    uncapped = read_limits(tmp_path, make_proc(tmp_path))
    keep_granted(tmp_path, nofile=20_000, wanted=1 << 20, engine="x", container=FREE)
    keep_granted(tmp_path, nofile=16_384, wanted=16_384, engine="x", container=FREE)

    assert uncapped.nofile_granted is None
    assert "the engine granted all of 16,384 when it was asked" in uncapped.assumed[0]
    assert 20_000 == read_limits(tmp_path, make_proc(tmp_path)).nofile_granted


def test_what_was_granted_under_another_kernel_is_not_believed(tmp_path: Path) -> None:
    """The machine may be another one, though the folder is the same."""
    keep_granted(tmp_path, nofile=20_000, wanted=1 << 20, engine="20.10.24", container=FREE)
    kept = json.loads((tmp_path / "limits.json").read_text())
    (tmp_path / "limits.json").write_text(json.dumps({**kept, "kernel": f"{platform.release()}-other"}))
    seen = read_limits(tmp_path, make_proc(tmp_path))

    assert (None, None) == (seen.nofile_granted, seen.container)
    assert "another kernel" in seen.assumed[0]


def test_a_pods_settings_are_remembered_with_what_was_asked_for(tmp_path: Path) -> None:
    """Those of several profiles, across what is granted later; not what could not be read, nor another kernel's."""
    queue, ports = "net.core.somaxconn", "net.ipv4.ip_local_port_range"
    keep_sysctls(tmp_path, {(queue, "9"): "9"})
    before = (tmp_path / "limits.json").exists()
    keep_granted(tmp_path, nofile=20_000, wanted=1 << 20, engine="x", container=FREE)
    keep_sysctls(tmp_path, {(queue, ""): "4096", (ports, ""): "32768 60999"})
    keep_sysctls(tmp_path, {(queue, "65535"): "8192", (ports, "1024 65535"): "absent", ("net.ipv4.tcp_sack", "1"): "1"})
    keep_granted(tmp_path, nofile=20_000, wanted=1 << 20, engine="x", container=FREE)
    seen = read_limits(tmp_path, make_proc(tmp_path))

    assert not before
    assert {f"{queue}=": "4096", f"{ports}=": "32768 60999", f"{queue}=65535": "8192"} == seen.sysctls
    assert 20_000 == seen.nofile_granted
    kept = json.loads((tmp_path / "limits.json").read_text())
    (tmp_path / "limits.json").write_text(json.dumps({**kept, "sysctls": {f"{queue}=": "many", f"{ports}=": "1"}}))
    assert {} == read_limits(tmp_path, make_proc(tmp_path)).sysctls
    (tmp_path / "limits.json").write_text(json.dumps({**kept, "kernel": f"{platform.release()}-other"}))
    assert {} == read_limits(tmp_path, make_proc(tmp_path)).sysctls


@pytest.mark.parametrize(
    ("release", "locked"),
    [("6.18.44-fc-v782", True), ("6.14.0-27-generic", True), ("6.13.12", False), ("6.1.0-37", False), ("x", False)],
)
def test_rings_are_locked_memory_from_a_kernel_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, locked: bool
) -> None:
    """Since 6.14; where the kernel's version does not read so, no limit is claimed."""
    monkeypatch.setattr(platform, "release", lambda: release)

    assert locked is read_limits(tmp_path, make_proc(tmp_path)).rings_locked


@pytest.mark.parametrize(
    "container", [None, 7, {}, {"memlock_bytes": 1}, {"memlock_bytes": "1", "nproc": 1, "pids_max": 1}]
)
def test_limits_that_were_kept_otherwise_are_not_read_back(tmp_path: Path, container: object) -> None:
    """A record of an earlier version, or a damaged one, is not taken for "unlimited"."""
    keep_granted(tmp_path, nofile=20_000, wanted=1 << 20, engine="x", container=FREE)
    kept = json.loads((tmp_path / "limits.json").read_text())
    (tmp_path / "limits.json").write_text(json.dumps({**kept, "container": container}))

    assert read_limits(tmp_path, make_proc(tmp_path)).container is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"nofile": "many"}', "\x00", '{"sysctls": 7}'])
def test_damaged_records_are_as_good_as_none(tmp_path: Path, text: str) -> None:
    """Whatever stands in limits.json, a plan is made."""
    (tmp_path / "limits.json").write_text(text)

    assert read_limits(tmp_path, make_proc(tmp_path)).nofile_granted is None


def test_what_cannot_be_read_is_none_and_named(tmp_path: Path) -> None:
    """Never 0: a limit of 0 would forbid everything."""
    broken = {"sys/kernel/pid_max": "many\n", "meminfo": None, "sys/fs/file-max": "\n", "cpuinfo": None}
    seen = read_limits(tmp_path, make_proc(tmp_path, **broken))

    assert (None, None, None) == (seen.pid_max, seen.available_bytes, seen.file_max)
    assert {
        "kernel.pid_max could not be read: taken for unlimited",
        "fs.file-max could not be read: taken for unlimited",
        "the machine's memory could not be read: taken for unlimited",
    } <= set(seen.assumed)
    assert "unknown" == seen.fingerprint["cpu_model"]


def test_a_kernel_without_connection_tracking_has_no_limit_of_it(tmp_path: Path) -> None:
    """Absent is not unread: nothing is assumed."""
    seen = read_limits(tmp_path, make_proc(tmp_path, **{"sys/net/netfilter/nf_conntrack_max": None}))

    assert seen.conntrack_max is None
    assert 1 == len(seen.assumed)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Remembering is a service to later plans, not a condition of this run."""
    (tmp_path / "state").write_text("a file where the folder belongs")
    keep_granted(tmp_path / "state", nofile=1, wanted=1, engine="x", container=FREE)

    assert "a file where the folder belongs" == (tmp_path / "state").read_text()
