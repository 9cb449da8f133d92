"""Runs to keep: a plan of two variants in interleaved blocks, and trials whose figures tell which they are."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from orchestrator.carry import begin, go_on, new_session, open_settled, take_up
from orchestrator.model import LeftOut, Metrics, Plan, ReadBack, Run, Session, TrialResult, TrialSpec
from orchestrator.report.progress import Progress
from orchestrator.results.folder import write_run, write_trial
from orchestrator.results.store import open_store
from orchestrator.resume import find_resumable

RUN_ID = "20261123T082036Z-quick-ab12cd"
HOST = {"kernel": "6.1.0", "cpus": 2, "images": {"c-epoll": "0123456789ab"}}
DECLARED = {"scenario plain": {"measure_s": 2.0, "ramp": None}, "variant c-epoll": {"packages": ["x"]}}
SESSION = Session("2026-11-23T08:20:36+00:00", {"purpose": "r", "boot_id": "elsewhere", "pid": 1, "start_ticks": 2})


def plan(trials: int = 6, suite: str = "quick") -> Plan:
    """A plan of two variants in turn."""
    specs = tuple(
        TrialSpec(i, i // 2, ("c-epoll", "c-threads")[i % 2], "plain", "closed", "default", 1, 1, "one")
        for i in range(trials)
    )
    return Plan(suite, 7, specs, (LeftOut("seed-c", "plain", "speaks raw"),))


def trial(spec: TrialSpec, requests: int | None = None) -> TrialResult:
    """A finished trial; the second of a plan is void. requests: what tells one execution from another."""
    return TrialResult(
        spec, "no worker" if spec.index == 1 else None, Metrics(requests=requests or spec.index, errors={"µ": 2}),
        {"p50_s": "none"}, {7: spec.index + 1}, (ReadBack("nofile", "server", "2", "1"),), ("n",), "t", 1.5, 2.5,
    )  # fmt: skip


def run(trials: int = 6, kept: int | None = None, *, run_id: str = RUN_ID, finished: bool = True) -> Run:
    """A run. trials: planned. kept: how many of them are there; None: all."""
    whole = plan(trials)
    return Run(
        run_id, "quick", "2026-11-23T08:20:36+00:00", "2026-11-23T08:24:00+00:00" if finished else None, HOST, whole,
        tuple(trial(spec) for spec in whole.trials[: trials if kept is None else kept]),
        declared=DECLARED, sessions=(SESSION,),
    )  # fmt: skip


def put(results: Path, kept: Run, *, database: bool = True, folder: bool = True) -> None:
    """Keep a run as one that was carried out here."""
    if folder:
        write_run(results, kept)
        for one in kept.trials:
            write_trial(results, kept.run_id, one)
    if database:
        with open_store(results / "lab.db") as store:
            store.adopt(kept)


def said_nothing(text: str) -> None:
    """For what has nothing to mend."""
    raise AssertionError(f"nothing was to be said, but: {text}")


def carry(
    results: Path,
    trials: int,
    executed: Callable[[TrialSpec], None],
    *,
    run_id: str = RUN_ID,
    pause_s: float = 0.0,
    changes: tuple[str, ...] = (),
) -> None:
    """Begin a run, or go on with it where it is unfinished, as `lab run` and `lab run --resume` do but for the engine.

    executed: is told of each trial that is carried out. Its result's `requests` names the process that did.
    """

    def execute(spec: TrialSpec) -> TrialResult:
        executed(spec)
        time.sleep(pause_s)
        return trial(spec, requests=os.getpid())

    with open_settled(results, lambda _: None) as store:
        ends = {entry.run_id: entry.finished_at for entry in store.list_runs()}
        if ends.get(run_id) is not None:
            return  # only the database had to be told so
        if run_id in ends:
            found = find_resumable(store, run_id)
            found = replace(found, sessions=(*found.sessions, new_session(run_id, changes)))
            take_up(store, results, found)
        else:
            found = Run(run_id, "quick", "t", None, HOST, plan(trials), (), DECLARED, (new_session(run_id),))
            begin(store, results, found)
        go_on(store, results, found, execute, Progress(Console(file=StringIO())), lambda _: pause_s)


def in_child(work: Callable[[], None]) -> int:
    """Start a process that does some work and ends; return its pid. Only SIGKILL or its own end stops it."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a child and return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
