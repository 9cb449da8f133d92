"""The command line: every failure is one line and a documented exit code, and what touches nothing touches nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from docker.errors import DockerException

from orchestrator import cli, errors
from orchestrator.config.load import load_lab
from orchestrator.model import Metrics, Plan, Run, TrialResult
from orchestrator.planning.control import with_control
from orchestrator.planning.plan import make_plan
from orchestrator.report import figures
from orchestrator.report.remaining import loaded_s
from orchestrator.report.text import PageRow, VariantRow
from orchestrator.results.codec import encode
from orchestrator.results.store import open_store
from orchestrator.run import Scripted, judge
from tests.unit.test_config_load import write_lab, write_manifest

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).parent / "broken"
BROKEN_FILES = sorted(path.stem for path in BROKEN.glob("*.yaml") if path.stem != "sound")
SOUND = str(BROKEN / "sound.yaml")
VERBS = sorted(cli.lab.commands)


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: object
    out: str
    err: str


class Command:
    """Runs `lab` in this process, on an engine that only notes whether anybody called."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, called: socket.socket):
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self._called = called

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["lab", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self._capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    @property
    def engine_was_called(self) -> bool:
        """Whether anybody connected to DOCKER_HOST; a connection waits in the backlog until it is taken."""
        try:
            self._called.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command in an empty folder, with 160 columns and no engine behind DOCKER_HOST."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)
        yield Command(capsys, monkeypatch, listener)
    signal.signal(signal.SIGTERM, before)


def raising(error: BaseException) -> object:
    """Return a story function that fails."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


def words(text: str) -> str:
    """Return a text with every run of blanks as one."""
    return " ".join(text.split())


def make_run(finished: dict[str, str | None]) -> Run:
    """Return a run of one trial for each variant of sound.yaml's plan. finished: variant -> void reason or None."""
    plan = make_plan(load_lab(Path(SOUND)), "quick", nofile_granted=None)
    first = {spec.variant: spec for spec in reversed(plan.trials)}
    specs = tuple(first[name] for name in finished)
    trials = tuple(
        TrialResult(spec, finished[spec.variant], Metrics(), {}, {}, (), (), "2026-11-23T08:20:36Z", 8.0, 4.0)
        for spec in specs
    )
    return Run("20261123T082036Z-quick-ab12cd", "quick", "a", "b", {}, Plan("quick", 1, specs, ()), trials)


# --- a broken lab file -----------------------------------------------------------------------------------------------


@pytest.mark.timeout(30)
@pytest.mark.parametrize("verb", ["check", "plan", "up"])
@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_lab_file_ends_every_verb_before_anything_starts(lab: Command, name: str, verb: str) -> None:
    """Exit code 2, one line that names the file, no word on stdout, no call to the engine, nothing written."""
    file = BROKEN / f"{name}.yaml"
    done = lab("--file", str(file), verb)

    assert (2, "", 1, False) == (done.code, done.out, len(done.err.splitlines()), "Traceback" in done.err)
    assert f"lab: {file}:" == done.err[: len(f"lab: {file}:")]
    assert ("\n", True) == (done.err[-1], done.err[:-1].isprintable())
    assert (False, ["s"], False) == (lab.engine_was_called, files_here(), (BROKEN / ".lab").exists())


def test_a_broken_lab_file_ends_a_real_process_alike() -> None:
    """From the shell it is no other."""
    file = BROKEN / "tab.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--file", str(file), "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (2, "", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert f"lab: {file}:6: expected YAML" == done.stderr[: len(f"lab: {file}:6: expected YAML")]


@pytest.mark.parametrize("verb", ["build", "run", "status"])
def test_a_missing_lab_file_is_bad_input(lab: Command, verb: str) -> None:
    """Also for the verbs that would have begun with the engine."""
    done = lab("--file", "nowhere.yaml", verb)

    assert Done(2, "", "lab: nowhere.yaml: expected a lab file, found nothing there; check the path\n") == done
    assert not lab.engine_was_called


def test_a_sound_lab_file_is_in_order(lab: Command) -> None:
    """One line on stdout with what is declared; nothing is touched."""
    done = lab("--file", SOUND, "check")

    said = f"{SOUND}: 2 variants, 2 scenarios, 1 suites, 1 profiles: all in order\n"
    assert Done(0, said, "") == done
    assert (False, ["s"]) == (lab.engine_was_called, files_here())


def files_here() -> list[str]:
    """Return the names in the working folder."""
    return sorted(path.name for path in Path.cwd().iterdir())


# --- help ------------------------------------------------------------------------------------------------------------


def examples_of(verb: str) -> list[list[str]]:
    """Return the words of each example in a verb's help."""
    epilog = cli.lab.commands[verb].epilog or ""
    label, _, examples = epilog.partition(": ")
    assert label in ("Example", "Examples")
    return [shlex.split(example) for example in examples.split(", ")]


def test_the_verbs_are_these() -> None:
    """A new one is named here, on purpose."""
    expected = [
        "baseline",
        "build",
        "check",
        "compare",
        "down",
        "export",
        "gc",
        "grafana",
        "import",
        "new",
        "nightly",
        "plan",
        "report",
        "run",
        "show",
        "status",
        "tune",
        "up",
        "verify",
        "watch",
    ]

    assert expected == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_examples_that_parse(lab: Command, verb: str) -> None:
    """Help needs neither lab file nor engine; every example is a line of this very verb."""
    done = lab(verb, "--help")

    assert (0, "", f"Usage: lab {verb}") == (done.code, done.err, done.out[: len(f"Usage: lab {verb}")])
    epilog = words(cli.lab.commands[verb].epilog or "no examples")
    assert epilog == words(done.out)[-len(epilog) :]
    for example in examples_of(verb):
        assert ["lab", verb] == example[:2]
        cli.lab.commands[verb].make_context(verb, example[2:])  # raises where it does not parse
    assert not lab.engine_was_called


def test_help_lists_every_verb_and_what_the_exit_codes_mean(lab: Command) -> None:
    """Every code of the error tree is among them."""
    done = lab("--help")
    listed = re.findall(r"^  (\w+)  +\S", done.out.partition("Commands:")[2], re.MULTILINE)
    codes = "0 fine, 1 regression or failed verification, 2 bad input, 3 environment, 4 void or undecided,"
    codes += " 130 interrupted."

    assert (0, VERBS) == (done.code, listed)
    assert f"Exit codes: {codes}" == words(done.out)[-len(f"Exit codes: {codes}") :]
    tree: list[type[errors.LabError]] = [errors.LabError, *errors.LabError.__subclasses__()]
    assert {1, 2, 3, 4} == {error.exit_code for error in tree}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nope"], "Error: No such option '--nope'."),
        (["plna"], "Error: No such command 'plna'."),
        (["run", "--trials", "0"], "Error: Invalid value for '--trials': 0 is not in the range 1<=x<=1000."),
        (["plan", "quick", "smoke"], "Error: Got unexpected extra argument (smoke)"),
    ],
)
def test_a_mistyped_command_is_bad_input(lab: Command, arguments: list[str], said: str) -> None:
    """Usage and what is wrong, on stderr."""
    done = lab(*arguments)

    assert (2, "", said) == (done.code, done.out, done.err.splitlines()[-1][: len(said)])


