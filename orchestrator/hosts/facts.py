"""Say what machine the numbers come from.

The engine's own report and this machine's /proc -> a flat mapping that goes into every run.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


def host_facts(engine: Mapping[str, object], images: Mapping[str, str], nofile: int, cpus: str) -> dict[str, object]:
    """Return the host facts.

    engine: the answer of `docker info`. images: recipe -> digest. nofile: descriptors granted per process.
    """
    return {
        "kernel": engine.get("KernelVersion"),
        "architecture": engine.get("Architecture"),
        "operating_system": engine.get("OperatingSystem"),
        "cpus": engine.get("NCPU"),
        "cpu_model": _cpu_model(),
        "memory_bytes": engine.get("MemTotal"),
        "engine_version": engine.get("ServerVersion"),
        "cgroup_version": engine.get("CgroupVersion"),
        "nofile_granted": nofile,
        "cpu_list": cpus,
        "load_average_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "images": dict(images),
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def kernel_version(text: str) -> tuple[int, int] | None:
    """Return (major, minor) of a kernel release such as 6.18.44-fc, or None where it does not read so."""
    words = text.split("-")[0].split(".")
    try:
        return int(words[0]), int(words[1])
    except (ValueError, IndexError):
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
