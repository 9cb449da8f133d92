"""The shape of lab.yaml and variant.toml: which keys there are, and which values each may have.

Pydantic at the edge only: units become numbers here, unknown keys are refused. What one key means for another is
checked in crosschecks.py. `examples` are what an error tells people to write.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orchestrator.config.sysctls import refuse_sysctl
from orchestrator.units import parse_cpu_list, parse_duration_s, shown

LONGEST_DELAY_S = 120.0  # the contract's upper bound of /delay?ms=N
LONGEST_S = 24 * 3600.0  # a slip of the pen beyond this


def _name(text: str) -> str:
    # Forty characters leave room for prefixes within a host name's 63 (RFC 1123).
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", text):
        example = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-0123456789")[:40] or "plain"
        raise ValueError(
            f"{shown(text)} is not a name; write at most 40 lower-case letters, digits and hyphens, as in '{example}'"
        )
    return text


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    if not words.isprintable() or len(words) > 200:
        raise ValueError(f"expected at most 200 printable characters, saw {shown(words)}; write one short line")
    return words


def _duration(seen: object) -> float:
    if isinstance(seen, bool) or not isinstance(seen, (str, int, float)):
        raise ValueError(f"expected a duration, saw {_kind(seen)}; write it as in '6s'")
    duration_s = parse_duration_s(str(seen))
    if duration_s > LONGEST_S:
        raise ValueError(f"{shown(seen)} is longer than a day; write at most '24h'")
    return duration_s


def _positive(duration_s: float) -> float:
    if duration_s <= 0:
        raise ValueError("expected more than no time, saw 0; write it as in '6s'")
    return duration_s


def _delay(delay_s: float) -> float:
    if delay_s > LONGEST_DELAY_S:
        raise ValueError(f"expected 0 to {LONGEST_DELAY_S:g} s, the contract's range, saw {delay_s:g} s; write '120s'")
    if abs(delay_s * 1e3 - round(delay_s * 1e3)) > 1e-6:
        raise ValueError("expected whole milliseconds, which is all that servers are told; write it as in '5s'")
    return delay_s


def _interval(interval_s: float) -> float:
    if not 0.2 <= interval_s <= 60:
        raise ValueError(f"expected 200ms to 60s, saw {interval_s:g} s; write '1s'")
    return interval_s


def _cpus(seen: object) -> str:
    if isinstance(seen, int) and not isinstance(seen, bool):
        seen = str(seen)  # one CPU, written without quotes
    if not isinstance(seen, str):
        raise ValueError(f"expected CPUs, saw {_kind(seen)}; write 'auto' or a list as in '0,2-3'")
    if seen != "auto":
        parse_cpu_list(seen)
    return seen


def _sysctl_name(name: str) -> str:
    refusal = refuse_sysctl(name)
    if refusal is not None:
        raise ValueError(refusal)
    return name


def _sysctl_value(seen: object) -> str:
    if isinstance(seen, bool) or not isinstance(seen, (str, int)):
        raise ValueError(f"expected a number or words, saw {_kind(seen)}; write it as in '1024 65535'")
    words = str(seen).split()
    if not words or not all(re.fullmatch(r"[A-Za-z0-9_,-]{1,40}", word) for word in words):
        raise ValueError(f"expected numbers or words, saw {shown(seen)}; write it as in '1024 65535'")
    return " ".join(words)


def _url_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]{0,1000}", text):
        raise ValueError(f"{shown(text)} is not a request path; write it as in '/plain'")
    return text


def _all_or_names(seen: object) -> object:
    if isinstance(seen, str):
        if seen != "all":
            raise ValueError(f"expected a list of names or 'all', saw {shown(seen)}; write [{shown(seen)[1:-1]}]")
        return ["all"]
    return seen


def _kernel(seen: object) -> str:
    if not isinstance(seen, str) or not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,4}", seen):
        raise ValueError(f'expected major.minor in quotes, saw {shown(seen)}; write it as in "2.6"')
    return seen


def _kind(seen: object) -> str:
    if isinstance(seen, dict):
        return "a section"
    return "a list" if isinstance(seen, list) else shown(seen)


Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(_one_line)]
Duration = Annotated[float, BeforeValidator(_duration)]
Cpus = Annotated[str, BeforeValidator(_cpus)]
SysctlName = Annotated[str, AfterValidator(_sysctl_name)]
SysctlValue = Annotated[str, BeforeValidator(_sysctl_value)]
Names = Annotated[list[Name], Field(min_length=1)]
AllOrNames = Annotated[list[Name], BeforeValidator(_all_or_names), Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Port = Annotated[int, Field(ge=1024, le=65535)]


class Section(BaseModel):
    """A mapping in a file: known keys only, no guessing between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ProfileSection(Section):
    """profiles.NAME"""

    summary: Line = ""
    sysctls: dict[SysctlName, SysctlValue] = {}
    # The least leaves room for the reserve of 64; the most is NR_OPEN_MAX on 64 bits, rounded down (fs/file.c).
    nofile: int = Field(ge=256, le=1 << 30, examples=["1048576"])
    best_effort: bool = False
    server_cpus: Cpus = "auto"
    load_cpus: Cpus = "auto"


class ScenarioSection(Section):
    """scenarios.NAME; None stands for "not written", which only some kinds allow"""

    summary: Line = ""
    kind: Literal["closed", "hold"] = Field(examples=["closed"])
    path: Annotated[str, AfterValidator(_url_path)] | None = None
    connections: Count | None = None
    users: Count | None = None
    delay: Annotated[Duration, AfterValidator(_delay)] | None = None
    warmup: Duration | None = None
    measure: Annotated[Duration, AfterValidator(_positive)] | None = None
    timeout: Annotated[Duration, AfterValidator(_positive)] = 10.0


class SuiteSection(Section):
    """suites.NAME"""

    summary: Line = ""
    scenarios: Names = Field(examples=["[plain]"])
    variants: AllOrNames = Field(examples=["all"])
    trials: int = Field(ge=1, le=1000, examples=["2"])
    profile: Name = "default"
    seed: int = Field(default=1, ge=0, le=(1 << 63) - 1)


class ObservabilitySection(Section):
    """observability"""

    web_port: Port = 8089
    prometheus_port: Port = 9090
    exporter_port: Port = 9100
    interval: Annotated[Duration, AfterValidator(_interval)] = 1.0


class ArenaSection(Section):
    """arena"""

    profile: Name = "default"
    variants: AllOrNames = ["all"]


class VariantEntry(Section):
    """variants[i]: a name, or a path to a folder outside servers/"""

    name: Name | None = None
    path: str | None = None

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
    observability: ObservabilitySection = ObservabilitySection()
    arena: ArenaSection = ArenaSection()


class ManifestFile(Section):
    """The whole of a variant.toml"""

    name: Name = Field(examples=['"c-epoll"'])
    summary: Line = Field(examples=['"one line"'])
    language: Line = Field(examples=['"c"'])
    technique: Line = Field(examples=['"level-triggered epoll, one loop"'])
    runtime: Name = Field(examples=['"c"'])
    speaks: Literal["http", "raw"] = Field(examples=['"http"'])
    port: Port = Field(default=8080, examples=["8080"])
    fixed_delay: bool = False
    processes: Literal["one", "reuseport"] = "one"
    kernel_least: Annotated[str, BeforeValidator(_kernel)] = "2.6"
    deviations: list[Line] = []
    specimen: bool = False
