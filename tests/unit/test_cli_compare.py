"""`lab compare`: verdicts, exit codes, and one line for every question that cannot be answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator import cli
from orchestrator.errors import BadInput
from orchestrator.model import CONTROL, Plan, Run, Thresholds, TrialResult
from orchestrator.report.page.beside import read_beside
from orchestrator.report.page.content import read_run
from orchestrator.results.store import open_store
from orchestrator.verdicts.compare import worth_a_word
from tests.unit.test_verdicts_compare import around, trial

OLD, NEW = "20261122T0-nightly-aaaaaa", "20261123T0-nightly-bbbbbb"


def a_run(run_id: str, throughput: dict[str, Sequence[float]]) -> Run:
    trials: list[TrialResult] = []
    for block in range(len(next(iter(throughput.values())))):
        for variant, values in throughput.items():
            one = trial(block, variant, values[block])
            trials.append(replace(one, spec=replace(one.spec, index=len(trials))))
    return Run(
        run_id, "nightly", run_id, None, {}, Plan("nightly", 1, tuple(t.spec for t in trials), ()), tuple(trials)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two nights: fast stays as it is, slow has become slower by a tenth."""
    (tmp_path / "results").mkdir()
    nights = (
        a_run(OLD, {"fast": around(1000.0, 1), "slow": around(800.0, 2)}),
        a_run(NEW, {"fast": around(1000.0, 3), "slow": around(720.0, 4)}),
    )
    with open_store(tmp_path / "results" / "lab.db") as store:
        for run in nights:
            store.begin_run(run.run_id, run.suite, run.started_at, {}, run.plan)
            for one in run.trials:
                store.add_trial(run.run_id, one)
    return tmp_path


def compare(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.lab, ["--file", str(root / "lab.yaml"), "compare", *arguments])


def test_two_runs_are_compared_pairing_by_pairing_and_the_slower_ends_with_1(root: Path) -> None:
    """The candidate is the second run; what stayed the same is no difference."""
    done = compare(root, OLD, NEW, "--json")
    document = json.loads(done.stdout.partition("\nlab:")[0])
    told = {one["baseline"].split()[0]: one for one in document["verdicts"]}

    assert 1 == done.exit_code
    assert ("no difference", "worse") == (told["fast"]["verdict"], told["slow"]["verdict"])
    assert told["slow"]["low"] < 0.9 < told["slow"]["high"]
    assert f"lab: worse: slow in {NEW} on plain: throughput" in done.output
    assert [] == document["tiers"]


def test_variants_of_a_run_are_compared_block_by_block(root: Path) -> None:
    """The newest run unless one is named; a better candidate ends with 0, the table draws the interval."""
    newest, older = compare(root, "--variants", "slow", "fast"), compare(root, OLD, "--variants", "slow", "fast")

    assert (0, 0) == (newest.exit_code, older.exit_code)
    assert "better" in newest.output
    assert "█" in newest.output or "#" in newest.output


def test_a_report_in_json_says_what_the_page_says(root: Path) -> None:
    """Of each run its sentences and tiers, of the later one its verdicts against the first: the page's own, all."""
    report = ["--file", str(root / "lab.yaml"), "report", "--format", "json", "--out", "-"]
    older, newer = json.loads(CliRunner().invoke(cli.lab, [*report, OLD, NEW]).stdout)
    alone = json.loads(CliRunner().invoke(cli.lab, report).stdout)
    with open_store(root / "results" / "lab.db") as store:
        runs = [store.read_run(OLD), store.read_run(NEW)]
    pages, beside = [read_run(run) for run in runs], read_beside(runs, worth_a_word(Thresholds()))

    assert beside is not None
    assert [list(page.sentences) for page in pages] == [one["verdict"]["sentences"] for one in (older, newer)]
    assert [["fast"], ["slow"]] == newer["verdict"]["tiers"][0]["tiers"]
    (row,) = pages[1].tables[0].rows
    assert ["fast", "slow"] == [cell.text.partition(" ")[0] for cell in row[2:]]
    assert (None, OLD, beside.sentences[0]) == (older["beside"], newer["beside"]["run_id"], newer["beside"]["sentence"])
    assert [one.word for one in beside.judged[0][1]] == [one["verdict"] for one in newer["beside"]["verdicts"]]
    assert {"no difference", "worse"} == {one["verdict"] for one in newer["beside"]["verdicts"]}
    assert newer | {"beside": None} == alone


