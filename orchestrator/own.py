"""Load a variant with a person's own locustfile, or with one scenario alone: a suite of one, made for the occasion.

The file is checked before anything starts, and copied with the modules beside it to where the workers' unprivileged
user can read it. What it may connect to is the workers' guard's to say (docs/architecture.md).
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import BadInput
from orchestrator.model import Lab, Scenario, Suite
from orchestrator.units import shown
from orchestrator.up import state_folder

SUITE = "locustfile"
PREFERRED = "c-epoll"  # whom to load where nobody is named
SETTLE_S = 1.0  # a person's users connect and warm up in here; never recorded
TIMEOUT_S = 10.0
MOST_MODULES = 200  # beside the file; more is somebody's whole project, and it would be copied for each run


def with_own(lab: Lab, path: Path, variants: Sequence[str], users: int, time_s: float) -> Lab:
    """Return the lab with a suite that loads these variants with this many users of the file's classes.

    variants: none for one that every machine has. Raises BadInput for an unknown one, and for a file that is none.
    """
    _check(path)
    chosen = tuple(dict.fromkeys(variants)) or (PREFERRED if PREFERRED in lab.variants else next(iter(lab.variants)),)
    for name in chosen:
        if name not in lab.variants:
            raise BadInput(f"--variant: {shown(name)} is not a variant; write one of: {', '.join(lab.variants)}")
    own = Scenario(
        name=_free_name(lab),
        summary=f"the users of {path.name}",
        kind="closed",
        path="/plain",
        connections=users,
        delay_s=0.0,
        warmup_s=SETTLE_S,
        measure_s=time_s,
        timeout_s=TIMEOUT_S,
        users="locust",
    )
    return _with_suite(replace(lab, scenarios={**lab.scenarios, own.name: own}), own.name, chosen, SUITE)


def with_pairing(lab: Lab, text: str) -> tuple[Lab, str]:
    """Return the lab with a suite for "SCENARIO@VARIANT,VARIANT...", and the suite's name. Raises BadInput."""
    scenario, _, listed = text.partition("@")
    variants = tuple(dict.fromkeys(listed.split(",")))
    wanted = [
        ("scenario", scenario, tuple(lab.scenarios)),
        *(("variant", name, tuple(lab.variants)) for name in variants),
    ]
    for what, name, known in wanted:
        if name not in known:
            raise BadInput(f"{lab.path}: {shown(name)} is not a {what}; write one of: {', '.join(known)}")
    suite = f"{scenario}-{variants[0]}" if len(variants) == 1 else f"{scenario}-of-{len(variants)}"
    return _with_suite(lab, scenario, variants, suite), suite


@contextlib.contextmanager
def laid_out(lab: Lab, path: Path) -> Iterator[Path]:
    """Copy a locustfile and the modules beside it to a folder that everybody can read, and take it away afterwards."""
    state = state_folder(lab.root)
    state.mkdir(parents=True, exist_ok=True)
    # Not every name is a module that is there: an editor's lock is a link to nowhere, and a folder may be called so.
    beside = sorted(module for module in path.resolve().parent.glob("*.py") if module.is_file())
    if len(beside) > MOST_MODULES:
        raise BadInput(
            f"{path}: {len(beside)} modules stand beside it, and they come along; expected at most {MOST_MODULES}. "
            "Put the file into a folder of its own"
        )
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=state))
    try:
        for module in {*beside, path.resolve()}:
            copy = folder / module.name
            try:
                shutil.copyfile(module, copy)
            except PermissionError as error:
                raise BadInput(
                    f"--locustfile {path}: {module} stands beside it and comes along, but {error.strerror}. "
                    "Make it readable, or put the locustfile into a folder of its own"
                ) from None
            copy.chmod(0o644)
        folder.chmod(0o755)
        yield folder / path.resolve().name
    finally:
        shutil.rmtree(folder)


def _check(path: Path) -> None:
    """Raise BadInput for what cannot be a locustfile; whether it has users is seen where it may be run, in a worker."""
    try:
        compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise BadInput(f"--locustfile {path}: {error.strerror}; write the path of a Python file") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise BadInput(f"--locustfile {path}:{line}: {reason}. Try: python3 -m py_compile {path}") from None


def _with_suite(lab: Lab, scenario: str, variants: tuple[str, ...], name: str) -> Lab:
    profile = lab.arena.profile
    suite = Suite(name, f"{scenario} alone", (scenario,), variants, trials=1, profile=profile, seed=1)
    return replace(lab, suites={**lab.suites, name: suite})


def _free_name(lab: Lab) -> str:
    name = SUITE
    while name in lab.scenarios:
        name += "-own"
    return name
