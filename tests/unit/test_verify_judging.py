"""What the contract suite says becomes results, and results a verdict, records and the plan's exceptions."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.model import Lab
from orchestrator.planning.plan import make_plan
from orchestrator.planning.refusal import leave_out
from orchestrator.results.verified import Record, keep_records, read_records, record_key
from orchestrator.verdicts.conformance import CheckResult, Conformance, judged, read_result, second_attempt
from orchestrator.verifying import kept
from orchestrator.verifying.acts import Asked
from orchestrator.verifying.kept import barred, keep, suite_digest, unverified
from orchestrator.verifying.sanitizers import ASAN, RACE, TSAN, judge_log, sanitizers_of, why_not_here
from orchestrator.verifying.suite import all_checks, chosen, require_checks

SOUND = Path(__file__).parent / "broken" / "sound.yaml"
LAB = Path(__file__).resolve().parents[2] / "lab.yaml"
LINE: dict[str, Any] = {
    "id": "plain", "title": "GET /plain", "outcome": "failed", "expected": "200", "seen": "500", "took_s": 0.25,
    "sent_b64": base64.b64encode(b"GET /plain\0").decode(), "received_b64": None, "sent_bytes": 11,
}  # fmt: skip


def check(ident: str, outcome: str = "passed", **changes: Any) -> CheckResult:
    made = read_result({**LINE, "id": ident, "outcome": outcome}, "wire")
    return replace(made, **changes)


def found(*results: CheckResult, unsupported: str = "", variant: str = "c-epoll") -> Conformance:
    return Conformance(variant, f"netpoll-lab/{variant}:ab12", results, unsupported, 12.5)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """This repository's lab with a state folder of its own."""
    return replace(load_lab(LAB), root=tmp_path)


def test_a_line_of_the_suite_becomes_a_result() -> None:
    """Its bytes decoded, its act added; what the suite says besides is let through."""
    assert CheckResult(
        "plain", "GET /plain", "wire", "failed", "200", "500", b"GET /plain\0", b"", 0.25
    ) == read_result(LINE, "wire")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outcome": "fine"}, "outcome 'fine': expected one of passed, failed, declared, skipped"),
        ({"id": None}, "id None: expected text"),
        ({"took_s": "long"}, "took_s 'long': expected seconds"),
        ({"sent_b64": "not base64!"}, "expected base64"),
    ],
)
def test_a_garbled_line_is_named(changes: dict[str, Any], words: str) -> None:
    """A suite of another version must not pass for one that found nothing."""
    with pytest.raises(ValueError, match="expected") as caught:
        read_result({**LINE, **changes}, "wire")

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (found(check("plain"), check("echo", "declared"), check("nul", "skipped")), "kept"),
        (found(check("plain"), check("echo", "failed")), "failed"),
        (found(), "failed"),
        (found(unsupported="io_uring_setup: EPERM"), "unsupported"),
    ],
)
def test_only_what_was_checked_and_did_not_fail_is_kept(one: Conformance, state: str) -> None:
    """Nothing checked is no verdict in favour; a declared deviation is none against."""
    assert state == one.state


def test_a_reason_names_the_first_failures() -> None:
    """Five by name, the rest by number."""
    one = found(*(check(f"check-{n}", "failed") for n in range(7)))

    assert "7 checks failed: check-0, check-1, check-2, check-3, check-4 and 2 more" == one.reason()
    assert "1 check failed: nul" == found(check("nul", "failed")).reason()
    assert "no check was reached" == found().reason()


@pytest.mark.parametrize(
    ("is_kept", "is_declared", "outcome"),
    [(True, False, "passed"), (False, False, "failed"), (False, True, "declared"), (True, True, "failed")],
)
def test_what_is_declared_must_be_lacking(is_kept: bool, is_declared: bool, outcome: str) -> None:
    """Declared and kept all the same is a failure that says what to remove."""
    one = judged(
        "x", "X", "process", is_kept=is_kept, is_declared=is_declared, expected="a", seen="b", took_s=0.0
    )  # fmt: skip

    assert outcome == one.outcome
    assert ("remove it from `lacks`" in one.seen) == (is_kept and is_declared)


def test_what_passes_at_the_second_attempt_says_so() -> None:
    """Passed, with the first attempt beside it; alone in that among those that passed."""
    first, second = check("tcp-nodelay", "failed", seen="39 ms"), check("tcp-nodelay", seen="3 ms")
    one = second_attempt(first, second)

    assert ("passed", "3 ms", first, 0.5) == (one.outcome, one.seen, one.first, one.took_s)
    assert ("kept", (one,)) == (found(check("plain"), one).state, found(check("plain"), one).at_second)


