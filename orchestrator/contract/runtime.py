"""What only a language's runtime can tell of itself in /stats: its keys, and tasks that are the connections'."""

from __future__ import annotations

from .check import Site, counted, keeps
from .talk import Broken, Talk, render
from .waiting import CROWD, FREED_S, settled

# servers/CONTRACT.md, "Routes"; runtimes that are not here promise none.
KEYS = {
    "go": ("goroutines", "gc_cycles", "gc_pause_s", "sched_latency_p99_s"),
    "python": ("loop_lag_s", "gc_cycles"),
    "node": ("loop_lag_s", "gc_cycles", "gc_pause_s"),
    "java": ("jvm_threads", "gc_cycles", "gc_pause_s", "heap_bytes"),
    "erlang": ("processes", "run_queue", "gc_cycles"),
}
# How a manifest's `technique` begins -> the count that a connection adds one to.
TASKS = {
    "goroutine per connection": "goroutines",
    "virtual thread per connection": "jvm_threads",
    "process per connection": "processes",
    "thread per connection": "threads",
}
WITHOUT_LOOP = "thread per connection"  # the declared reason for a loop_lag_s of null
SLACK = 4  # threads that a runtime ends for reasons of its own, while others are counted


@keeps("stats-runtime")
def stats_runtime(site: Site) -> str:
    technique = site.told.technique
    with site.talk() as watch:
        keys = KEYS.get(site.told.runtime, ())
        told = site.stats(watch)
        for key in keys:
            value = told.get(key, "missing")
            if value is None and key == "loop_lag_s" and technique.startswith(WITHOUT_LOOP):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                expected = f"{key}: a number of 0 or more, which runtime {site.told.runtime!r} tells"
                raise Broken(expected, repr(value), watch)
        seen = ", ".join(f"{key} {told[key]}" for key in keys) or "its runtime tells nothing"
        for model, key in TASKS.items():
            if technique.startswith(model):
                return f"{seen}; {rises(site, watch, key)}"
    return seen


def rises(site: Site, watch: Talk, key: str) -> str:
    """See that a count grows with a crowd in /hold: a task for each connection is what the manifest says."""
    settled(site, watch, "active")
    before = counted(site.stats(watch), key)
    crowd: list[Talk] = []
    least, most = before + CROWD - SLACK, [before]

    def too_few() -> str | None:
        most.append(counted(site.stats(watch), key))
        return None if most[-1] >= least else f"{key} {most[-1]}"

    try:
        for _ in range(CROWD):
            crowd.append(site.talk())
            crowd[-1].send(render("/hold"))
        site.last = watch
        site.wait_for(f"{key} {least} or more with {CROWD} in /hold, {before} without", too_few, FREED_S)
    finally:
        for talk in crowd:
            talk.sock.close()
    return f"{key} {before}, with {CROWD} in /hold {most[-1]}"
