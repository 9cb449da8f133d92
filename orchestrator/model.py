"""The lab's words as frozen values: what is declared, what is planned, what was seen.

No I/O and no units as strings: `config` turns text into these once. Vocabulary: docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["closed", "open", "hold", "ramp", "storm"]
Users = Literal["locust", "engine"]
Protocol = Literal["http", "raw"]
Threads = Literal["few", "per-connection"]
Processes = Literal["one", "reuseport", "own"]
_WITHOUT_RUNTIME = ("c", "rust")  # languages whose servers have nothing between them and the kernel to tell of

# Ends the second name of a variant that runs twice in a suite, the A/A control; no declared name has a "~".
CONTROL = "~control"


@dataclass(frozen=True, slots=True)
class Profile:
    """Tuning for one pod: what its namespace and its processes are granted."""

    name: str
    summary: str
    sysctls: Mapping[str, str]  # per network namespace, set on the pod's holder
    nofile: int  # descriptors wanted for each process, soft = hard
    best_effort: bool  # True: a value that did not take is recorded; False: it is an error
    server_cpus: str  # a Linux CPU list such as "1,3-5", or "auto"
    load_cpus: str  # the same, for workers, master and observers
    host: Mapping[str, str] = field(default_factory=dict)  # the host's own settings; only `lab tune` applies them


@dataclass(frozen=True, slots=True)
class Ring:
    """One io_uring of a server; a process opens the next when the first is full."""

    connections: int  # places in its table of direct descriptors; RLIMIT_NOFILE may allow fewer
    locked_bytes: int  # its queues and its ring of buffers, where a kernel counts them as locked memory


@dataclass(frozen=True, slots=True)
class Variant:
    """One server implementation under test, as its variant.toml declares it."""

    name: str
    summary: str
    language: str
    technique: str
    runtime: str  # images/runtime-<runtime>.Dockerfile builds it; "" for an existing image
    folder: Path  # the build context; of an image declared in lab.yaml itself the lab's own folder
    speaks: Protocol
    port: int
    fixed_delay: bool  # True: knows one answer only, after LAB_DELAY_MS (60 s unless set)
    processes: Processes  # reuseport: several may share the port; own: it makes its own, LAB_PROCESSES of them
    kernel_least: tuple[int, int]
    deviations: tuple[str, ...]  # where it departs from the contract on purpose, in words
    specimen: bool = False  # True: shown for its defects; its errors are its signature and void no trial
    threads: Threads = "few"  # whether a connection costs a thread
    packages: tuple[str, ...] = ()  # Debian packages that its runtime image holds besides
    seccomp: Path | None = None  # a profile for its container, instead of the engine's
    wall: str = ""  # what ends it at connections_most, in words; "" for no known limit
    connections_most: int | None = None
    ring: Ring | None = None  # of a server that works with io_uring
    lacks: tuple[str, ...] = ()  # routes and checks of the contract that it declares not to keep
    image: str = ""  # an existing image, run as it is; the keys below are only such a one's
    routes: Mapping[str, str] = field(default_factory=dict)  # "plain", "delay" -> its own path; {ms} is the delay
    answers: str = ""  # what it answers there
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # {host} and {port} stand for where it is to listen
    same_as: str = ""  # an A/A control: the variant whose image it is, under this second name

    @property
    def has_contract_routes(self) -> bool:
        """Whether it has /healthz, /stats and the rest; the seeds and existing images have not."""
        return self.speaks == "http" and not self.fixed_delay and not self.image

    @property
    def tells_runtime(self) -> bool:
        """Whether its /stats may hold what only a runtime knows: goroutines, pauses, how late a loop is."""
        return self.has_contract_routes and "stats" not in self.lacks and self.language not in _WITHOUT_RUNTIME


@dataclass(frozen=True, slots=True)
class Ramp:
    """Steps upwards until something binds: errors, latency or the generator."""

    of: Literal["connections", "rate"]  # closed loops added, or arrivals per second
    first: float  # the first step's number
    last: float  # the highest step tried
    factor: float  # from step to step, above 1
    step_s: float  # how long each step is measured
    settle_s: float  # between a step's beginning and its window
    most_errors_ratio: float  # errors of all answers in a step; above: the errors bind
    most_p99_s: float  # above: latency binds


@dataclass(frozen=True, slots=True)
class Scenario:
    """The load to offer; identical for every variant.

    closed: `connections` clients, each waiting for its reply before it asks again; `delay_s` makes each late.
    open: arrivals follow a clock, `rate_per_s` over the whole swarm, on a pool of at most `connections`.
    hold: `connections` clients, each opening one connection, asking once, answered after `delay_s` or on release.
    ramp: `ramp` says what rises; closed loops or arrivals, step by step.
    storm: every `every_s` a burst of `connections` connects at once, one exchange each.
    """

    name: str
    summary: str
    kind: Kind
    path: str  # what is asked for; hold: "/delay", or "/hold" where it is answered on release
    connections: int  # closed: users, one connection each; hold: open at once; open: the pool; storm: one burst
    delay_s: float  # how long the server keeps each answer back, 0.0 for none
    warmup_s: float  # load sent, never recorded; hold: 0.0
    measure_s: float  # the window; hold: 0.0 (its window ends with the last answer); ramp: 0.0 (each step has its own)
    timeout_s: float  # how long a client waits for one answer beyond delay_s
    users: Literal["locust", "engine", "auto"] = "auto"  # who loads; auto: the engine wherever it can
    rate_per_s: float = 0.0  # open
    arrivals: Literal["constant", "poisson"] = "constant"  # open, and a ramp of the rate
    answer: Literal["delay", "release"] = "delay"  # hold: what ends it
    every_s: float = 0.0  # storm
    ramp: Ramp | None = None
    sources: int = 0  # source addresses, shared by all workers; 0: each worker has its own, as many as it likes


@dataclass(frozen=True, slots=True)
class Suite:
    """A named set of scenarios crossed with variants, repeated in interleaved blocks."""

    name: str
    summary: str
    scenarios: tuple[str, ...]
    variants: tuple[str, ...]
    trials: int  # repetitions of each variant x scenario
    profile: str
    seed: int
    reverts: tuple[str, ...] = ()  # ablation: each pairing also runs with one of these, as in "nofile=1024"
    probe_s: float = 0.0  # a further window after the scored one, with the probes on; 0.0: none


@dataclass(frozen=True, slots=True)
class Observability:
    """Where the pages are; every port binds 127.0.0.1."""

    web_port: int
    prometheus_port: int
    exporter_port: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Grafana:
    """Where the dashboards go. A token is named here and never held."""

    use: Literal["auto", "image", "url", "off"] = "off"  # auto: the url if given, else the image if it can be had
    image: str = ""
    port: int = 3000  # of the lab's own
    url: str = ""  # somebody's Grafana
    token_env: str = ""  # the environment variable that holds its token
    token_file: Path | None = None  # or the file
    prometheus_url: str = ""  # the lab's Prometheus as that Grafana's server reaches it; "": as this machine does

    @property
    def is_elsewhere(self) -> bool:
        """Whether the dashboards go into somebody's Grafana, over HTTP."""
        return self.use == "url" or (self.use == "auto" and bool(self.url))

    @property
    def is_own(self) -> bool:
        """Whether the lab is to start one of its own."""
        return self.use in ("auto", "image") and not self.is_elsewhere


