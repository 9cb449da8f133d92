"""The probe window: the load goes on after the scored one, with the probes on, and nothing of it is scored.

The probes' service is asked through the engine, in its own container. Its readings are taken at the very instants that
the swarm's window begins and ends, so that counts and answers belong together. Whatever goes wrong here is the probe's
reason for having seen nothing; the trial, whose figures are complete by now, stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from orchestrator.containers.launch import run_inside
from orchestrator.errors import Lost, NotReady
from orchestrator.model import Probed
from orchestrator.offer.phase import Phase
from orchestrator.pod import Bench, Pod
from orchestrator.verdicts.probed import judge_probe, unseen

ALL_RUNGS = ("ebpf", "perf")  # below them is what the exporter reads anyway
_LEAD_S = 0.6  # from the probes' readiness to the window: the swarm must have been told of it by then
_PARTS_S = 5.0
_LATE_S = 0.05  # a reading taken so long after its instant belongs to another interval


def probe(phase: Phase, rungs: Sequence[str] = ALL_RUNGS) -> Probed:
    """Probe while the load goes on, for as long as the trial's spec says."""
    try:
        return _probe(phase, phase.spec.probe_s, rungs)
    except (NotReady, Lost) as why:
        return unseen(f"the probe window failed: {why}")


def count_for(bench: Bench, pod: Pod, labels: dict[str, str], rungs: Sequence[str], marks_in_s: Sequence[float]) -> Any:
    """Have the probes count for a pod's servers from now on; return how. Raises NotReady.

    rungs: to be tried, in this order; none of them may hold. marks_in_s: readings to be taken so long after readiness.
    """
    told = {
        "labels": labels,
        "pids": [server.pid for server in pod.servers],
        "net": pod.holder.pid,
        "rungs": list(rungs),
        "marks_in_s": list(marks_in_s),
    }
    return ask(bench, "PUT", f"/targets/{pod.name}", told)


def finish(bench: Bench, pod: Pod) -> Any:
    """Take the probes off a pod; return the readings at its marks. Raises NotReady."""
    return ask(bench, "POST", f"/finish/{pod.name}")


def ask(bench: Bench, method: str, path: str, body: object = None) -> Any:
    """Ask the probes' service in its container. Raises NotReady with its own words where it refuses."""
    container = bench.control.probes
    if not container:
        raise NotReady("the probes' container did not start. Try: lab down, then lab up, and docker logs")
    command = ["python3", "-m", "service.ask", method, path, *([] if body is None else [json.dumps(body)])]
    code, output = run_inside(bench.site.client, container, command)
    try:
        answer = json.loads(output)
    except ValueError:
        answer = {"error": f"{output[-200:]!r}"}
    if code != 0:
        raise NotReady(
            f"probes: {method} {path} ended with {code}: {answer.get('error')}. Try: docker logs {container}"
        )
    return answer


def _probe(phase: Phase, length_s: float, rungs: Sequence[str]) -> Probed:
    bench, name, master = phase.bench, phase.pod.name, phase.bench.master
    labels = {"run_id": bench.run_id, "scenario": phase.scenario.name, "variant": phase.spec.variant}
    told = count_for(bench, phase.pod, labels, rungs, (_LEAD_S, _LEAD_S + length_s))
    now_s, here_s = master.state().monotonic_s, time.monotonic()
    start_s, end_s = told["marks_s"] or (now_s + _LEAD_S, now_s + _LEAD_S + length_s)
    if start_s <= now_s:
        raise NotReady(f"the probes were ready {now_s - start_s + _LEAD_S:.1f} s before it was heard of: too late")
    window_id = f"{name}-probe"
    master.open_window(window_id, start_s, end_s)
    phase.wait(here_s + start_s - now_s)
    before = bench.exporter.read(name)
    phase.wait(here_s + end_s - now_s)
    after = bench.exporter.read(name)
    between = None
    if told["marks_s"]:
        between = _on_time(finish(bench, phase.pod)["marks"])
    patience_s = 0.0 if phase.scenario.kind == "closed" else phase.scenario.delay_s + phase.scenario.timeout_s
    window = phase.window(patience_s + _PARTS_S, window_id)
    if sum(window.workers_closed.values()) < phase.spec.workers:
        raise NotReady("not every worker handed in its part of the probe window")
    answered = sum(row.answered for row in window.rows if row.variant == phase.spec.variant)
    beside = (before.values, after.values, after.at_s - before.at_s)
    return judge_probe(told["rung"], told["refused"], end_s - start_s, answered, between, beside)


def _on_time(marks: list[Any]) -> tuple[Any, Any]:
    """Return both readings. Raises NotReady when one was taken too late."""
    late_s = max(mark["at_s"] - mark["due_s"] for mark in marks)
    if late_s > _LATE_S:
        raise NotReady(f"a reading of the probes came {late_s * 1000:.0f} ms late: the machine is too busy to probe")
    return marks[0], marks[1]
