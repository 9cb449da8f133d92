"""Turn what a person writes for one key into the value it stands for, or into what to write instead.

One validator and one annotated type for each sort of value in lab.yaml and variant.toml; the sections that use them
are in schema.py. Units become numbers here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator.config.sysctls import refuse_host_setting, refuse_sysctl
from orchestrator.units import parse_bytes, parse_cpu_list, parse_duration_s, parse_rate_per_s, shown

LONGEST_DELAY_S = 120.0  # the contract's upper bound of /delay?ms=N
LONGEST_S = 24 * 3600.0  # a slip of the pen beyond this
MOST_CONNECTIONS = 10_000_000  # ten times the most that issue 3 asks for
MOST_PERCENT = 1000.0  # eleven times as much: whoever allows more wants no threshold
HIGHEST_PER_S = 100e6  # likewise: no loopback answers a hundred million requests in a second


@dataclass(frozen=True, slots=True)
class Amount:
    """What a ramp raises: connections, or arrivals per second."""

    number: float
    is_rate: bool


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


def _rate(seen: object) -> float:
    if not isinstance(seen, str):
        example = f"{seen}/s" if isinstance(seen, int) and not isinstance(seen, bool) else "2000/s"
        raise ValueError(f"expected a rate, saw {_kind(seen)}; write it as in '{example}'")
    rate_per_s = parse_rate_per_s(seen)
    if not 0 < rate_per_s <= HIGHEST_PER_S:
        raise ValueError(f"expected more than 0 and at most 100000000/s, saw {shown(seen)}; write it as in '2000/s'")
    return rate_per_s


def _amount(seen: object) -> Amount:
    if isinstance(seen, int) and not isinstance(seen, bool):
        if not 1 <= seen <= MOST_CONNECTIONS:
            raise ValueError(f"expected 1 to {MOST_CONNECTIONS:,} connections, saw {seen}; write it as in 50")
        return Amount(float(seen), False)
    if isinstance(seen, str) and "/" in seen:
        return Amount(_rate(seen), True)
    raise ValueError(f"expected connections or a rate, saw {_kind(seen)}; write it as in 50, or as in '2000/s'")


def _ratio(seen: object) -> float:
    if isinstance(seen, bool) or not isinstance(seen, (int, float)) or not 0 <= seen <= 1:
        raise ValueError(f"expected a share from 0 to 1, saw {_kind(seen)}; write it as in 0.01")
    return float(seen)


def _percent(seen: object) -> float:
    text = seen.strip() if isinstance(seen, str) else ""
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,6})?) ?%", text)
    if match is None:
        bare = isinstance(seen, (int, float)) and not isinstance(seen, bool) and 0 < seen <= MOST_PERCENT
        example = f"{seen:g}%" if bare else "3%"
        raise ValueError(f"expected a percentage, saw {_kind(seen)}; write it as in '{example}'")
    if not 0 < float(match[1]) <= MOST_PERCENT:
        raise ValueError(f"expected more than 0% and at most {MOST_PERCENT:g}%, saw {shown(seen)}; write '3%'")
    return float(match[1]) / 100.0


def _factor(seen: object) -> float:
    if isinstance(seen, bool) or not isinstance(seen, (int, float)) or not 1.01 <= seen <= 10:
        raise ValueError(f"expected a factor from 1.01 to 10, saw {_kind(seen)}; write it as in 1.5")
    return float(seen)


def _users(seen: object) -> object:
    if isinstance(seen, int) and not isinstance(seen, bool):
        raise ValueError(
            f"expected who loads ('locust', 'engine' or 'auto'), saw {seen}; write 'connections: {seen}' for a number"
        )
    return seen


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
        raise ValueError(f"expected CPUs, saw {_kind(seen)}; write 'auto', 'shared' or a list as in '0,2-3'")
    if seen not in ("auto", "shared"):
        parse_cpu_list(seen)
    return seen


def _host_setting(name: str) -> str:
    refusal = refuse_host_setting(name)
    if refusal is not None:
        raise ValueError(refusal)
    return name


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


def _revert(text: str) -> str:
    name, equals, value = (part.strip() for part in text.partition("="))
    if name != "nofile" and (refusal := refuse_sysctl(name)) is not None:
        raise ValueError(f"{shown(name)} {refusal}")
    if not equals:
        return name
    if name == "nofile" and not (value.isdigit() and 256 <= int(value) <= 1 << 30):
        raise ValueError(f"expected 256 or more descriptors, saw {shown(value)}; write it as in 'nofile=1024'")
    return f"{name}={_sysctl_value(value)}"


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


def _clock_time(seen: object) -> str:
    # Unquoted, YAML 1.1 reads 02:30 as a number in base sixty; the reader of this lab refuses those.
    if not isinstance(seen, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", seen):
        raise ValueError(f'expected a time of day, saw {_kind(seen)}; write it as in "02:30"')
    return seen


def _size(seen: object) -> int:
    if not isinstance(seen, str):
        raise ValueError(f"expected a size, saw {_kind(seen)}; write it as in '20GiB'")
    size_bytes = parse_bytes(seen)
    if size_bytes < 1:
        raise ValueError(f"expected more than nothing, saw {shown(seen)}; write it as in '20GiB'")
    return size_bytes


def _file_path(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{shown(text)} is not a path; write it as in '/etc/netpoll-lab/webhook'")
    return text


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
LongerThanZero = Annotated[Duration, AfterValidator(_positive)]
Delay = Annotated[Duration, AfterValidator(_delay)]
Interval = Annotated[Duration, AfterValidator(_interval)]
ClockTime = Annotated[str, BeforeValidator(_clock_time)]
Size = Annotated[int, BeforeValidator(_size)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Cpus = Annotated[str, BeforeValidator(_cpus)]
Rate = Annotated[float, BeforeValidator(_rate)]
RampAmount = Annotated[Amount, BeforeValidator(_amount)]
Share = Annotated[float, BeforeValidator(_ratio)]
Percent = Annotated[float, BeforeValidator(_percent)]
Factor = Annotated[float, BeforeValidator(_factor)]
Users = Annotated[Literal["locust", "engine", "auto"], BeforeValidator(_users)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
Kernel = Annotated[str, BeforeValidator(_kernel)]
HostSetting = Annotated[str, AfterValidator(_host_setting)]
SysctlName = Annotated[str, AfterValidator(_sysctl_name)]
SysctlValue = Annotated[str, BeforeValidator(_sysctl_value)]
Names = Annotated[list[Name], Field(min_length=1)]
AllOrNames = Annotated[list[Name], BeforeValidator(_all_or_names), Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=MOST_CONNECTIONS)]
Revert = Annotated[str, AfterValidator(_revert)]
Port = Annotated[int, Field(ge=1024, le=65535)]