def test_acts_hand_out_their_own_checks_only() -> None:
    """`only` and the acts wanted both narrow it down."""
    asked = Asked(only=frozenset({"plain", "quiet-log"}), acts=("wire", "drain"))

    assert {"plain"} == asked.wants("wire")
    assert frozenset() == asked.wants("drain") == asked.wants("process")
    assert {"quiet-log"} == Asked(only=frozenset({"quiet-log"})).wants("process")
    assert {"drain-exit", "drain-idle"} <= Asked().wants("drain")


def test_every_check_is_listed_once() -> None:
    """Those beside the server and those from outside."""
    ids = [row[1] for row in all_checks()]

    assert len(ids) == len(set(ids))
    assert {"te-with-cl", "drain-exit", "bad-environment", "quiet-log"} <= set(ids)


def test_unknown_names_are_refused(lab: Lab) -> None:
    """A variant, a check, nothing at all, and everything twice."""
    with pytest.raises(BadInput, match="'c-spoll' is not a variant; write one of: "):
        chosen(lab, ["c-spoll"], every=False)
    with pytest.raises(BadInput, match="name a variant, or write --all"):
        chosen(lab, [], every=False)
    with pytest.raises(BadInput, match="exclude each other"):
        chosen(lab, ["c-epoll"], every=True)
    with pytest.raises(BadInput, match="'plane' is no check"):
        require_checks(["plane"])


# --- records ---------------------------------------------------------------------------------------------------------


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


# --- sanitizers ------------------------------------------------------------------------------------------------------

RACY = """seed-c: listening, backlog 100
==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 4 at 0x7ffebe8eb168 by main thread:
    #0 main /src/server.c:95 (seed-tsan+0xd1a6d)
"""


@pytest.mark.parametrize(
    ("sanitizer", "log", "first"),
    [
        (TSAN, RACY, "WARNING: ThreadSanitizer: data race (pid=1)"),
        (ASAN, "x: listening\n==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x60\n", "ERROR: AddressS"),
        (ASAN, "==1==ERROR: LeakSanitizer: detected memory leaks\n", "ERROR: LeakSanitizer: detected memory leaks"),
        (ASAN, "server.c:9:3: runtime error: signed integer overflow\n", "runtime error: signed integer overflow"),
        (RACE, "WARNING: DATA RACE\nRead at 0x00c000\n", "WARNING: DATA RACE"),
    ],
)
def test_a_report_in_the_log_fails(sanitizer: Any, log: str, first: str) -> None:
    """Its beginning is named, its text kept as the bytes received."""
    one = judge_log(sanitizer, cast("Any", SimpleNamespace(lacks=())), log, 0.0)

    assert ("failed", f"no-{sanitizer.name}-report") == (one.outcome, one.id)
    assert one.seen.startswith(f"1 reports, the first: {first}")
    assert first.encode() in one.received


def test_a_quiet_log_passes_and_a_declared_race_is_declared() -> None:
    """The specimen's races are its signature; without one the declaration is wrong."""
    quiet, specimen = (cast("Any", SimpleNamespace(lacks=lacks)) for lacks in ((), ("no-tsan-report",)))

    assert "passed" == judge_log(TSAN, quiet, "x: listening on 127.0.0.1:8080\n", 0.0).outcome
    assert "declared" == judge_log(TSAN, specimen, RACY, 0.0).outcome
    assert "failed" == judge_log(TSAN, specimen, "seed-c: listening, backlog 100\n", 0.0).outcome


def test_a_kernel_with_too_much_randomness_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ThreadSanitizer cannot start there; the others can."""
    bits = tmp_path / "mmap_rnd_bits"
    monkeypatch.setattr("orchestrator.verifying.sanitizers._RANDOM_BITS", bits)

    assert "" == why_not_here(TSAN)  # no such file: not Linux as we know it, and it may try
    bits.write_text("32\n")
    assert "this kernel has 32. Try: sudo sysctl vm.mmap_rnd_bits=28" in why_not_here(TSAN)
    assert "" == why_not_here(ASAN) == why_not_here(RACE)
    bits.write_text("28\n")
    assert "" == why_not_here(TSAN)


def test_of_all_variants_those_with_sanitizers_are_sanitized(lab: Lab) -> None:
    """The others are no fault of who asked for all."""
    assert {"c", "go"} == {variant.runtime for variant in chosen(lab, [], every=True, sanitize=True)}


def test_sanitizers_go_by_runtime(lab: Lab) -> None:
    """Two builds for C, one for Go, none for Python."""
    names = ("c-epoll", "go-nethttp", "py-asyncio")

    assert [["asan", "tsan"], ["race"], []] == [[s.name for s in sanitizers_of(lab.variants[n])] for n in names]
