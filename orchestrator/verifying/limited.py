"""Verify what has not the contract's routes: the specimens with one answer only, and existing images.

They are asked what every trial asks them (the quick probe of verify.py), and stopped. Of raw servers many clients at
once are served each with bytes of its own; seed-c declares that it does not keep that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from orchestrator.containers.launch import Running
from orchestrator.containers.talk import send_signal
from orchestrator.verdicts.conformance import CheckResult, judged
from orchestrator.verify import questions
from orchestrator.verifying.acts import DRAIN_S, FIRST, Asked
from orchestrator.verifying.outside import DRAIN_EXIT, Outside
from orchestrator.verifying.pod import ContractPod

ACT = "limited"
OWN_BYTES = "own-bytes"
HEALTH = "health-check"
_DELAY_S = 0.2  # what one with a fixed delay is told
_CLIENTS = 60
_PATIENCE_S = 2.0  # ten times the delay
OWN_BYTES_TITLE = f"{_CLIENTS} clients at once each get their own bytes back"


def perform_limited(pod: ContractPod, asked: Asked) -> list[CheckResult]:
    """Return the results of every wanted check. Raises Unsupported, NotReady."""
    variant = pod.variant
    free = pod.talker("talker")
    told = {"LAB_DELAY_MS": str(round(_DELAY_S * 1000))} if variant.fixed_delay else {}
    server = pod.start("server", FIRST, {**told, **asked.environment})
    pod.await_listening(server, free, FIRST)
    results = _probed(pod, free)
    if variant.speaks == "raw":
        results.append(_judged(pod, OWN_BYTES, OWN_BYTES_TITLE, lambda: _own_bytes(pod, free)))
    outside = Outside(pod, () if variant.image else (HEALTH,), variant.lacks)
    results += outside.judge(HEALTH, lambda: outside.health_check(server, variant.port))
    told_s = time.monotonic()
    send_signal(pod.site.client, server, "SIGTERM")
    results.append(_judged(pod, DRAIN_EXIT.id, DRAIN_EXIT.title, lambda: outside.exits(server, told_s, DRAIN_S)))
    return [one for one in results if asked.only is None or one.id in asked.only]


def _probed(pod: ContractPod, talker: Running) -> list[CheckResult]:
    asked = questions(pod.variant, FIRST, _DELAY_S, None)
    results = []
    for report in pod.ask(talker, "swarm.probe", asked):
        for check in report["checks"]:  # type: ignore[attr-defined]  # what swarm/probe.py prints
            ident = re.sub(r"[^a-z0-9]+", "-", str(check["name"]).lower()).strip("-")
            results.append(
                judged(
                    ident, str(check["name"]), ACT, is_kept=bool(check["ok"]), is_declared=ident in pod.variant.lacks,
                    expected=str(check["expected"]), seen=str(check["seen"]), took_s=0.0,
                )
            )  # fmt: skip
    return results


def _own_bytes(pod: ContractPod, talker: Running) -> tuple[bool, str, str]:
    told = {"host": FIRST, "port": pod.variant.port, "clients": _CLIENTS, "patience_s": _PATIENCE_S}
    seen = {key: int(str(value)) for said in pod.ask(talker, "swarm.burst", told) for key, value in said.items()}
    words = ", ".join(f"{count} {kind}" for kind, count in seen.items())
    return seen.get("own") == _CLIENTS, f"{_CLIENTS} own", words or "nothing"


def _judged(pod: ContractPod, ident: str, title: str, look: Callable[[], tuple[bool, str, str]]) -> CheckResult:
    began_s = time.monotonic()
    is_kept, expected, seen = look()
    return judged(
        ident, title, ACT, is_kept=is_kept, is_declared=ident in pod.variant.lacks,
        expected=expected, seen=seen, took_s=time.monotonic() - began_s,
    )  # fmt: skip