def test_what_is_not_worth_a_word_is_no_regression(root: Path) -> None:
    """A threshold of 20 % lets a tenth pass."""
    assert 0 == compare(root, OLD, NEW, "--threshold", "20").exit_code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((OLD,), "expected two runs, saw 1"),
        ((OLD, OLD), "are the same run"),
        (("--variants", "fast"), "expected two names or more, saw 1"),
        (("--variants", "fast", "nobody"), "no variant 'nobody' in this run; it has fast, slow"),
        ((OLD, "--variants", "fast"), "expected two of fast, slow, saw fast"),
        (("--variants", "fast", "fast"), "expected each variant once, saw fast twice"),
        ((OLD, "--variants", "fast", "slow", "slow"), f"saw slow twice; {OLD} has fast, slow."),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(root: Path, arguments: tuple[str, ...], said: str) -> None:
    """Who, expected, seen, next step."""
    done = compare(root, *arguments)

    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)
    assert 1 == len(str(done.exception).splitlines())


def test_a_variant_and_its_a_a_control_are_two(root: Path) -> None:
    """One image under two names: what lab nightly compares every night may be asked for, too."""
    aa = a_run("20261124T0-nightly-eeeeee", {"fast": around(1000.0, 5), f"fast{CONTROL}": around(1000.0, 6)})
    keep(root, aa)
    done = compare(root, "20261124", "--variants", "fast", f"fast{CONTROL}")

    assert 0 == done.exit_code, done.output
    assert "no difference" in done.output


def test_without_results_it_says_how_to_get_some(tmp_path: Path) -> None:
    """Six trials of each, because fewer decide nothing."""
    done = compare(tmp_path, OLD, NEW)

    assert "there are no results yet. Next: lab run quick --trials 6" in str(done.exception)


def test_too_few_trials_are_undecided_and_end_with_4(root: Path) -> None:
    """Five blocks tell nothing, whatever they show."""
    few = a_run("20261124T0-nightly-cccccc", {"fast": [1000.0] * 5, "slow": [500.0] * 5})
    with open_store(root / "results" / "lab.db") as store:
        store.begin_run(few.run_id, few.suite, few.started_at, {}, few.plan)
        for one in few.trials:
            store.add_trial(few.run_id, one)
    done = compare(root, "20261124", "--variants", "fast", "slow")

    assert 4 == done.exit_code
    assert "lab: undecided: slow on plain: 5 blocks have both; 6 are needed" in done.output


def test_thresholds_of_the_lab_file_decide_what_is_worth_a_word(root: Path) -> None:
    """A tenth of throughput passes where the file allows 20 %; a scenario's own comes before everywhere's."""
    (root / "servers" / "c-epoll").mkdir(parents=True)
    broken = Path(__file__).parent / "broken"
    (root / "servers" / "c-epoll" / "variant.toml").write_bytes(
        (broken / "servers" / "c-epoll" / "variant.toml").read_bytes()
    )
    text = (broken / "sound.yaml").read_text(encoding="utf-8")
    lab = root / "lab.yaml"
    lab.write_text(text + "thresholds:\n  everywhere: {throughput: 20%}\n", encoding="utf-8")
    assert 0 == compare(root, OLD, NEW).exit_code
    both = "thresholds:\n  everywhere: {throughput: 20%}\n  scenarios: {plain: {throughput: 4%}}\n"
    lab.write_text(text + both, encoding="utf-8")
    assert 1 == compare(root, OLD, NEW).exit_code


