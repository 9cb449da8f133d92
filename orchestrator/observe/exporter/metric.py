"""The words metrics are declared in: name, type, unit, source, cost, and which values of a reading are its samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge"]
# Whose it is: one variant's, its whole network namespace's, the host's, the exporter's own, or a past run's.
Scope = Literal["variant", "namespace", "host", "exporter", "store"]
Value = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    help: str  # one sentence, what it counts
    source: str  # where the kernel or the server tells it
    collector: str  # what reads it, as lab_collector_* names it; "": the exporter itself
    cost: str  # of one read, or what it grows with
    values: Mapping[str, str]  # its label's value -> name in the reading; {"": name}: the name alone, or a group
    label: str = ""  # what tells its samples apart; several, for a group whose keys hold as many words
    scope: Scope = "variant"

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.label.split())

    def head(self) -> list[str]:
        """Return the lines that stand above its series."""
        return [f"# HELP {self.name} {self.help} ({self.unit}; {self.source})", f"# TYPE {self.name} {self.kind}"]

    def samples(self, values: Mapping[str, Value]) -> Iterator[tuple[Mapping[str, str], float]]:
        """Return this metric's samples; a missing value has none."""
        for label_value, name in self.values.items():
            value = values.get(name)
            if isinstance(value, Mapping):
                for key, each in value.items():
                    yield dict(zip(self.labels, key.split(), strict=True)), each
            elif value is not None:
                yield ({self.label: label_value} if label_value else {}), value
