"""What tells whether the machine is honest, from frozen files and from this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.observe.exporter.host import Host
from orchestrator.observe.exporter.pace import Pace
from orchestrator.observe.exporter.reading import Ledger

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "proc" / "host"


def host(proc: Path, system: Path, ledger: Ledger | None = None) -> Host:
    made = Host(proc, system, ledger or Ledger(), Pace())
    made.sample()
    return made


def test_the_frozen_host_is_told_as_it_was(tmp_path: Path) -> None:
    """Modes of CPU time, tasks, memory and pressure by their own names."""
    values = host(FIXTURES, tmp_path).latest()
    modes, pressure = values["cpu_s"], values["pressure_s"]

    assert isinstance(modes, dict)
    assert {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} == set(modes)
    assert isinstance(pressure, dict)
    assert {"cpu some", "cpu full", "memory some", "memory full", "io some", "io full"} == set(pressure)
    assert 24684084 * 1024 == values["memory_total_bytes"]


def test_a_guest_has_no_clock_and_no_heat_and_that_is_no_failure(tmp_path: Path) -> None:
    """Absent with its reason, and no error counted."""
    ledger = Ledger()
    made = host(FIXTURES, tmp_path, ledger)

    assert {"frequency_lowest_hz", "frequency_highest_hz", "thermal_throttles"} == set(made.missing())
    assert "cpufreq" in made.missing()["frequency_lowest_hz"]
    assert not any(ledger.totals()[1].values())


def test_clocks_and_heat_of_all_cpus_are_told_where_there_are_any(tmp_path: Path) -> None:
    """The slowest and the fastest; throttles of all added up."""
    for cpu, (khz, throttles) in enumerate([(800000, 3), (3200000, 4)]):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}"
        for file, number in (("cpufreq/scaling_cur_freq", khz), ("thermal_throttle/core_throttle_count", throttles)):
            (folder / file).parent.mkdir(parents=True)
            (folder / file).write_text(f"{number}\n")
    values = host(FIXTURES, tmp_path).latest()

    assert (800e6, 3.2e9, 7) == tuple(
        values[name] for name in ("frequency_lowest_hz", "frequency_highest_hz", "thermal_throttles")
    )


def test_a_source_that_fails_is_counted_and_takes_its_old_number_away(tmp_path: Path) -> None:
    """What was known a second ago is not shown as what is now."""
    proc = tmp_path / "proc"
    shutil.copytree(FIXTURES, proc)
    ledger = Ledger()
    made = host(proc, tmp_path, ledger)
    assert "running" in made.latest()
    (proc / "stat").write_text("cpu one two\n")
    made.sample()

    assert "running" not in made.latest()
    assert "Malformed" in made.missing()["running"]
    assert 1 == ledger.totals()[1]["host_stat"]
    assert "memory_total_bytes" in made.latest()
