"""Ask all of a variant's processes from within the pod: `python3 -m swarm.ask` in a worker's container."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.containers.launch import run_inside
from orchestrator.errors import NotReady
from orchestrator.load.told import LOOPBACK
from orchestrator.offer.phase import Phase


@dataclass(frozen=True, slots=True)
class Asked:
    """What the processes said: instance -> its /stats, and which of them were not met."""

    instances: Mapping[str, Mapping[str, Any]]
    released: int
    missing: tuple[int, ...]
    error: str

    @property
    def active(self) -> tuple[int | None, str]:
        """Return the connections open in all processes together, without those this was asked over, or (None, why)."""
        if self.missing:
            return None, f"/stats of process {', '.join(map(str, self.missing))} could not be had: {self.error}"
        counts = [told.get("active") for told in self.instances.values()]
        if not all(isinstance(count, int) for count in counts):
            return None, f"/stats gives active as {counts}"
        return sum(counts) - len(counts), ""  # type: ignore[arg-type]  # whole numbers, as seen above

    @property
    def errors(self) -> dict[str, int]:
        """Return the errors that all processes together counted, errno name -> count."""
        found: Counter[str] = Counter()
        for told in self.instances.values():
            errors = told.get("errors")
            if isinstance(errors, Mapping):
                found.update({str(name): count for name, count in errors.items() if isinstance(count, int)})
        return dict(found)


def ask_servers(phase: Phase, *, release: bool = False) -> Asked:
    """Ask every process for its /stats; with `release`, let everybody go who waits in /hold.

    Raises NotReady when it cannot be asked at all.
    """
    told = {
        "host": LOOPBACK,
        "port": phase.bench.lab.variants[phase.spec.variant].port,
        "instances": phase.spec.server_processes,
        "release": release,
    }
    inside = phase.pod.workers[0]
    code, output = run_inside(phase.bench.site.client, inside.id, ["python3", "-m", "swarm.ask", json.dumps(told)])
    try:
        answer = json.loads(output)
        return Asked(answer["instances"], int(answer["released"]), tuple(answer["missing"]), str(answer["error"]))
    except (ValueError, KeyError, TypeError):
        raise NotReady(
            f"swarm.ask in {inside.name} ended with {code} and said {output[-200:]!r}. Try: docker logs {inside.name}"
        ) from None
