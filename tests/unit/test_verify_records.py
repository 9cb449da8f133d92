"""What was found is kept under image, suite and exceptions, and bars or lets through by that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.model import Lab
from orchestrator.planning.plan import make_plan
from orchestrator.planning.refusal import leave_out
from orchestrator.results.verified import Record, keep_records, read_records, record_key
from orchestrator.verifying import kept
from orchestrator.verifying.kept import barred, keep, suite_digest, unverified
from tests.unit.conformances import check, found, lab

__all__ = ["lab"]  # pytest finds the fixture by this name

SOUND = Path(__file__).parent / "broken" / "sound.yaml"


def test_records_come_back_and_new_ones_replace_old(tmp_path: Path) -> None:
    """Kept across commands, under image, suite and what is declared."""
    first, second = Record("a", "failed", "1 check failed: nul", "t1"), Record("a", "kept", "", "t2")
    keep_records(tmp_path / "state", {"k": first, "other": second})
    keep_records(tmp_path / "state", {"k": second})

    assert {"other": second, "k": second} == read_records(tmp_path / "state")
    assert [tmp_path / "state" / "verified.json"] == list((tmp_path / "state").iterdir())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"k": {"variant": "a"}}', "null"])
def test_a_damaged_file_holds_no_records(tmp_path: Path, text: str) -> None:
    """Nobody is barred by what cannot be read; the next verification writes it anew."""
    (tmp_path / "verified.json").write_text(text)

    assert {} == read_records(tmp_path)


def test_image_suite_and_declarations_each_change_the_key() -> None:
    """In whatever order `lacks` is written."""
    keys = {
        record_key("image:1", "suite1", ["a", "b"]), record_key("image:2", "suite1", ["a", "b"]),
        record_key("image:1", "suite2", ["a", "b"]), record_key("image:1", "suite1", ["a"]),
    }  # fmt: skip

    assert 4 == len(keys)
    assert record_key("i", "s", ["b", "a"]) == record_key("i", "s", ["a", "b"])


def test_a_failed_image_is_barred_until_it_changes(lab: Lab) -> None:
    """The same image is left out with the reason, a rebuilt one and a passing one are not, nor an unsupported one."""
    names = list(lab.variants)[:3]
    bad, good, odd = names
    images = {name: f"netpoll-lab/{name}:ab12" for name in names}
    keep(
        lab,
        [
            found(check("nul", "failed"), variant=bad),
            found(check("nul"), variant=good),
            found(unsupported="no", variant=odd),
        ],
        suite_digest(),
    )

    assert {bad: f"failed verification: 1 check failed: nul. Try: lab verify {bad}"} == barred(lab, names, images)
    assert {} == barred(lab, names, {**images, bad: "netpoll-lab/x:cd34"})


def test_who_was_never_verified_is_known(lab: Lab) -> None:
    """No record of the present image, whatever there is of an older one; a failure and a refusal are records too."""
    names = list(lab.variants)[:4]
    images = {name: f"netpoll-lab/{name}:ab12" for name in names}
    first, second, third, fourth = names
    keep(
        lab,
        [
            found(check("nul", "failed"), variant=first),
            found(check("nul"), variant=second),
            found(unsupported="no", variant=third),
        ],
        suite_digest(),
    )
    existing = replace(lab, variants={**lab.variants, fourth: replace(lab.variants[fourth], image="my/app:1")})

    assert [fourth] == unverified(lab, names, images)
    assert [second, fourth] == unverified(lab, names, {**images, second: "netpoll-lab/x:cd34"})
    assert [] == unverified(existing, names, images)


def test_a_changed_suite_bars_nobody(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older suite found is no verdict of this one."""
    name = next(iter(lab.variants))
    keep(lab, [found(check("nul", "failed"), variant=name)], suite_digest())
    monkeypatch.setattr(kept, "suite_digest", lambda: "another")

    assert {} == barred(lab, [name], {name: f"netpoll-lab/{name}:ab12"})


def test_who_is_barred_leaves_the_plan_with_the_reason() -> None:
    """The others keep their order, numbered anew from 0; the pairings that go stand under left out."""
    plan = make_plan(load_lab(SOUND), "quick", nofile_granted=None)
    victim = plan.trials[0].variant
    rest = leave_out(plan, {victim: "failed verification: x", "nobody": "y"})

    assert [t.variant for t in plan.trials if t.variant != victim] == [t.variant for t in rest.trials]
    assert list(range(len(rest.trials))) == [t.index for t in rest.trials]
    gone = [out for out in rest.left_out if out not in plan.left_out]
    assert {(victim, "failed verification: x")} == {(out.variant, out.reason) for out in gone}
    assert {t.scenario for t in plan.trials if t.variant == victim} == {out.scenario for out in gone}
    assert plan == leave_out(plan, {})