@dataclass(frozen=True, slots=True)
class Arena:
    """The shared pod that `lab up` leaves running for the web UI."""

    profile: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How large a difference must be to be worth a word, as a fraction of the baseline: 0.03 for 3%.

    Keys are fields of Metrics. What neither mapping names has the verdicts' own default.
    """

    everywhere: Mapping[str, float] = field(default_factory=dict)
    scenarios: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # a scenario's own come first

    def of(self, scenario: str, metric: str) -> float | None:
        """Return what is declared for a figure; None: nothing is."""
        return self.scenarios.get(scenario, {}).get(metric, self.everywhere.get(metric))


@dataclass(frozen=True, slots=True)
class Keep:
    """Which nights keep their run folders; the database keeps every trial. Baseline and newest night always stay."""

    nights: int
    most_bytes: int | None  # of all their folders together; None: no limit


@dataclass(frozen=True, slots=True)
class Notify:
    """Who hears of a night's verdict. At most one place names the webhook, and never the lab file itself."""

    webhook_env: str = ""  # the environment variable that holds the URL
    webhook_file: str = ""  # or the file
    command: tuple[str, ...] = ()
    when: Literal["always", "not-fine"] = "always"


@dataclass(frozen=True, slots=True)
class Nightly:
    """What `lab nightly` runs, and what becomes of it."""

    suite: str
    at: str  # "02:30", the machine's own time of day
    control: str  # the variant that runs a second time under another name, A/A; "": the suite's first
    stable: tuple[str, ...]  # variants nobody changes: what all of them show is the machine's doing
    keep: Keep
    notify: Notify


@dataclass(frozen=True, slots=True)
class Lab:
    """Everything lab.yaml and the variants' manifests declare."""

    path: Path  # the lab file
    root: Path  # its folder
    profiles: Mapping[str, Profile]
    variants: Mapping[str, Variant]
    scenarios: Mapping[str, Scenario]
    suites: Mapping[str, Suite]
    observability: Observability
    arena: Arena
    grafana: Grafana = field(default_factory=Grafana)
    thresholds: Thresholds = field(default_factory=Thresholds)
    nightly: Nightly | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """One constraint on what a trial asks for, as predicted before it begins."""

    name: str  # "server descriptors", "source ports", "kernel memory", ...
    most: float | None  # what it allows, in `unit`; None: no limit in sight, or not known (the formula says which)
    formula: str  # with the numbers in it
    fix: str  # what would raise it
    whose: Literal["container", "host", "variant", "lab"]  # where that is done
    calibrated: bool = True  # False: a constant from the reference, not measured on this host
    wanted: float = 0.0  # what the trial asks for, in `unit`
    unit: str = "connections"  # open at once; or "arrivals/s"
    hard: bool = True  # True: beyond it a connection fails. False: it costs time, or loses some

    @property
    def exceeded(self) -> bool:
        return self.most is not None and self.wanted > self.most


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One planned trial: variant x scenario x repetition."""

    index: int  # position in the run, from 0
    block: int  # repetition, from 0; each block holds every pairing once
    variant: str
    scenario: str
    kind: Kind  # the scenario's, so that a stored run can be read without its lab file
    profile: str
    server_processes: int
    workers: int
    why_processes: str  # the limit that asked for this many, in words
    users: Users = "locust"  # who loads, decided
    reverted: str = ""  # ablation: the setting that this trial takes back, as in "net.core.somaxconn=128"
    bounds: tuple[Bound, ...] = ()  # what limits the trial, the binding one first
    predicted: Mapping[str, float] = field(default_factory=dict)  # figures by their names in Metrics
    own_processes: int = 0  # that the variant must make itself; 0: as many as its CPUs, or it makes none
    language: str = ""  # the variant's, so that a stored run can be grouped without its lab file
    technique: str = ""
    probe_s: float = 0.0  # the probe window; 0.0: none


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pairing the plan does not run, and why."""

    variant: str
    scenario: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered, seeded trials; making one has no side effects."""

    suite: str
    seed: int
    trials: tuple[TrialSpec, ...]
    left_out: tuple[LeftOut, ...]


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