# --- plan ------------------------------------------------------------------------------------------------------------


def test_plan_quick_names_what_is_left_out_and_why(lab: Command) -> None:
    """The seeds have no answer at once; the other trials remain; nothing is touched."""
    done = lab("--file", str(ROOT / "lab.yaml"), "plan", "quick")
    trials, _, left_out = done.out.partition("Left out: 4")

    assert (0, "", "Plan of suite quick: 28 trials, seed 1,") == (done.code, done.err, done.out[:39])
    assert [str(n) for n in range(1, 29)] == re.findall(r"^(\d+) ", trials, re.MULTILINE)
    assert [
        "variant scenario reason",
        "seed-go plain knows one answer only, after a fixed delay; plain asks for /plain at once",
        "seed-c plain speaks the raw line protocol; plain asks for HTTP /plain",
        "seed-go open-quick knows one answer only, after a fixed delay; open-quick asks for /plain at once",
        "seed-c open-quick speaks the raw line protocol; open-quick asks for HTTP /plain",
    ] == [words(line) for line in left_out.splitlines() if line.strip()]
    assert (False, ["s"]) == (lab.engine_was_called, files_here())


def _without(document: Any, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a plan's trials but for what depends on the machine."""
    return [{key: value for key, value in trial.items() if key not in keys} for trial in document["trials"]]


def test_plan_as_json_is_the_plan(lab: Command) -> None:
    """The whole of it, and beside it what limits the trials on this machine."""
    file = ROOT / "lab.yaml"
    done = lab("--file", str(file), "plan", "quick", "--json")
    document = json.loads(done.out)

    assert (0, "") == (done.code, done.err)
    bare = encode(make_plan(load_lab(file), "quick", nofile_granted=None))
    foreseen = ("bounds", "predicted", "limit", "binds", "server_processes", "workers", "why_processes")
    assert _without(bare, foreseen) == _without(document, foreseen)
    assert {"server descriptors", "source ports", "memory", "conntrack", "generator CPU"} <= {
        bound["name"] for bound in document["trials"][0]["bounds"]
    }
    assert ("quick", 28, ["seed-go", "seed-c"] * 2) == (
        document["suite"],
        len(document["trials"]),
        [out["variant"] for out in document["left_out"]],
    )


def test_the_nightlys_suite_is_planned_with_its_control(lab: Command) -> None:
    """Its trials, in the order of the night, are counted and timed; another suite has none."""
    file = ROOT / "lab.yaml"
    read = load_lab(file)
    assert read.nightly is not None
    both = with_control(read, "nightly", read.nightly.control)
    trials = make_plan(both, "nightly", nofile_granted=None).trials
    own = [spec for spec in trials if spec.variant == "c-epoll~control"]
    every, added = (sum(loaded_s(read.scenarios[spec.scenario]) for spec in some) for some in (trials, own))
    drawn = lab("--file", str(file), "plan", "nightly").out
    night, quick = (json.loads(lab("--file", str(file), "plan", name, "--json").out) for name in ("nightly", "quick"))

    title = f"Plan of suite nightly: {len(trials)} trials, seed 1, {figures.long_duration(every)} under load"
    assert title == drawn.splitlines()[0].strip()
    assert [(t.variant, t.scenario) for t in trials] == [(t["variant"], t["scenario"]) for t in night["trials"]]
    said = "c-epoll~control is c-epoll once more, the A/A control of lab nightly: "
    assert f"{said}{len(own)} of these trials, {figures.long_duration(added)} of the time under load" in words(drawn)
    assert (["c-epoll~control"], []) == (night["controls"], quick["controls"])
    assert len(trials) == len(read.suites["nightly"].variants) * len(own) + len(own)


def test_an_unknown_suite_is_refused_with_the_known_ones(lab: Command) -> None:
    """`plan` says what to write."""
    done = lab("--file", SOUND, "plan", "quik")

    assert Done(2, "", f"lab: {SOUND}: 'quik' is not a suite; write one of: quick\n") == done


def test_an_unknown_suite_is_not_run(lab: Command) -> None:
    """Neither lock nor engine is touched before the name is known."""
    done = lab("--file", SOUND, "run", "quik")

    assert Done(2, "", f"lab: {SOUND}: no suite 'quik'; known: quick\n") == done
    assert (False, False) == (lab.engine_was_called, (BROKEN / ".lab").exists())


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_without_results_names_the_next_step(lab: Command) -> None:
    """Bad input, and no database is made by looking for one."""
    done = lab("show")

    assert (2, "", "/results/lab.db: there are no results yet. Next: lab run quick\n") == (
        done.code,
        done.out,
        done.err[-63:],
    )
    assert (1, ["s"]) == (len(done.err.splitlines()), files_here())


def test_show_finds_a_run_by_the_beginning_of_its_id(lab: Command) -> None:
    """The list names it; a beginning that none has is bad input."""
    run = make_run({"c-epoll": "no worker", "seed-c": None})
    Path("results").mkdir()
    with open_store(Path("results/lab.db")) as store:
        store.begin_run(run.run_id, "quick", "a", {}, run.plan)
        store.add_trial(run.run_id, run.trials[0])

    state = f"unfinished: 1 of 2 trials kept; go on with: lab run --resume {run.run_id}"
    assert Done(0, f"{run.run_id}  quick  {state}\n", "") == lab("show", "--list")
    assert run.run_id == json.loads(lab("show", "--json", "20261123").out)["run_id"]
    assert (2, "", 1) == ((done := lab("show", "2027")).code, done.out, len(done.err.splitlines()))


@pytest.mark.parametrize(
    "more", [["--trials", "2"], ["--seed", "1"], ["--locustfile", "x.py"], ["--users", "5"], ["--variant", "c-epoll"]]
)
def test_a_run_is_resumed_as_it_was_planned(lab: Command, more: list[str]) -> None:
    """Whatever would change the plan is refused before anything starts."""
    done = lab("--file", SOUND, "run", "--resume", *more)

    assert (2, False) == (done.code, lab.engine_was_called)
    assert Done(2, "", done.err) == done
    assert done.err.startswith("lab: --resume goes on with a run as it was planned")


def test_a_resumed_run_ends_as_any_other(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's name and --attempt reach the story; tables and exit code are those of `lab run`."""
    asked: list[object] = []

    def resumed(_lab: object, wanted: str | None, *_: object, attempt: bool) -> Scripted:
        asked.append((wanted, attempt))
        return Scripted(judge(make_run({"c-epoll": "no worker"})), 1.25)

    monkeypatch.setattr(cli.run, "resume_run", resumed)

    assert [4, 4] == [
        lab("--file", SOUND, "run", "--resume").code, lab("--file", SOUND, "run", "--resume", "2026", "--attempt").code
    ]  # fmt: skip
    assert [(None, False), ("2026", True)] == asked


def test_a_run_is_carried_from_one_lab_to_another(lab: Command) -> None:
    """Export says where to and the digest; import says what came; the second time it is here already."""
    run = make_run({"c-epoll": None, "seed-c": "no worker"})
    Path("results").mkdir()
    with open_store(Path("results/lab.db")) as store:
        store.adopt(run)
    exported = lab("export")
    file = f"{run.run_id}.tar.gz"
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()

    assert (0, "") == (exported.code, exported.err)
    assert f"{file}: run {run.run_id}, 3 files, " == exported.out[: len(f"{file}: run {run.run_id}, 3 files, ")]
    assert f", SHA-256 {digest}\n" == exported.out[-len(f", SHA-256 {digest}\n") :]
    other = Path("other")
    other.mkdir()
    said = f"{file}: run {run.run_id}: "
    seen = f". See it: lab show {run.run_id}\n"
    assert [Done(0, f"{said}2 of 2 trials taken in{seen}", ""), Done(0, f"{said}is here already{seen}", "")] == [
        lab("--file", "other/lab.yaml", "import", file) for _ in range(2)
    ]
    assert run.run_id == json.loads(lab("--file", "other/lab.yaml", "show", "--json", run.run_id).out)["run_id"]


def test_what_cannot_be_carried_is_bad_input(lab: Command) -> None:
    """No results, no such run, no such file: 2, one line, nothing written."""
    Path("torn.tar.gz").write_bytes(b"\x1f\x8b")
    for arguments, said in (
        (["export"], "there are no results yet. Next: lab run quick"),
        (["import", "none.tar.gz"], "lab: none.tar.gz: expected a file that lab export wrote, found none there"),
        (["import", "torn.tar.gz"], "lab: torn.tar.gz: expected a run that lab export wrote, found not a whole tar.gz"),
    ):
        done = lab(*arguments)
        assert (2, "", 1) == (done.code, done.out, len(done.err.splitlines()))
        assert said in done.err
    assert [] == [path.name for path in Path("results").iterdir()]


def test_a_full_disk_is_one_line_wherever_it_is_met(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the lab's own records do not fit any more; no crash is claimed, and no log is tried."""
    full = OSError(errno.ENOSPC, "No space left on device", "/x/.lab/lock")
    monkeypatch.setattr(cli.standing, "bring_up", raising(full))

    said = "lab: the disk is full (/x/.lab/lock); what was finished is kept. Free some space, then run again\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_file_that_is_not_ours_to_touch_is_one_line_wherever_it_is_met(
    lab: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """In somebody else's clone, or on a disk that is mounted to be read: no defect of the lab."""
    why = os.strerror(number)
    monkeypatch.setattr(cli.standing, "bring_up", raising(OSError(number, why, "/x/.lab")))

    said = f"lab: /x/.lab: expected to read and write what is the lab's, but {why}. Mend the permissions there, "
    assert Done(3, "", f"{said}or run as who they are for\n") == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


@pytest.mark.parametrize("arguments", [["report", "--out", ""], ["export", "--out", ""], ["report", "--out", "."]])
def test_an_output_is_a_file_with_a_name(lab: Command, arguments: list[str]) -> None:
    """A variable that is not set, or a folder: 2, before anything is read."""
    done = lab(*arguments)

    assert (2, "") == (done.code, done.out)
    assert ("saw an empty one" if arguments[-1] == "" else "is a directory") in done.err


# --- exit codes of what was started ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finished", "code", "said"),
    [
        ({"c-epoll": None, "seed-c": None}, 0, ""),
        ({"c-epoll": "refused: GET /plain: 404", "seed-c": None}, 1, "lab: failed verification: c-epoll\n"),
        (
            {"c-epoll": None, "seed-c": "no worker"},
            4,
            "lab: undecided: too few valid trials: seed-c on wait (0 of 1, 1 needed)\n",
        ),
    ],
)
def test_a_run_ends_with_the_code_of_its_worst_variant(
    lab: Command, monkeypatch: pytest.MonkeyPatch, finished: dict[str, str | None], code: int, said: str
) -> None:
    """The tables are printed all the same, and what took the time."""
    monkeypatch.setattr(cli.run, "run_suite", lambda *_, **__: Scripted(judge(make_run(finished)), 1.25))
    done = lab("--file", SOUND, "run")

    assert (code, said) == (done.code, done.err)
    assert re.search(r"^set-up took 1\.2 s; ", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("state", "code"),
    [("verified", 0), ("unsupported: io_uring_setup: EPERM", 0), ("GET /plain: expected 200, seen 404", 1)],
)
def test_a_lab_with_an_unverified_variant_is_up_and_says_so(
    lab: Command, monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    """Exit code 1, below the table that says why."""
    variant = load_lab(Path(SOUND)).variants["c-epoll"]
    page = PageRow("Prometheus: every metric", "http://127.0.0.1:9090", "ready")
    standing = SimpleNamespace(pages=[page], variants=[VariantRow(variant, "127.1.0.1:8080", state)])
    monkeypatch.setattr(cli.standing, "bring_up", lambda *_: standing)
    done = lab("--file", SOUND, "up", "--no-load")

    complaint = ["lab: c-epoll: not verified, see the table above"] if code else []
    assert (code, complaint) == (done.code, [line for line in done.err.splitlines() if line.startswith("lab: ")])
    assert ("http://127.0.0.1:9090" in done.out, state in done.out) == (True, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotReady("master: no answer. Try: docker logs m"), 3),
        (errors.Refused("c-epoll: GET /plain: 404"), 1),
        (errors.Undecided("quick: no valid trial"), 4),
    ],
)
def test_a_failure_of_the_lab_is_its_own_line_and_code(
    lab: Command, monkeypatch: pytest.MonkeyPatch, error: errors.LabError, code: int
) -> None:
    """As the error tree says; no log of a crash is written."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(error))

    assert Done(code, "", f"lab: {error}\n") == lab("--file", SOUND, "up")
    assert ["s"] == files_here()


def test_an_engine_that_fails_in_the_middle_is_an_environment(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of the engine's words, and that it is gone."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(DockerException("connection reset\nand more")))
    monkeypatch.setattr(cli.ending, "find_engine", lambda: None)

    said = "lab: the Docker engine failed in the middle: connection reset. No engine answers now; lab up starts one\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")


def test_an_unexpected_exception_is_one_line_and_a_log(
    lab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback goes to a file whose place is told."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(ZeroDivisionError("division by zero")))
    log = tmp_path / ".lab" / "crash.log"

    said = f"lab: a defect of the lab: ZeroDivisionError: division by zero. Details: {log}\n"
    assert Done(3, "", said) == lab("--file", SOUND, "up")
    assert ("Traceback (most recent call last):", "ZeroDivisionError: division by zero") == (
        log.read_text().splitlines()[0],
        log.read_text().splitlines()[-1],
    )


def test_an_interrupted_command_says_what_is_kept(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and one line; no log of a crash is written."""
    monkeypatch.setattr(cli.standing, "bring_up", raising(KeyboardInterrupt()))
    done = lab("--file", SOUND, "up")

    assert (130, "", "lab: interrupted; finished trials are kept") == (done.code, done.out, done.err.strip())
    assert ["s"] == files_here()


def test_a_terminated_command_ends_like_an_interrupted_one(lab: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM unwinds, so that what was started is taken down."""
    unwound: list[str] = []

    def wait_for_the_end(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            unwound.append("yes")

    monkeypatch.setattr(cli.standing, "bring_up", wait_for_the_end)
    done = lab("--file", SOUND, "up")

    assert (130, "lab: interrupted; finished trials are kept", ["yes"]) == (done.code, done.err.strip(), unwound)


def test_the_engine_of_these_tests_notes_a_call(lab: Command, tmp_path: Path) -> None:
    """Otherwise that nobody called would prove nothing."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "s"))

        assert (True, False) == (lab.engine_was_called, lab.engine_was_called)


def test_commands_are_clicks_own() -> None:
    """The group holds commands only, so that the tests above saw every verb."""
    assert [] == [name for name, command in cli.lab.commands.items() if isinstance(command, click.Group)]


def test_a_plan_that_cannot_work_is_refused_before_the_engine_is_asked(lab: Command, tmp_path: Path) -> None:
    """40,000 connections from one address, with 28,232 ports: exit code 2, constraint and fix, nothing written."""
    write_lab(
        tmp_path / "lab",
        "c-epoll",
        text="profiles: {default: {nofile: 65536}}\n"
        "scenarios: {hold: {kind: hold, connections: 40000, delay: 60s, sources: 1}}\n"
        "suites: {quick: {scenarios: [hold], variants: all, trials: 1}}\n",
    )
    file = str(tmp_path / "lab" / "lab.yaml")
    done = lab("--file", file, "run", "quick")
    planned = lab("--file", file, "plan", "quick")

    assert (2, "", False) == (done.code, done.out, lab.engine_was_called)
    assert "c-epoll on hold: 40,000 connections wanted, but source ports allow at most 28,232 (1 source" in done.err
    assert "Fix (container): more 'sources' in the scenario" in done.err
    assert not (tmp_path / "lab" / ".lab").exists()
    assert (0, True) == (planned.code, "source ports: impossible" in words(planned.out))


def test_a_plan_without_a_trial_is_refused_before_the_engine_is_asked(
    lab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 connections, 1,024 descriptors, one process: constraint, figures, fix; --attempt goes on to the engine."""
    folder = tmp_path / "lab"
    text = (
        "profiles: {default: {nofile: 1024}}\n"
        "scenarios: {hold: {kind: hold, connections: 2000, delay: 60s}}\n"
        "suites: {quick: {scenarios: [hold], variants: all, trials: 1}}\n"
    )
    write_manifest(folder / "servers" / "alone", processes='"one"')
    file = str(write_lab(folder, text=text))
    done = lab("--file", file, "run", "quick")
    refused_early = (done.code, done.out, lab.engine_was_called, (folder / ".lab").exists())
    monkeypatch.setattr("orchestrator.run.lay_ground", raising(errors.EnvironmentMissing("no engine")))
    tried = lab("--file", file, "run", "quick", "--attempt")

    assert (2, "", False, False) == refused_early
    assert "alone on hold needs 2,064 descriptors in one process; profile default allows 1,024." in done.err
    assert "Fix: a higher nofile in profile default." in done.err
    assert (3, "lab: no engine") == (tried.code, tried.err.strip())


def test_a_plan_extrapolates_to_more_hosts(lab: Command) -> None:
    """Numbers that nobody tested are labelled."""
    done = lab("--file", str(ROOT / "lab.yaml"), "plan", "c100k", "--hosts", "10")

    assert 0 == done.code
    assert "10 hosts of this kind" in done.out
    assert "extrapolated, untested" in words(done.out)
