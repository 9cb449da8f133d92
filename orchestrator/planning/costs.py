"""Turn two readings into what one connection costs, and a variant into its costs: calibrated here, or the reference's.

Pure. A calibration is kept with the fingerprint of the machine it was made on (hosts/calibration.py keeps the file)
and counts nowhere else. Reference: measured on 2 cores, Linux 6.18, loopback, 19,000 connections in one process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from orchestrator.model import Users, Variant

# One idle end of a TCP connection, in slabs: sock_inode 832 + filp 192 + dentry 192 + LSM 56 are charged to the cgroup
# of the process, TCP's own 2,368 to nobody (tcp_prot has no SLAB_ACCOUNT). A cgroup therefore shows less than is
# taken: some 1,700 bytes were seen for each connection of c-epoll.
CHARGED_BYTES = 1_272.0
UNCHARGED_BYTES = 2_368.0
WATCH_BYTES = 200.0  # its entry in an epoll instance
UNREAD_BYTES = 2_600.0  # one small segment that nobody has read yet; 1,100 to 2,600 were seen
TRACKED_BYTES = 256.0  # an nf_conntrack slab object; one for both ends, where a namespace tracks connections
THREAD_KERNEL_BYTES = 26_000.0  # of an idle thread: stack 16 KiB, page tables 3.8; with its RSS some 35 KiB in all

# 4 KiB pages come and go with anything: growth within two of them over the whole distance cannot be told from none.
_NOISE_BYTES = 2 * 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndCost:
    """What one connection costs at one end."""

    user_bytes: float  # of the process
    kernel_bytes: float  # charged to its cgroup; UNCHARGED_BYTES come on top
    calibrated: bool = False  # True: measured on this machine; False: the reference's constant


@dataclass(frozen=True, slots=True)
class GeneratorCost:
    """What the load side costs: each connection, each worker, and what one core brings about in a second."""

    user_bytes: float
    kernel_bytes: float  # charged to its cgroup; UNCHARGED_BYTES come on top
    base_bytes: float  # a worker before its first connection
    opens_per_core_s: float
    answers_per_core_s: float
    calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Costs:
    """Both ends of one pairing."""

    server: EndCost
    generator: GeneratorCost


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured on one machine."""

    fingerprint: Mapping[str, str]
    variants: Mapping[str, EndCost] = field(default_factory=dict)
    generators: Mapping[str, GeneratorCost] = field(default_factory=dict)  # by kind of users


@dataclass(frozen=True, slots=True)
class Point:
    """Memory of one end at one number of connections, warm-up behind it.

    user_bytes: RSS of all its processes. kernel_bytes: what the cgroup is charged beyond that.
    """

    connections: int
    user_bytes: float
    kernel_bytes: float


def slope(low: Point, high: Point) -> EndCost:
    """Return what one connection costs between two points; whatever is there without any connection cancels out.

    Raises ValueError when the points are too near each other, or memory shrank by more than page noise.
    """
    more = high.connections - low.connections
    if low.connections < 1 or high.connections < 2 * low.connections:
        raise ValueError(
            f"expected twice as many connections at the second point, saw {low.connections:,} and "
            f"{high.connections:,}; take 1,000 and 4,000"
        )
    costs = []
    for what, first, second in (
        ("process", low.user_bytes, high.user_bytes),
        ("kernel", low.kernel_bytes, high.kernel_bytes),
    ):
        growth = second - first
        if growth < -_NOISE_BYTES:
            raise ValueError(f"the {what}'s memory shrank by {-growth:,.0f} bytes over {more:,} more connections")
        costs.append(max(growth, 0.0) / more)
    return EndCost(costs[0], costs[1], calibrated=True)


