"""Keep the registered targets and sample them in a thread of its own: all sources each second, threads ten times.

What was sampled last is what /metrics shows; a reading that is asked for is taken at that moment instead. Variants are
asked for their /stats by other threads, since a busy one may take its time; so are dumps of many sockets.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cgroup
from .errors import BadTarget, Malformed, UnknownTarget
from .host import HOST_SOURCES, Host
from .look import Value, Watched, sum_threads, watch
from .pace import Pace
from .reading import Ledger, Reading, take
from .runtime import ASK_FAILURES
from .target import Target
from .taskstats import Taskstats

SAMPLE_EACH_S = 1.0  # Prometheus scrapes each second
PEAK_EACH_S = 0.1  # a burst of threads shorter than this can be missed
MOST_TARGETS = 64


class Sampler:
    """The targets by name; its methods may be called from any thread."""

    def __init__(self, cgroup_root: Path, proc: Path = Path("/proc"), system: Path = Path("/sys")) -> None:
        self._cgroup_root = cgroup_root
        self._proc = proc
        self._taskstats = Taskstats()
        self._lock = threading.Lock()  # for the two maps, never held while reading
        self._watched: dict[str, Watched] = {}
        self._latest: dict[str, Reading] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._askers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="asker")
        self.ledger = Ledger([*(source.name for source in HOST_SOURCES), "sampler"])
        self.pace = Pace()
        self.host = Host(proc, system, self.ledger, self.pace)

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._stop.set()
        self._thread.join()
        self._askers.shutdown(wait=False, cancel_futures=True)
        self._taskstats.close()

    @property
    def alive(self) -> bool:
        """Whether samples are still being taken."""
        return self._thread.is_alive()

    def register(self, target: Target) -> Reading:
        """Observe the target from now on, in place of an earlier one of that name; return its first sample.

        Raises BadTarget when its processes are not there, its labels are another's, or there are too many.
        """
        watched = watch(target, self._cgroup_root, self._proc)
        with self._lock:
            for name, other in self._watched.items():
                if name != target.name and other.target.labels == target.labels:
                    raise BadTarget(f"{target.name}: its labels are those of {name}; their series would be the same")
            if target.name not in self._watched and len(self._watched) >= MOST_TARGETS:
                raise BadTarget(f"{target.name}: {MOST_TARGETS} targets are registered already; forget one first")
            replaced = self._watched.get(target.name)
            self._watched[target.name] = watched
            self._latest.pop(target.name, None)
        if replaced:
            self._let_go(replaced)
        return self._sample(watched, fresh=False)

    def forget(self, name: str) -> None:
        """Stop observing. Raises UnknownTarget."""
        with self._lock:
            watched = self._watched.pop(name, None)
            self._latest.pop(name, None)
        if watched is None:
            raise UnknownTarget(name)
        self._let_go(watched)

    def read(self, name: str) -> Reading:
        """Return a reading taken now. Raises UnknownTarget."""
        return take(self._get(name), self._taskstats, self.ledger, fresh=True, pace=self.pace)

    def ask_stats(self, name: str) -> bool:
        """Begin to ask the target for its /stats, if it may be asked; do not wait for it. Raises UnknownTarget."""
        watched = self._get(name)
        return watched.target.stats != "never" and self._ask_stats(watched, now=True)

    def own(self) -> Mapping[str, Value]:
        """Return the exporter's own figures, as declared.py names them."""
        seconds, errors = self.ledger.totals()
        counts: dict[str, float] = {source: float(count) for source, count in errors.items()}
        with self._lock:
            instances = [watched.instances.interval_s() for watched in self._watched.values()]
        intervals = dict(self.pace.intervals_s()) | ({"anonymous_fds": max(instances)} if instances else {})
        return {"cpu_s": time.process_time(), "seconds": dict(seconds), "errors": counts, "intervals_s": intervals}

    def _get(self, name: str) -> Watched:
        with self._lock:
            watched = self._watched.get(name)
        if watched is None:
            raise UnknownTarget(name)
        return watched

    def _let_go(self, watched: Watched) -> None:
        watched.is_let_go = True
        watched.sockets.close()
        watched.dumps.close()
        with self._lock:
            if watched.target.name not in self._watched:
                self.pace.forget(watched.target.name)

    def latest(self) -> list[tuple[Target, Reading]]:
        """Return what was sampled last, at most about a second ago."""
        with self._lock:
            return [(self._watched[name].target, reading) for name, reading in self._latest.items()]

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return name -> labels of what is registered."""
        with self._lock:
            return {name: watched.target.labels for name, watched in self._watched.items()}

    def _sample(self, watched: Watched, *, fresh: bool) -> Reading:
        reading = take(watched, self._taskstats, self.ledger, fresh=fresh, pace=self.pace, later=self._askers.submit)
        with self._lock:
            if self._watched.get(watched.target.name) is watched:
                self._latest[watched.target.name] = reading
        return reading

    def _run(self) -> None:
        next_sample_s = time.monotonic()
        awake: list[Watched] = []
        while not self._stop.is_set():
            started_s = time.monotonic()
            try:
                if started_s >= next_sample_s:
                    next_sample_s = max(next_sample_s + SAMPLE_EACH_S, started_s)
                    self.host.sample()
                    awake = self._sample_all()
                else:
                    self._look_for_peaks(awake)
            except Exception:  # noqa: BLE001 - a defect must not end all sampling; it is printed and counted
                self.ledger.failed("sampler")
                traceback.print_exc(file=sys.stderr)
            self._stop.wait(max(0.0, started_s + PEAK_EACH_S - time.monotonic()))

    def _sample_all(self) -> list[Watched]:
        """Sample every target that is not paused, and return those: of the others nothing has changed."""
        with self._lock:
            targets = list(self._watched.values())
        awake = [watched for watched in targets if not _is_frozen(watched)]
        for watched in awake:
            watched.instances.crowd = len(awake)
            reading = self._sample(watched, fresh=False)
            if watched.target.stats == "always" and reading.values.get("up"):
                self._ask_stats(watched, now=False)
        return awake

    def _ask_stats(self, watched: Watched, *, now: bool) -> bool:
        if _is_frozen(watched) or not watched.runtime.begin(now=now):
            return False  # who is paused answers nobody, and would find all the questions later
        self._askers.submit(self._ask, watched)
        return True

    def _ask(self, watched: Watched) -> None:
        started_s = time.perf_counter()
        target = watched.target
        try:
            assert target.listens is not None  # target.py insists on it for whoever is asked
            watched.runtime.ask(target.listens, len(target.containers))
        except ASK_FAILURES:
            if not _is_frozen(watched):  # paused meanwhile: no failure of anybody's
                self.ledger.failed("stats")
        self.ledger.spent("stats", time.perf_counter() - started_s)

    def _look_for_peaks(self, targets: list[Watched]) -> None:
        started_s = time.perf_counter()
        for watched in targets:
            watched.threads_peak = max(watched.threads_peak, sum_threads(watched))
        self.ledger.spent("threads_peak", time.perf_counter() - started_s)


def _is_frozen(watched: Watched) -> bool:
    """Return whether a container of the target is paused; one that is gone is not."""
    try:
        return any(cgroup.is_frozen(dirs) for dirs in watched.dirs)
    except (OSError, Malformed):
        return False
