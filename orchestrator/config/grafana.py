"""Turn what lab.yaml says of Grafana into its model, or into what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.config.kinds import Complaint
from orchestrator.config.schema import GrafanaSection, LabFile
from orchestrator.model import Grafana


def build_grafana(section: GrafanaSection, root: Path) -> Grafana:
    """Return the model. root: the lab file's folder, which token_file may be relative to."""
    return Grafana(
        use=section.use,
        image=section.image,
        port=section.port,
        url=section.url or "",
        token_env=section.token_env or "",
        token_file=None if section.token_file is None else root / Path(section.token_file).expanduser(),
        prometheus_url=section.prometheus_url or "",
    )


def find_grafana_contradictions(lab: LabFile) -> Iterator[Complaint]:
    """Yield what the section's keys mean for each other, and its port for the other pages' ports."""
    section = lab.grafana
    if section.use == "url" and section.url is None:
        yield ("grafana", "url"), "missing; use: url needs it: write 'url: http://127.0.0.1:3000'"
    if section.token_env and section.token_file:
        yield ("grafana", "token_file"), f"the token is in {section.token_env} already; remove one of the two"
    if section.url and not (section.token_env or section.token_file):
        text = "missing; Grafana lets nobody in without a token: write 'token_env: GRAFANA_TOKEN', or token_file: PATH"
        yield ("grafana", "token_env"), text
    if section.use in ("auto", "image") and section.url is None:
        for key in ("web_port", "prometheus_port", "exporter_port"):
            if section.port == getattr(lab.observability, key):
                text = f"{section.port} is also observability.{key}; write a port of its own, such as 3000"
                yield ("grafana", "port"), text