def costs_of(variant: Variant, users: Users, calibration: Calibration | None, fingerprint: Mapping[str, str]) -> Costs:
    """Return a pairing's costs: the calibrated ones if they are of this machine, else the reference's."""
    ours = calibration if calibration is not None and is_same_host(calibration.fingerprint, fingerprint) else None
    server = ours.variants.get(variant.same_as or variant.name) if ours else None
    generator = ours.generators.get(users) if ours else None
    return Costs(server or reference_server(variant), generator or reference_generator(users))


def is_same_host(kept: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return whether two fingerprints are one machine's. An engine that was not asked ("unknown") counts as equal."""
    return all(
        kept.get(key) == now.get(key) or (key == "engine" and "unknown" in (kept.get(key), now.get(key)))
        for key in ("kernel", "cpu_model", "memory_gib", "engine")
    )


def reference_server(variant: Variant) -> EndCost:
    """Return the cost of a technique that was measured elsewhere; for an unknown one, of the dearest event loop."""
    if variant.threads == "per-connection":
        return EndCost(8_300.0, CHARGED_BYTES + THREAD_KERNEL_BYTES)
    return EndCost(_user_bytes(variant), CHARGED_BYTES + WATCH_BYTES)


def _user_bytes(variant: Variant) -> float:
    technique = variant.technique.lower()
    if "uring" in technique:
        return 40.0
    match variant.language.lower():
        case "c":
            return 100.0
        case "go":
            return 4_200.0 if "raw" in technique else 15_000.0  # net/http, in its handler
        case "python":
            return 3_300.0 if "protocol" in technique else 5_600.0  # streams
        case _:
            return 15_000.0


def reference_generator(users: Users) -> GeneratorCost:
    """Return the cost of connections held by several workers, and of /plain on one core."""
    kernel = CHARGED_BYTES + WATCH_BYTES
    if users == "engine":  # three workers: 175 MB with 3,000 connections, 184 MB with 40,000; 0.86 of wrk's 168,800/s
        return GeneratorCost(250.0, kernel, 58e6, 20_000.0, 145_000.0)
    return GeneratorCost(10_000.0, kernel, 58e6, 10_000.0, 80_000.0)  # 1.32 GB for 100,200, 8 to 11 s; half of wrk


def dump_calibration(calibration: Calibration) -> str:
    """Return a calibration as JSON text."""
    return json.dumps(asdict(calibration), indent=1) + "\n"


def parse_calibration(text: str) -> Calibration:
    """Return the calibration that `dump_calibration` wrote. Raises ValueError naming what is wrong with it."""
    kept = json.loads(text)
    if not isinstance(kept, dict) or not isinstance(kept.get("fingerprint"), dict):
        raise ValueError("expected an object with a fingerprint")
    return Calibration(
        fingerprint={str(key): str(value) for key, value in kept["fingerprint"].items()},
        variants={name: _cost(EndCost, name, cost) for name, cost in _section(kept, "variants").items()},
        generators={name: _cost(GeneratorCost, name, cost) for name, cost in _section(kept, "generators").items()},
    )


def merge(kept: Calibration | None, new: Calibration) -> Calibration:
    """Return the new calibration with what an earlier one of the same machine has besides."""
    if kept is None or not is_same_host(kept.fingerprint, new.fingerprint):
        return new
    return replace(
        new,
        variants={**kept.variants, **new.variants},
        generators={**kept.generators, **new.generators},
    )


def _section(kept: dict[str, object], key: str) -> dict[str, object]:
    value = kept.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key}: expected an object")
    return value


def _cost(cls: type[T], name: str, kept: object) -> T:
    names = [f.name for f in fields(cls) if f.name != "calibrated"]  # type: ignore[arg-type]  # both are dataclasses
    if not isinstance(kept, dict):
        raise ValueError(f"{name}: expected an object")
    for key in names:
        value = kept.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
            raise ValueError(f"{name}.{key}: expected a number of 0 or more, saw {value!r}")
    values: dict[str, Any] = {key: float(kept[key]) for key in names}
    values["calibrated"] = True
    return cls(**values)
