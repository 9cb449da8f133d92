"""The two servers that the calibration compares: one program in one image, told two paces.

What a pace is, and why the ratio of the two is known: bench/variants/paced/server.c.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model import Lab

BASELINE, SLOWER = "paced", "paced-slower"
_PACE_PERCENT = {BASELINE: 100, SLOWER: 120}  # how long it spins, of the time that serving took; 100 unless told
TRUTH = (100 + _PACE_PERCENT[BASELINE]) / (100 + _PACE_PERCENT[SLOWER])  # of a saturated loop's throughput: 1 / 1.1


def with_slower(lab: Lab) -> Lab:
    """Return the lab in which the arena, and every suite that runs the baseline, also has it slower by a tenth."""
    slower = replace(
        lab.variants[BASELINE], name=SLOWER, same_as=BASELINE, environment={"PACE_PERCENT": str(_PACE_PERCENT[SLOWER])}
    )
    suites = {
        name: replace(suite, variants=(*suite.variants, SLOWER)) if BASELINE in suite.variants else suite
        for name, suite in lab.suites.items()
    }
    arena = replace(lab.arena, variants=(*lab.arena.variants, SLOWER))  # whom the swarm's master knows
    return replace(lab, variants={**lab.variants, SLOWER: slower}, suites=suites, arena=arena)
