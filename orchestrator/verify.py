"""Verify a variant in its pod: the contract probe runs beside the server and is judged here."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.containers.launch import Running, run_inside
from orchestrator.containers.nonce import tells_nonce
from orchestrator.containers.pods import Site
from orchestrator.errors import NotReady, Refused
from orchestrator.model import Variant

READY_S = 10.0  # for a server to listen
HELLO = "Hello, world!"  # the contract's answer


def questions(
    variant: Variant,
    host: str,
    delay_s: float,
    backlog: int | None,
    nonce: str | None = None,
    instances: int | None = None,
) -> dict[str, object]:
    """Return what the contract probe is asked about a variant listening on host.

    delay_s: what a variant with a fixed delay was started with. backlog: what the kernel must show, None: not checked.
    nonce: what /healthz must show. instances: how many processes share the port; None: neither is checked.
    """
    asked: dict[str, object] = {
        "variant": variant.name,
        "host": host,
        "port": variant.port,
        "speaks": variant.speaks,
        "fixed_delay": variant.fixed_delay,
        "delay_s": delay_s,
        "ready_s": READY_S,
        "nonce": nonce if tells_nonce(variant) else None,
        "instances": instances if variant.has_contract_routes else None,
        "lacks": list(variant.lacks),
    }
    if variant.image:
        asked |= {"routes": dict(variant.routes), "body": variant.answers or HELLO}
    elif backlog is not None and not variant.fixed_delay:
        asked["backlog"] = backlog
    return asked


def verify(site: Site, inside: Running, asked: Mapping[str, object]) -> None:
    """Run the contract probe in a pod. inside: a container of the pod that holds the swarm image.

    Raises Refused with the first check that failed, NotReady when the probe cannot run.
    """
    code, output = run_inside(site.client, inside.id, ["python3", "-m", "swarm.probe", json.dumps(asked)])
    try:
        answer = json.loads(output)
    except ValueError:
        raise NotReady(
            f"{asked['variant']}: the contract probe ended with {code} and said {output[-200:]!r}. "
            f"Try: docker logs {inside.name}"
        ) from None
    for check in answer["checks"]:
        if not check["ok"]:
            raise Refused(
                f"{asked['variant']}: contract check '{check['name']}' failed: expected {check['expected']}, "
                f"seen {check['seen']}. The contract: servers/CONTRACT.md"
            )
    if not answer["ok"] or not answer["checks"]:
        raise Refused(f"{asked['variant']}: the contract probe passed no check; it said {output[-200:]!r}")
