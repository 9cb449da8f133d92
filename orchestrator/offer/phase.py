"""One trial's time under load: what every kind of it needs, and the watch over those it stands on.

A worker that goes takes its share of the load and its part of the figures with it. Locust itself notices after four
seconds at the earliest and goes on; so the engine is asked as well, once a second, in one request.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.containers.launch import ended
from orchestrator.containers.watch import fallen
from orchestrator.errors import Lost, NotReady
from orchestrator.load.master import Ramp, SwarmState, Window
from orchestrator.model import Probed, Scenario, TrialSpec, Variant
from orchestrator.observe.exporter_client import Reading
from orchestrator.observe.marks import Mark
from orchestrator.pod import Bench, Pod
from orchestrator.verdicts.reconcile import Parties

TARGET_REFUSED = "target refused"  # how a worker's guard begins the error it counts (docs/architecture.md)
_REFUSED_S = 5.0  # with errors and not one connection after this long, the reason is asked for once
_LOOK_S = 1.0  # between two looks at the containers; with the teardown a lost worker voids the trial within 6 s
# Ten workers that begin 10,000 Locust users each at once, on one core, send no heartbeat for ten seconds; Locust then
# believes that the last of them is gone and stops the test. At this rate they open as fast: the CPU is the limit.
_SPAWNED_PER_S = 10_000
_LOADING = ("spawning", "running")  # Locust's words; what comes after them is an end
_MISSING_S = 4.0  # a worker that Locust calls missing this long hangs; a busy one comes back with its next heartbeat


@dataclass(frozen=True, slots=True)
class Load:
    """What the load phase brought back; None: this kind has no such thing, or it could not be known."""

    window: Window
    window_s: float
    established: int | None  # open at `held` (hold) or at the window's end
    idle: Reading
    first: Reading | None
    held: Reading | None
    last: Reading
    loaded_s: float
    established_s: float | None = None
    generator_memory_bytes: int | None = None
    opening: Window | None = None  # hold: the workers' CPU while they opened, and nothing else of a window
    parties: Parties | None = None  # hold: who says how many are open
    ramp: Ramp | None = None
    notes: tuple[str, ...] = ()
    server_errors: Mapping[str, int] = field(default_factory=dict)  # hold with failures: errno name -> count, its own
    probe: Probed | None = None  # what a window of the probes' own showed, where one was asked for
    complaints: tuple[str, ...] = ()  # where nothing was answered: what Locust counted, in the window or before it


@dataclass(slots=True)
class Phase:
    """The trial under load, from the idle reading until the swarm is told to stop."""

    bench: Bench
    spec: TrialSpec
    pod: Pod
    scenario: Scenario
    idle: Reading
    stopping: threading.Thread
    _looked_s: float = field(default=0.0, init=False)
    _missing_since_s: float | None = field(default=None, init=False)
    _has_begun: bool = field(default=False, init=False)
    _window_mark: Mark | None = field(default=None, init=False)

    @property
    def variant(self) -> Variant:
        """Who is loaded."""
        return self.bench.lab.variants[self.spec.variant]

    @property
    def can_ask_servers(self) -> bool:
        """Whether the servers have /stats and can be reached: at its wall a server accepts nobody who would ask."""
        variant = self.variant
        most = variant.connections_most
        is_beyond_wall = most is not None and self.scenario.connections > most * self.spec.server_processes
        return variant.has_contract_routes and "stats" not in variant.lacks and not is_beyond_wall

    def ask_runtime(self) -> None:
        """Have the exporter ask the variant's runtime for its own numbers: not where a window is scored."""
        if self.variant.tells_runtime and self.can_ask_servers:
            self.bench.exporter.ask_stats(self.pod.name)

    @property
    def is_engine(self) -> bool:
        """Whether the engine loads; a server that speaks no HTTP is loaded by Locust users whatever was planned."""
        return self.spec.users == "engine" and self.variant.speaks == "http"

    def start(self) -> None:
        """Start the users: one in each worker where the engine loads, else one for each connection."""
        if self.is_engine:
            users, each = self.spec.workers, 0
            self.bench.master.start(users, users, self.scenario.name, [self.spec.variant], each)
            return
        users = self.scenario.connections
        self.bench.master.start(users, min(users, _SPAWNED_PER_S), self.scenario.name, [self.spec.variant])

    def stop(self) -> None:
        """Tell the swarm to stop, without waiting for it; the second time does nothing."""
        if self.stopping.ident is None:
            self.stopping.start()

    def begin_window(self) -> None:
        """Mark in Grafana's charts that what is measured begins now; it is a note in a queue, nobody waits."""
        spec = self.spec
        text = f"{spec.variant} on {spec.scenario}, trial {spec.index + 1}"
        self._window_mark = self.bench.marks.begin(text, ["window", self.bench.run_id, spec.scenario, spec.variant])

    def end_window(self) -> None:
        """Mark that it ends now; the second time does nothing."""
        if self._window_mark is not None:
            self.bench.marks.end(self._window_mark)
            self._window_mark = None

    def look(self) -> SwarmState:
        """Return the swarm's state. Raises Lost when a worker or the pod's holder has gone, or the load has ended."""
        self._look_at_containers()
        state = self.bench.master.state()
        self._look_at_workers(state)
        self._look_at_load(state)
        return state

    def wait(self, until_s: float) -> None:
        """Wait until that time.monotonic(), with an eye on the workers. Raises Lost."""
        while (left_s := until_s - time.monotonic()) > 0:
            if left_s > _LOOK_S / 2:
                self.look()
            time.sleep(max(0.0, min(_LOOK_S, until_s - time.monotonic())))

    def wait_for(self, is_so: Callable[[SwarmState], bool], until_s: float, every_s: float = 0.05) -> SwarmState:
        """Look until it is so or time.monotonic() has passed until_s; return the last state seen. Raises Lost."""
        ask_why_s = time.monotonic() + _REFUSED_S
        while True:
            state = self.look()
            if is_so(state) or time.monotonic() > until_s:
                return state
            if state.failed and not state.established + state.answered and time.monotonic() > ask_why_s:
                self._give_up_if_refused()
                ask_why_s = math.inf
            time.sleep(every_s)

    def window(self, deadline_s: float, window_id: str = "") -> Window:
        """Wait until every worker handed its part in or deadline_s passed; return what is there. Raises Lost.

        window_id: "" for the scored one, which has the pod's name.
        """
        master, window_id = self.bench.master, window_id or self.pod.name
        ends_s = time.monotonic() + deadline_s
        while True:
            parts = master.count_parts(window_id)
            if parts >= self.spec.workers or time.monotonic() > ends_s:
                return master.read_window(window_id)
            self._look_at_containers()
            time.sleep(0.05)

    def _give_up_if_refused(self) -> None:
        """Raise NotReady where the workers' guard let nobody through: nothing will ever open."""
        for complaint in self.bench.master.complaints():
            if TARGET_REFUSED in complaint:
                raise NotReady(complaint[complaint.index(TARGET_REFUSED) :])

    def _look_at_containers(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        site = self.bench.site
        for gone in fallen(site.client, site.lab, [*self.pod.workers, self.pod.holder]):
            how = ended(site.client, gone) or f"{gone.name} stopped running"
            raise Lost(f"{how}; the trial was broken off. Try: dmesg or docker events for who ended it")

    def _look_at_workers(self, state: SwarmState) -> None:
        ours = [name for name in state.workers if name.startswith(self.pod.name)]
        absent = self.spec.workers - sum(state.workers[name] != "missing" for name in ours)
        now_s = time.monotonic()
        if not absent:
            self._missing_since_s = None
        elif self._missing_since_s is None:
            self._missing_since_s = now_s
        elif now_s - self._missing_since_s > _MISSING_S:
            raise Lost(
                f"{absent} of {self.spec.workers} workers have been silent for {_MISSING_S:.0f} s beyond Locust's own "
                f"patience though their containers run: {dict(state.workers)}. Try: a lighter load for each worker"
            )

    def _look_at_load(self, state: SwarmState) -> None:
        """Nobody waits for the answers of a load that is over; a ramp ends its own."""
        if state.state in _LOADING:
            self._has_begun = True
        elif self._has_begun and self.stopping.ident is None and self.scenario.kind != "ramp":
            raise Lost(
                f"Locust's master says {state.state} though nobody told it to stop; the trial was broken off. It stops "
                "when every worker is silent or somebody presses Stop. Try: its log on its page, fewer connections"
            )
