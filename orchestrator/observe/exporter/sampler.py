"""Keep the registered targets and sample them in a thread of its own: all sources each second, threads ten times.

What was sampled last is what /metrics shows; a reading that is asked for is taken at that moment instead.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from .errors import BadTarget, UnknownTarget
from .look import Watched, sum_threads, watch
from .reading import Ledger, Reading, take
from .target import Target
from .taskstats import Taskstats

SAMPLE_EACH_S = 1.0  # Prometheus scrapes each second
PEAK_EACH_S = 0.1  # a burst of threads shorter than this can be missed
MOST_TARGETS = 64


class Sampler:
    """The targets by name; its methods may be called from any thread."""

    def __init__(self, cgroup_root: Path, proc: Path = Path("/proc")) -> None:
        self._cgroup_root = cgroup_root
        self._proc = proc
        self._taskstats = Taskstats()
        self._lock = threading.Lock()  # for the two maps, never held while reading
        self._watched: dict[str, Watched] = {}
        self._latest: dict[str, Reading] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self.ledger = Ledger()

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling and wait for the thread."""
        self._stop.set()
        self._thread.join()
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
            self._watched[target.name] = watched
            self._latest.pop(target.name, None)
        return self._sample(watched, fresh=False)

    def forget(self, name: str) -> None:
        """Stop observing. Raises UnknownTarget."""
        with self._lock:
            if self._watched.pop(name, None) is None:
                raise UnknownTarget(name)
            self._latest.pop(name, None)

    def read(self, name: str) -> Reading:
        """Return a reading taken now. Raises UnknownTarget."""
        with self._lock:
            watched = self._watched.get(name)
        if watched is None:
            raise UnknownTarget(name)
        return take(watched, self._taskstats, self.ledger, fresh=True)

    def latest(self) -> list[tuple[Target, Reading]]:
        """Return what was sampled last, at most about a second ago."""
        with self._lock:
            return [(self._watched[name].target, reading) for name, reading in self._latest.items()]

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Return name -> labels of what is registered."""
        with self._lock:
            return {name: watched.target.labels for name, watched in self._watched.items()}

    def _sample(self, watched: Watched, *, fresh: bool) -> Reading:
        reading = take(watched, self._taskstats, self.ledger, fresh=fresh)
        with self._lock:
            if self._watched.get(watched.target.name) is watched:
                self._latest[watched.target.name] = reading
        return reading

    def _run(self) -> None:
        next_sample_s = time.monotonic()
        while not self._stop.is_set():
            started_s = time.monotonic()
            with self._lock:
                targets = list(self._watched.values())
            try:
                if started_s >= next_sample_s:
                    next_sample_s = max(next_sample_s + SAMPLE_EACH_S, started_s)
                    for watched in targets:
                        self._sample(watched, fresh=False)
                else:
                    self._look_for_peaks(targets)
            except Exception:  # noqa: BLE001 - a defect must not end all sampling; it is printed and counted
                self.ledger.failed("sampler")
                traceback.print_exc(file=sys.stderr)
            self._stop.wait(max(0.0, started_s + PEAK_EACH_S - time.monotonic()))

    def _look_for_peaks(self, targets: list[Watched]) -> None:
        started_s = time.perf_counter()
        for watched in targets:
            watched.threads_peak = max(watched.threads_peak, sum_threads(watched))
        self.ledger.spent("threads_peak", time.perf_counter() - started_s)
