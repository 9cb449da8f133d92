"""The shape of lab.yaml and variant.toml: which sections and keys there are.

Pydantic at the edge only: unknown keys are refused, and each value is judged by its type in values.py. What one key
means for another is checked in crosschecks.py. `examples` are what an error tells people to write.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.config.addresses import WebAddress
from orchestrator.config.manifestvalues import (
    Answer,
    DelayRoute,
    FileName,
    ImageName,
    Package,
    Part,
    Variable,
    VariableName,
    Word,
)
from orchestrator.config.values import (
    AllOrNames,
    ClockTime,
    Count,
    Cpus,
    Delay,
    Duration,
    Factor,
    FilePath,
    HostSetting,
    Interval,
    Kernel,
    Line,
    LongerThanZero,
    Name,
    Names,
    Percent,
    Port,
    RampAmount,
    Rate,
    Revert,
    Share,
    Size,
    SysctlName,
    SysctlValue,
    UrlPath,
    Users,
)


class Section(BaseModel):
    """A mapping in a file: known keys only, no guessing between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ProfileSection(Section):
    """profiles.NAME"""

    summary: Line = ""
    sysctls: dict[SysctlName, SysctlValue] = {}
    host: dict[HostSetting, SysctlValue] = {}
    # The least leaves room for the reserve of 64; the most is NR_OPEN_MAX on 64 bits, rounded down (fs/file.c).
    nofile: int = Field(ge=256, le=1 << 30, examples=["1048576"])
    best_effort: bool = False
    server_cpus: Cpus = "auto"
    load_cpus: Cpus = "auto"


class RampSection(Section):
    """scenarios.NAME.ramp"""

    of: Literal["connections", "rate"] = Field(examples=["connections"])
    first: RampAmount = Field(examples=["50"])
    last: RampAmount = Field(examples=["5000"])
    factor: Factor = 1.5
    step: LongerThanZero = 3.0
    settle: Duration = 1.0
    most_errors_ratio: Share = 0.01
    most_p99: LongerThanZero = Field(examples=["100ms"])


class ScenarioSection(Section):
    """scenarios.NAME; None stands for "not written", which only some kinds allow"""

    summary: Line = ""
    kind: Literal["closed", "open", "hold", "ramp", "storm"] = Field(examples=["closed"])
    path: UrlPath | None = None
    connections: Count | None = None
    users: Users = "auto"
    rate: Rate | None = None
    arrivals: Literal["constant", "poisson"] | None = None
    answer: Literal["delay", "release"] | None = None
    every: LongerThanZero | None = None
    ramp: RampSection | None = None
    sources: int | None = Field(default=None, ge=1, le=254)  # the last part of an address in 127/8
    delay: Delay | None = None
    warmup: Duration | None = None
    measure: LongerThanZero | None = None
    timeout: LongerThanZero = 10.0


class SuiteSection(Section):
    """suites.NAME"""

    summary: Line = ""
    scenarios: Names = Field(examples=["[plain]"])
    variants: AllOrNames = Field(examples=["all"])
    without: Names | None = None
    trials: int = Field(ge=1, le=1000, examples=["2"])
    profile: Name = "default"
    seed: int = Field(default=1, ge=0, le=(1 << 63) - 1)
    reverts: Annotated[list[Revert], Field(min_length=1)] = []
    probe: Duration = 0.0


class ObservabilitySection(Section):
    """observability"""

    web_port: Port = 8089
    prometheus_port: Port = 9090
    exporter_port: Port = 9100
    interval: Interval = 1.0


class GrafanaSection(Section):
    """grafana; a word alone, as in "grafana: off", stands for `use`"""

    use: Literal["auto", "image", "url", "off"] = "auto"
    image: ImageName = "grafana/grafana:11.6.0"
    port: Port = 3000
    url: WebAddress | None = None
    token_env: VariableName | None = None
    token_file: Part | None = None
    prometheus_url: WebAddress | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, seen: object) -> object:
        return {"use": seen} if isinstance(seen, str) else seen