def test_three_variants_are_put_into_tiers(root: Path) -> None:
    """Besides each against the first: who cannot be told apart shares a tier."""
    night = a_run("20261125T0-nightly-dddddd", {"a": around(1000.0, 1), "b": around(998.0, 2), "c": around(700.0, 3)})
    with open_store(root / "results" / "lab.db") as store:
        store.begin_run(night.run_id, night.suite, night.started_at, {}, night.plan)
        for one in night.trials:
            store.add_trial(night.run_id, one)
    done = compare(root, "--variants", "c", "a", "b")
    (tiers,) = json.loads(compare(root, "--variants", "c", "a", "b", "--json").stdout)["tiers"]

    assert 0 == done.exit_code
    assert ("plain", "throughput_per_s", [["a", "b"], ["c"]]) == (
        tiers["scenario"], tiers["figure"], [sorted(group) for group in tiers["tiers"]]
    )  # fmt: skip
    assert ([], [], True) == (tiers["bounds"], tiers["left_out"], tiers["typical"]["a"] > tiers["typical"]["c"])
    assert any(line.rstrip().endswith(("1. a, b  2. c", "1. b, a  2. c")) for line in done.output.splitlines())


def keep(root: Path, *runs: Run) -> None:
    with open_store(root / "results" / "lab.db") as store:
        for run in runs:
            store.begin_run(run.run_id, run.suite, run.started_at, {}, run.plan)
            for one in run.trials:
                store.add_trial(run.run_id, one)


def void(run: Run, variant: str, why: str) -> Run:
    trials = (replace(one, void=why) if one.spec.variant == variant else one for one in run.trials)
    return replace(run, trials=tuple(trials))


def test_a_pairing_without_a_figure_on_either_side_ends_with_4(root: Path) -> None:
    """Every trial of slow is void in both runs: nothing can be said of it, whatever fast shows."""
    runs = (a_run(f"2026112{n}T0-nightly-{n:06x}", {"fast": around(1e3, n), "slow": around(800.0, n)}) for n in (6, 7))
    keep(root, *(void(run, "slow", "a worker died") for run in runs))
    done = compare(root, "20261126", "20261127")

    assert 4 == done.exit_code
    assert "lab: undecided: slow in 20261127T0-nightly-000007 on plain: neither side has a figure" in done.output


def test_what_this_machine_refuses_on_both_sides_is_passed_over_where_something_else_ran(root: Path) -> None:
    """As of a run: unsupported counts only where there is nothing else."""
    runs = [a_run(f"2026112{n}T0-nightly-{n:06x}", {"fast": around(1e3, n), "slow": around(800.0, n)}) for n in (6, 7)]
    refused = [void(run, "slow", "unsupported: io_uring: EPERM") for run in runs]
    alone = [void(replace(run, run_id=f"{run.run_id}-0"), "fast", "unsupported: x") for run in refused]
    keep(root, *refused, *alone)

    assert 0 == compare(root, "20261126T0-nightly-000006", "20261127T0-nightly-000007").exit_code
    assert 4 == compare(root, "20261126T0-nightly-000006-0", "20261127T0-nightly-000007-0").exit_code


def test_an_a_a_control_is_the_floor_and_no_candidate(root: Path) -> None:
    """Two nights: the second name is not compared; what it differed by hides a difference that is no larger."""
    old = a_run("20261126T0-nightly-000006", {"fast": around(1e3, 1), "fast~control": around(1e3, 2)})
    new = a_run("20261127T0-nightly-000007", {"fast": around(940.0, 3), "fast~control": around(850.0, 4)})
    keep(root, old, new)
    done = compare(root, "20261126", "20261127", "--json")

    assert 0 == done.exit_code
    assert [("fast in 20261127T0-nightly-000007", "no difference")] == [
        (one["candidate"], one["verdict"]) for one in json.loads(done.stdout)["verdicts"]
    ]
