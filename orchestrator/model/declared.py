"""What lab.yaml and the variants' manifests declare. `config` turns their text into these, once."""

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
    server_cpus: str  # a Linux CPU list such as "1,3-5", "auto", or "shared"
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
    image: str = ""  # an existing image, run as it is; a manifest has the keys below only with it
    routes: Mapping[str, str] = field(default_factory=dict)  # "plain", "delay" -> its own path; {ms} is the delay
    answers: str = ""  # what it answers there
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # {host}, {port}: where an image is to listen
    same_as: str = ""  # the variant whose image it is under this second name, as an A/A control's

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
class Gate:
    """What a trial may suffer and still count (verdicts/validity.py)."""

    # Of all the machine's CPU time in the window. Server and load share the loss on a small machine: on two CPUs 5 %
    # may be a tenth of the server's own. A paired comparison forgives what hits a whole block, not what hits one trial.
    stolen_ratio: float = 0.05
    # Of the server's CPUs, or of the load's, in the window, by programs outside the lab: on two CPUs the same share of
    # a side as what may be stolen, and three times the difference in throughput that is worth a word.
    others_ratio: float = 0.10


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
    gate: Gate = field(default_factory=Gate)
    nightly: Nightly | None = None