class ArenaSection(Section):
    """arena"""

    profile: Name = "default"
    variants: AllOrNames = ["all"]


class FigureThresholds(Section):
    """thresholds.everywhere and thresholds.scenarios.NAME: figures by the names that tables and verdicts use"""

    throughput: Percent | None = None
    p50: Percent | None = None
    p99: Percent | None = None
    memory_per_connection: Percent | None = None
    cpu_per_request: Percent | None = None
    established: Percent | None = None
    breaking_point: Percent | None = None
    held: Percent | None = None


class ThresholdsSection(Section):
    """thresholds"""

    everywhere: FigureThresholds = FigureThresholds()
    scenarios: dict[Name, FigureThresholds] = {}


class GateSection(Section):
    """gate"""

    stolen: Percent | None = None
    others: Percent | None = None


class KeepSection(Section):
    """nightly.keep"""

    nights: int = Field(default=60, ge=1, le=100_000, examples=["60"])
    bytes: Size | None = None


class NotifySection(Section):
    """nightly.notify"""

    webhook_env: VariableName | None = None
    webhook_file: FilePath | None = None
    command: Annotated[list[Part], Field(min_length=1)] | None = None
    when: Literal["always", "not-fine"] = "always"


class NightlySection(Section):
    """nightly"""

    suite: Name = Field(examples=["nightly"])
    at: ClockTime = "02:30"
    control: Name | None = None
    stable: list[Name] = []
    keep: KeepSection = KeepSection()
    notify: NotifySection = NotifySection()


class RoutesSection(Section):
    """routes of an existing image: its own path for each of the contract's that it has"""

    plain: UrlPath | None = None
    delay: DelayRoute | None = None


class ImageKeys(Section):
    """What is said of an existing image, in a variant.toml or in lab.yaml itself"""

    image: ImageName | None = None
    port: Port = Field(default=8080, examples=["8080"])
    routes: RoutesSection | None = None
    answers: Answer | None = None
    command: list[Part] = []
    environment: dict[VariableName, Variable] = {}
    kernel_least: Kernel = "2.6"
    threads: Literal["few", "per-connection"] = "few"


class VariantEntry(ImageKeys):
    """variants[i]: a name or "all", a path to a folder outside servers/, or an existing image"""

    name: Name | None = None
    path: str | None = None
    summary: Line | None = None
    language: Line | None = None
    technique: Line | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, seen: object) -> object:
        return {"name": seen} if isinstance(seen, str) else seen


class LabFile(Section):
    """The whole of lab.yaml"""

    profiles: dict[Name, ProfileSection] = Field(min_length=1)
    variants: list[VariantEntry] | None = Field(default=None, min_length=1)
    scenarios: dict[Name, ScenarioSection] = Field(min_length=1)
    suites: dict[Name, SuiteSection] = Field(min_length=1)
    thresholds: ThresholdsSection = ThresholdsSection()
    gate: GateSection = GateSection()
    observability: ObservabilitySection = ObservabilitySection()
    grafana: GrafanaSection = GrafanaSection()
    arena: ArenaSection = ArenaSection()
    nightly: NightlySection | None = None


class RingSection(Section):
    """ring: one io_uring of the server"""

    connections: Count = Field(examples=["131072"])
    locked_bytes: int = Field(ge=1, le=1 << 40, examples=["561152"])


class ManifestFile(ImageKeys):
    """The whole of a variant.toml"""

    name: Name = Field(examples=['"c-epoll"'])
    summary: Line = Field(examples=['"one line"'])
    language: Line = Field(examples=['"c"'])
    technique: Line = Field(examples=['"level-triggered epoll, one loop"'])
    runtime: Name | None = None
    speaks: Literal["http", "raw"] = Field(examples=['"http"'])
    fixed_delay: bool = False
    processes: Literal["one", "reuseport", "own"] = "one"
    packages: list[Package] = []
    seccomp: FileName | None = None
    wall: Line | None = None
    connections_most: Count | None = None
    ring: RingSection | None = None
    lacks: list[Word] = []
    deviations: list[Line] = []
    specimen: bool = False
