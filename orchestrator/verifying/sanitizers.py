"""Build a variant with a sanitizer, and read what that reported from the server's log.

C: AddressSanitizer with UndefinedBehaviorSanitizer, and a second time ThreadSanitizer, which cannot share a program
with them; Go: its race detector, which is ThreadSanitizer too. Their runtimes are linked in statically, so that the
image differs by the program alone. All run under the engine's default seccomp profile, unprivileged and read-only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.containers.images import Recipe
from orchestrator.errors import BadInput
from orchestrator.model import Variant
from orchestrator.verdicts.conformance import CheckResult, judged

ACT = "sanitizer"
ACTS = ("crowd", "linger", "wire", "starve", "drain")
CONNECTIONS = 2000  # of the crowd act: at a tenth of the speed the suite's 10,000 would take minutes, and show no more
PATIENCE = 6.0
_REPORT_MOST = 6000  # bytes kept of what was reported

# How each report begins; everything else in a log is the server's own.
_REPORT = re.compile(
    r"WARNING: ThreadSanitizer|ERROR: \w*Sanitizer|\w+Sanitizer:DEADLYSIGNAL|WARNING: DATA RACE|runtime error: "
)
# ThreadSanitizer's memory layout leaves room for 28 bits of mmap's randomness (gcc 14's tsan_platform.h, x86-64).
_MOST_RANDOM_BITS = 28
_RANDOM_BITS = Path("/proc/sys/vm/mmap_rnd_bits")


@dataclass(frozen=True, slots=True)
class Sanitizer:
    """One way of building. flag: what the runtime's Dockerfile is told as SANITIZE."""

    name: str
    flag: str
    title: str
    environment: tuple[tuple[str, str], ...]  # with exitcode=0: a report is judged by its text, the end by itself

    @property
    def check(self) -> str:
        """Return the id of the check that nothing was reported."""
        return f"no-{self.name}-report"


ASAN = Sanitizer(
    "asan",
    "address,undefined",
    "AddressSanitizer and UndefinedBehaviorSanitizer report nothing",
    (("ASAN_OPTIONS", "detect_leaks=1:exitcode=0"), ("UBSAN_OPTIONS", "print_stacktrace=1")),
)
TSAN = Sanitizer("tsan", "thread", "ThreadSanitizer reports nothing", (("TSAN_OPTIONS", "exitcode=0"),))
RACE = Sanitizer("race", "race", "Go's race detector reports nothing", (("GORACE", "exitcode=0"),))
_BY_RUNTIME = {"c": (ASAN, TSAN), "go": (RACE,)}


def sanitizers_of(variant: Variant) -> Sequence[Sanitizer]:
    """Return the ways to build a variant, none where its language has none."""
    return _BY_RUNTIME.get(variant.runtime, ())


def sanitizer_checks() -> list[tuple[str, str]]:
    """Return (id, title) of the check that each of them adds."""
    return [(one.check, one.title) for ways in _BY_RUNTIME.values() for one in ways]


def require_sanitizers(variants: Sequence[Variant]) -> None:
    """Raise BadInput for a variant that has none."""
    for variant in variants:
        if not sanitizers_of(variant):
            what = f"is written for runtime '{variant.runtime}'" if variant.runtime else "is an existing image"
            raise BadInput(
                f"--sanitize: {variant.name} {what}; sanitizers are known for: {', '.join(sorted(_BY_RUNTIME))}"
            )


def sanitized_recipe(recipe: Recipe, sanitizer: Sanitizer) -> Recipe:
    """Return the recipe of the same variant with a sanitizer, an image of its own name."""
    return replace(
        recipe, name=f"{recipe.name}-{sanitizer.name}", arguments={**recipe.arguments, "SANITIZE": sanitizer.flag}
    )


def why_not_here(sanitizer: Sanitizer) -> str:
    """Return why a sanitizer cannot run on this machine, "" where it can.

    With more randomness than its layout has room for gcc's ThreadSanitizer ends at once ("unexpected memory mapping").
    Only turning the randomness off for the process would help; personality(2) with that flag is refused by the
    engine's default seccomp profile, which is not widened for this: the kernel's setting can be lowered instead.
    """
    if sanitizer is not TSAN or not _RANDOM_BITS.exists():
        return ""
    bits = int(_RANDOM_BITS.read_text())
    if bits <= _MOST_RANDOM_BITS:
        return ""
    return (
        f"ThreadSanitizer needs vm.mmap_rnd_bits of at most {_MOST_RANDOM_BITS}, this kernel has {bits}. "
        f"Try: sudo sysctl vm.mmap_rnd_bits={_MOST_RANDOM_BITS}"
    )


def judge_log(sanitizer: Sanitizer, variant: Variant, log: str, took_s: float) -> CheckResult:
    """Return whether anything was reported; what was is kept as the bytes received."""
    starts = [found.start() for found in _REPORT.finditer(log)]
    report = log[max(0, starts[0] - 80) :][:_REPORT_MOST] if starts else ""
    first = report[report.find(log[starts[0] : starts[0] + 20]) :].splitlines()[0] if starts else ""
    return judged(
        sanitizer.check, sanitizer.title, ACT, is_kept=not starts, is_declared=sanitizer.check in variant.lacks,
        expected="no report on stderr", seen=f"{len(starts)} reports, the first: {first}" if starts else "none",
        took_s=took_s, received=report.encode(),
    )  # fmt: skip
