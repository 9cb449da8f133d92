"""Read what of each CPU's time went to tasks, and what of it to the lab's own containers: the rest is other programs'.

A cgroup's CPU time (v1 cpuacct.usage, v2 cpu.stat) is what the scheduler saw its tasks run. /proc/stat counts by ticks,
and calls what interrupts took irq and softirq. Where the kernel keeps their time apart (CONFIG_IRQ_TIME_ACCOUNTING) it
is in no task's, elsewhere it is in that of whoever was interrupted: a third of a busy server's, on loopback. Only with
that known can one be taken from the other. Measured on 6.18 without it, two CPUs under a benchmark's load, 60 windows
of 5 s: beside what v1's cpuacct.usage_percpu tells of all tasks but the containers', this was off by 1.0 % of a CPU
(standard deviation; 3.5 % at most); with interrupts left out by 26 % in the middle, of busy CPUs.
Sources: kernel/sched/cputime.c account_process_tick; kernel/sched/psi.c psi_proc_init and psi_show.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from . import cgroup
from .errors import Absent
from .files import read_text
from .look import TICKS_PER_S, Look, Value
from .parse import parse_cpu_works

_TOLD_SINCE = (6, 1)  # from then on pressure/irq is there exactly where the kernel keeps interrupts apart
_ONLY_ASKED = "only a reading that is asked for tells"


def read_cpus_ran(look: Look) -> dict[str, Value]:
    """Return the seconds that each CPU ran tasks since boot, as the scheduler counts their time."""
    if not look.fresh:
        raise Absent(_ONLY_ASKED)
    proc = look.watched.proc
    is_apart = keeps_interrupts_apart(proc, os.uname().release)
    works = parse_cpu_works(read_text(proc / "stat"), TICKS_PER_S)
    ran_s = {name: work.tasks_s + (0.0 if is_apart else work.interrupts_s) for name, work in works.items()}
    return {"cpus_ran_s": ran_s}


def read_beside(look: Look) -> dict[str, Value]:
    """Return the CPU seconds of the lab's other containers, all together."""
    if not look.fresh:
        raise Absent(_ONLY_ASKED)
    if isinstance(look.watched.beside, str):
        raise Absent(look.watched.beside)
    if not look.watched.beside:
        raise Absent("no containers beside it were named")
    return {"beside_cpu_s": sum(cgroup.read_cpu_s(dirs) for dirs in look.watched.beside)}


def keeps_interrupts_apart(proc: Path, release: str) -> bool:
    """Return whether the time of interrupts is in no task's. Raises Absent where the kernel does not tell.

    release: of the kernel, as uname has it.
    """
    try:
        read_text(proc / "pressure" / "irq")
        return True
    except OSError as why:
        if why.errno == errno.EOPNOTSUPP:  # built in, and off: the clock is not good enough
            return False
        if why.errno != errno.ENOENT:
            raise
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    is_told = major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= _TOLD_SINCE
    if not is_told or not (proc / "pressure" / "cpu").exists():
        raise Absent("only Linux 6.1 and newer with pressure (CONFIG_PSI, psi=1) tells whose time interrupts are")
    return False
