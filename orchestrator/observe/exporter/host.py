"""Read what tells whether the machine is honest: CPU by mode, steal, pressure, memory, clock and heat.

Sampled once a second beside the targets. What a host does not tell (a guest has no clock of its own to show) is absent
with its reason; what fails is counted.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import Absent, Malformed, Unavailable
from .files import read_text
from .metric import Value
from .pace import Budget, Pace
from .parse import parse_machine, parse_meminfo, parse_number, parse_pressure
from .reading import Ledger

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NAME = "host"  # in the pace's books, where targets stand
_CPU_BUDGET = Budget(share=0.001, least_s=5.0)


@dataclass(frozen=True, slots=True)
class HostSource:
    """One thing to read of the host. read: its /proc and /sys."""

    name: str
    gives: tuple[str, ...]
    read: Callable[[Path, Path], dict[str, Value]]
    budget: Budget | None = None


class Host:
    """What was sampled last; safe to share between threads."""

    def __init__(self, proc: Path, system: Path, ledger: Ledger, pace: Pace) -> None:
        self._proc, self._system = proc, system
        self._ledger, self._pace = ledger, pace
        self._lock = threading.Lock()
        self._values: dict[str, Value] = {}
        self._missing: dict[str, str] = {}

    def sample(self, sources: tuple[HostSource, ...] | None = None) -> None:
        """Read every source that is due. sources: None, all there are."""
        for source in sources or HOST_SOURCES:
            budget = source.budget
            if budget and not self._pace.is_due(source.name, _NAME, budget, fresh=False):
                continue
            started_s = time.thread_time()
            values: dict[str, Value] = {}
            why = ""
            try:
                values = source.read(self._proc, self._system)
            except Absent as absent:
                why = str(absent)
            except (OSError, Unavailable, Malformed, KeyError, ValueError) as failed:
                self._ledger.failed(source.name)
                why = f"{type(failed).__name__}: {failed}"
            with self._lock:
                for name in source.gives:
                    self._values.pop(name, None)
                    self._missing.pop(name, None)
                self._values |= values
                self._missing |= {name: why for name in source.gives if name not in values}
            cost_s = time.thread_time() - started_s
            self._ledger.spent(source.name, cost_s)
            if budget:
                self._pace.spent(source.name, _NAME, budget, cost_s)

    def latest(self) -> Mapping[str, Value]:
        """Return name -> value, as declared.py knows them."""
        with self._lock:
            return dict(self._values)

    def missing(self) -> Mapping[str, str]:
        """Return name -> why there is no value."""
        with self._lock:
            return dict(self._missing)


def _stat(proc: Path, system: Path) -> dict[str, Value]:
    machine = parse_machine(read_text(proc / "stat"), _TICKS_PER_S)
    return {"cpu_s": dict(machine.cpu_s), "running": machine.running, "switches": machine.switches}


def _memory(proc: Path, system: Path) -> dict[str, Value]:
    sizes = parse_meminfo(read_text(proc / "meminfo"))
    return {"memory_total_bytes": sizes["MemTotal"], "memory_available_bytes": sizes["MemAvailable"]}


def _pressure(proc: Path, system: Path) -> dict[str, Value]:
    found: dict[str, float] = {}
    for resource in ("cpu", "memory", "io"):
        try:
            text = read_text(proc / "pressure" / resource)
        except OSError as why:
            if why.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                raise Absent("this kernel keeps no pressure (CONFIG_PSI, psi=1 at boot)") from None
            raise
        found |= {f"{resource} {kind}": seconds for kind, seconds in parse_pressure(text).items()}
    return {"pressure_s": found}


def _frequency(proc: Path, system: Path) -> dict[str, Value]:
    clocks = _per_cpu(system, "cpufreq/scaling_cur_freq")
    if not clocks:
        raise Absent("no cpufreq: the clock is a hypervisor's or firmware's own affair")
    return {"frequency_lowest_hz": min(clocks) * 1000, "frequency_highest_hz": max(clocks) * 1000}


def _thermal(proc: Path, system: Path) -> dict[str, Value]:
    counts = _per_cpu(system, "thermal_throttle/core_throttle_count")
    if not counts:
        raise Absent("no thermal_throttle: a guest, an engine that masks it, or no x86 of Intel's")
    return {"thermal_throttles": sum(counts)}


def _per_cpu(system: Path, file: str) -> list[int]:
    """Return one file's number of each CPU that has it."""
    return [parse_number(read_text(path)) for path in system.glob(f"devices/system/cpu/cpu[0-9]*/{file}")]


HOST_SOURCES = (
    HostSource("host_stat", ("cpu_s", "running", "switches"), _stat),
    HostSource("host_memory", ("memory_total_bytes", "memory_available_bytes"), _memory),
    HostSource("host_pressure", ("pressure_s",), _pressure),
    HostSource("host_frequency", ("frequency_lowest_hz", "frequency_highest_hz"), _frequency, _CPU_BUDGET),
    HostSource("host_thermal", ("thermal_throttles",), _thermal, _CPU_BUDGET),
)
