"""The lab's words as frozen values: what is declared, what is planned, what was seen.

No I/O and no units as strings. Vocabulary: docs/architecture.md.
"""

from orchestrator.model.declared import (
    CONTROL,
    Arena,
    Grafana,
    Keep,
    Kind,
    Lab,
    Nightly,
    Notify,
    Observability,
    Processes,
    Profile,
    Protocol,
    Ramp,
    Scenario,
    Suite,
    Threads,
    Thresholds,
    Users,
    Variant,
)
from orchestrator.model.planned import (
    Bound,
    LeftOut,
    Plan,
    TrialSpec,
)
from orchestrator.model.seen import (
    Metrics,
    Probed,
    ReadBack,
    Run,
    Session,
    Step,
    TrialResult,
)

__all__ = [
    "CONTROL",
    "Arena",
    "Bound",
    "Grafana",
    "Keep",
    "Kind",
    "Lab",
    "LeftOut",
    "Metrics",
    "Nightly",
    "Notify",
    "Observability",
    "Plan",
    "Probed",
    "Processes",
    "Profile",
    "Protocol",
    "Ramp",
    "ReadBack",
    "Run",
    "Scenario",
    "Session",
    "Step",
    "Suite",
    "Threads",
    "Thresholds",
    "TrialResult",
    "TrialSpec",
    "Users",
    "Variant",
]
