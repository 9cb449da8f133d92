"""What was seen: of a limit, in a trial, in a whole run. What was not measured is None, with its reason beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.model.planned import Plan, TrialSpec


@dataclass(frozen=True, slots=True)
class ReadBack:
    """One limit as wanted and as found inside the container."""

    what: str  # "sysctl net.core.somaxconn", "nofile", "cpus"
    where: str  # holder, server, worker
    wanted: str
    seen: str

    @property
    def took(self) -> bool:
        return self.wanted == self.seen


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one trial measured. None means not measured; `TrialResult.missing` says why."""

    throughput_per_s: float | None = None  # right answers in the window / its length
    p50_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    requests: int | None = None  # answers of any kind, right or wrong, in the window
    errors: Mapping[str, int] = field(default_factory=dict)  # by kind
    connections_requested: int | None = None
    connections_held: int | None = None  # opened, and answered rightly
    connections_failed: int | None = None  # requested - held
    threads_peak: int | None = None
    memory_bytes: float | None = None  # the server's, kernel part included, with the load on it
    memory_user_bytes: float | None = None  # of it: heap, touched stacks, shared memory
    memory_kernel_bytes: float | None = None  # files, epoll items, kernel stacks, page tables
    memory_socket_bytes: float | None = None  # socket buffers; of the memory where the cgroup accounts them (see notes)
    memory_bytes_per_connection: float | None = None
    cpu_s_per_10k_requests: float | None = None
    context_switches_per_request: float | None = None  # voluntary
    established_s: float | None = None  # from the first connect until the last connection was open
    planned: int | None = None  # open, storm: arrivals whose time lay in the window
    sent: int | None = None  # of those
    late: int | None = None  # sent more than 1 ms after the plan
    dropped: int | None = None  # never sent
    lag_p99_s: float | None = None  # from plan to send
    breaking_point: float | None = None  # ramp: the last step that held
    generator_memory_bytes: float | None = None  # all workers together


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a ramp."""

    offered: float  # connections or arrivals per second
    answered_per_s: float
    p50_s: float | None
    p99_s: float | None
    errors_ratio: float
    established: int
    generator_cpu_ratio: float  # of the busiest engine thread, or worker without one, or of the CPUs all share
    binds: str  # "", "errors", "latency", "generator"


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probes saw of the server in a window of their own, after the scored one; nothing of it is scored."""

    rung: str  # ebpf, perf, taskstats; "": nothing was seen, and `missing` says why
    refused: Mapping[str, str]  # better rung -> why it does not hold here
    window_s: float
    answered: int  # right answers in it
    figures: Mapping[str, float]  # by the names in verdicts/probed.py
    missing: Mapping[str, str]  # figure -> why there is none
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # what grew: syscalls, errors, tcp, ...


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of one trial; a void one keeps its numbers and its reason."""

    spec: TrialSpec
    void: str | None  # the reason its numbers must not be used
    metrics: Metrics
    missing: Mapping[str, str]  # metric name -> why it is None
    histogram_us: Mapping[int, int]  # latency in whole µs -> right answers
    read_backs: tuple[ReadBack, ...]
    notes: tuple[str, ...]  # e.g. "at least: the generator was the limit"
    started_at: str  # UTC, ISO 8601; a label, never used for durations
    loaded_s: float  # seconds under load, warm-up included
    overhead_s: float  # seconds not under load: set-up, verification, taking down
    steps: tuple[Step, ...] = ()  # ramp
    bound_by: str = ""  # ramp: what bound, in words
    counters: Mapping[str, float] = field(default_factory=dict)  # the kernel's own that grew: ListenOverflows, ...
    probe: Probed | None = None  # None: no probe window was asked for, or the trial did not get there


@dataclass(frozen=True, slots=True)
class Session:
    """One process at work on a run: the first begins it, each later one resumes it."""

    began_at: str  # UTC, ISO 8601
    owner: Mapping[str, object]  # boot id, pid and start time of the process; whether it lives tells a running run
    changes: tuple[str, ...] = ()  # what was no longer as when the run began, in words


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a plan as the store knows it."""

    run_id: str
    suite: str
    started_at: str
    finished_at: str | None  # None: still running or ended abruptly
    host: Mapping[str, object]  # host facts: kernel, CPUs, limits, engine, image digests
    plan: Plan
    trials: tuple[TrialResult, ...]
    declared: Mapping[str, object] = field(default_factory=dict)  # what lab.yaml said: "scenario plain" -> its fields
    sessions: tuple[Session, ...] = ()
    aborted: str | None = None  # why it was given up
    imported_at: str | None = None  # where it was carried out on another machine
