"""The lab's own Grafana, as lab.yaml asks for it."""

from __future__ import annotations

from orchestrator.model import Grafana

OWN = Grafana("auto", "grafana/grafana:11.6.0", 3000)
