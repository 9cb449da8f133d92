"""The two servers that the calibration compares: one program in one image, told two paces.

What a pace is, and why the ratio of the two is known: bench/variants/paced/server.c.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.model import Lab
from orchestrator.run import with_variants

BASELINE, SLOWED = "paced", "paced-slower"
_PACE_PERCENT = {BASELINE: 100, SLOWED: 120}  # how long it spins, of the time that serving took; 100 unless told
TRUTH = (100 + _PACE_PERCENT[BASELINE]) / (100 + _PACE_PERCENT[SLOWED])  # of a saturated loop's throughput: 1 / 1.1


def with_slower(lab: Lab) -> Lab:
    """Return the lab in which the arena, and every suite that runs the baseline, also has it slower by a tenth."""
    slower = replace(
        lab.variants[BASELINE], name=SLOWED, same_as=BASELINE, environment={"PACE_PERCENT": str(_PACE_PERCENT[SLOWED])}
    )
    suites = {
        name: replace(suite, variants=(*suite.variants, SLOWED)) if BASELINE in suite.variants else suite
        for name, suite in lab.suites.items()
    }
    return with_variants(replace(lab, variants={**lab.variants, SLOWED: slower}, suites=suites), [SLOWED])
