"""Turn lab.yaml and the manifests beside it into one frozen Lab. Touches nothing but these files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from orchestrator.config.complaints import faults_from
from orchestrator.config.crosschecks import find_contradictions
from orchestrator.config.defaults import settle_revert
from orchestrator.config.faults import Fault, bad_input, line_of
from orchestrator.config.grafana import build_grafana
from orchestrator.config.schema import (
    ArenaSection,
    FigureThresholds,
    GateSection,
    LabFile,
    NightlySection,
    ObservabilitySection,
    ProfileSection,
    RampSection,
    ScenarioSection,
    SuiteSection,
    ThresholdsSection,
)
from orchestrator.config.variants import read_variants
from orchestrator.config.yamltext import read_yaml
from orchestrator.model import (
    Arena,
    Gate,
    Keep,
    Lab,
    Nightly,
    Notify,
    Observability,
    Profile,
    Ramp,
    Scenario,
    Suite,
    Thresholds,
    Variant,
)

DEFAULT_WARMUP_S = 2.0  # never 0 by default: the first requests pay for connecting and for cold caches
# A threshold's key in the file -> the field of Metrics that it is about; with no unit, because it is a percentage.
FIGURES = {
    "throughput": "throughput_per_s",
    "p50": "p50_s",
    "p99": "p99_s",
    "memory_per_connection": "memory_bytes_per_connection",
    "cpu_per_request": "cpu_s_per_10k_requests",
    "established": "established_s",
    "breaking_point": "breaking_point",
    "held": "connections_held",
}


def load_lab(path: Path) -> Lab:
    """Return everything that a lab file and the variants' manifests declare.

    Variants are the folders servers/*/ beside the file that hold a variant.toml, but for those starting with "_";
    a `variants:` section chooses among them, and may add folders elsewhere and existing images.
    Raises BadInput with one line: file, line, path, what was expected or seen, and what to write.
    """
    text = read_yaml(path)
    try:
        declared = LabFile.model_validate(text.data)
    except ValidationError as error:
        raise bad_input(faults_from(error, LabFile, path, text.lines)) from error
    variants, faults = read_variants(path, declared.variants, text.lines)
    if any(fault.file == path for fault in faults):  # what suites say of variants cannot be judged then
        raise bad_input(faults)
    known = {*variants, *(fault.file.parent.name for fault in faults if fault.file != path)}
    for where, complaint in find_contradictions(declared, known, variants):
        faults.append(Fault(path, line_of(text.lines, where), where, complaint))
    if faults:
        raise bad_input(sorted(faults, key=lambda fault: fault.file != path))  # the lab file's come first
    return Lab(
        path=path.resolve(),
        root=path.resolve().parent,
        profiles={name: _profile(name, section) for name, section in declared.profiles.items()},
        variants=variants,
        scenarios={name: _scenario(name, section) for name, section in declared.scenarios.items()},
        suites={name: _suite(name, section, variants) for name, section in declared.suites.items()},
        observability=_observability(declared.observability),
        arena=_arena(declared.arena, variants),
        grafana=build_grafana(declared.grafana, path.resolve().parent),
        thresholds=_thresholds(declared.thresholds),
        gate=_gate(declared.gate),
        nightly=None if declared.nightly is None else _nightly(declared.nightly),
    )


def _profile(name: str, section: ProfileSection) -> Profile:
    return Profile(
        name=name,
        summary=section.summary,
        sysctls=dict(section.sysctls),
        nofile=section.nofile,
        best_effort=section.best_effort,
        server_cpus=section.server_cpus,
        load_cpus=section.load_cpus,
        host=dict(section.host),
    )


def _scenario(name: str, section: ScenarioSection) -> Scenario:
    # A storm without a warm-up on purpose: bursts are meant to meet a server that rests.
    default_warmup_s = DEFAULT_WARMUP_S if section.kind in ("closed", "open") else 0.0
    return Scenario(
        name=name,
        summary=section.summary,
        kind=section.kind,
        path=_path(section),
        connections=section.connections or _highest(section.ramp),  # the cross-checks leave exactly one, at least 1
        delay_s=section.delay or 0.0,
        warmup_s=default_warmup_s if section.warmup is None else section.warmup,
        measure_s=section.measure or 0.0,
        timeout_s=section.timeout,
        users=section.users,
        rate_per_s=section.rate or 0.0,
        arrivals=section.arrivals or "constant",
        answer=section.answer or "delay",
        every_s=section.every or 0.0,
        ramp=None if section.ramp is None else _ramp(section.ramp),
        sources=section.sources or 0,
    )


def _path(section: ScenarioSection) -> str:
    if section.answer == "release":
        return "/hold"
    return "/delay" if section.kind == "hold" or section.delay else section.path or "/plain"


def _highest(ramp: RampSection | None) -> int:
    return int(ramp.last.number) if ramp is not None and ramp.of == "connections" else 0


def _ramp(section: RampSection) -> Ramp:
    return Ramp(
        of=section.of,
        first=section.first.number,
        last=section.last.number,
        factor=section.factor,
        step_s=section.step,
        settle_s=section.settle,
        most_errors_ratio=section.most_errors_ratio,
        most_p99_s=section.most_p99,
    )


def _suite(name: str, section: SuiteSection, variants: Mapping[str, Variant]) -> Suite:
    return Suite(
        name=name,
        summary=section.summary,
        scenarios=tuple(section.scenarios),
        variants=tuple(name for name in _resolve(section.variants, variants) if name not in (section.without or ())),
        trials=section.trials,
        profile=section.profile,
        seed=section.seed,
        probe_s=section.probe,
        reverts=tuple(settled for text in section.reverts if (settled := settle_revert(text)) is not None),
    )


def _observability(section: ObservabilitySection) -> Observability:
    return Observability(
        web_port=section.web_port,
        prometheus_port=section.prometheus_port,
        exporter_port=section.exporter_port,
        interval_s=section.interval,
    )


def _arena(section: ArenaSection, variants: Mapping[str, Variant]) -> Arena:
    return Arena(profile=section.profile, variants=_resolve(section.variants, variants))


def _thresholds(section: ThresholdsSection) -> Thresholds:
    return Thresholds(
        everywhere=_figures(section.everywhere),
        scenarios={name: _figures(figures) for name, figures in section.scenarios.items()},
    )


def _figures(section: FigureThresholds) -> dict[str, float]:
    return {FIGURES[key]: value for key, value in section.model_dump(exclude_none=True).items()}


def _gate(section: GateSection) -> Gate:
    silent = Gate()
    return Gate(
        stolen_ratio=silent.stolen_ratio if section.stolen is None else section.stolen,
        others_ratio=silent.others_ratio if section.others is None else section.others,
    )


def _nightly(section: NightlySection) -> Nightly:
    notify = section.notify
    return Nightly(
        suite=section.suite,
        at=section.at,
        control=section.control or "",
        stable=tuple(section.stable),
        keep=Keep(section.keep.nights, section.keep.bytes),
        notify=Notify(notify.webhook_env or "", notify.webhook_file or "", tuple(notify.command or ()), notify.when),
    )


def _resolve(names: list[str], variants: Mapping[str, Variant]) -> tuple[str, ...]:
    return tuple(variants) if names == ["all"] else tuple(names)
