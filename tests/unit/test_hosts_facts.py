"""What is said of the machine comes from the engine and from /proc; what neither says is None."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

import pytest

from orchestrator.hosts.facts import host_facts, kernel_version

# The keys of `docker info` that are used, as Docker 26 on Debian trixie gave them.
ENGINE = {
    "KernelVersion": "6.12.48+deb13-amd64",
    "Architecture": "x86_64",
    "OperatingSystem": "Debian GNU/Linux 13 (trixie)",
    "NCPU": 2,
    "MemTotal": 8_330_973_184,
    "ServerVersion": "26.1.5+dfsg1",
    "CgroupVersion": "2",
    "Name": "build-7",
}


def test_the_engines_words_are_kept_under_the_labs_names() -> None:
    """What was granted and which images ran stand beside them; the machine's own name does not."""
    facts = host_facts(ENGINE, {"c-epoll": "ab12cd34ef56"}, 524_288, "0-1")
    varying = {key: facts.pop(key) for key in ("cpu_model", "load_average_1m", "recorded_at")}

    assert {
        "kernel": "6.12.48+deb13-amd64",
        "architecture": "x86_64",
        "operating_system": "Debian GNU/Linux 13 (trixie)",
        "cpus": 2,
        "memory_bytes": 8_330_973_184,
        "engine_version": "26.1.5+dfsg1",
        "cgroup_version": "2",
        "nofile_granted": 524_288,
        "cpu_list": "0-1",
        "python": platform.python_version(),
        "images": {"c-epoll": "ab12cd34ef56"},
    } == facts
    assert datetime.fromisoformat(str(varying["recorded_at"])).tzinfo == UTC


def test_what_the_engine_does_not_say_is_none() -> None:
    """An old engine has no CgroupVersion; nothing is made up for it."""
    facts = host_facts({}, {}, 1024, "0")

    assert [None] * 7 == [
        facts[key]
        for key in (
            "kernel",
            "architecture",
            "operating_system",
            "cpus",
            "memory_bytes",
            "engine_version",
            "cgroup_version",
        )
    ]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.18.44-fc", (6, 18)),
        ("6.12.48+deb13-amd64", (6, 12)),
        ("5.10.0", (5, 10)),
        ("5.4-rc1", (5, 4)),
        ("4.19.128-microsoft-standard", (4, 19)),
        ("6", None),
        ("six.twelve", None),
        ("", None),
        ("None", None),
    ],
)
def test_a_kernel_release_is_its_major_and_minor_number(release: str, expected: tuple[int, int] | None) -> None:
    """What does not read so is not known, rather than 0.0."""
    assert expected == kernel_version(release)
