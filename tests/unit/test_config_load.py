"""A sound lab file becomes the values it declares."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.config.load import FIGURES, load_lab
from orchestrator.model import Gate, Keep, Nightly, Notify, Scenario
from orchestrator.verdicts import compare
from tests.unit.lab_files import LAB, ROOT, SIX, complaint_about, write_lab


def test_the_lab_file_of_this_repository_declares_what_the_issue_asks_for(tmp_path: Path) -> None:
    """Suites, ports and profile hold with any six sound manifests beside the file."""
    lab = load_lab(write_lab(tmp_path, *SIX, text=(ROOT / "lab.yaml").read_text(encoding="utf-8")))

    quick, smoke = lab.suites["quick"], lab.suites["smoke"]
    assert (("plain", "hold-2k", "open-quick"), 2, set(SIX)) == (quick.scenarios, quick.trials, set(quick.variants))
    assert (("first-light", "first-light-hold"), 1, ("c-epoll", "c-threads")) == (
        smoke.scenarios,
        smoke.trials,
        smoke.variants,
    )
    higher = ["catalogue", "memory", "c10k", "c100k", "c1m", "active", "open", "ramp", "storm", "ablation"]
    assert ["quick", "first-light", "smoke", "nightly", *higher] == list(lab.suites)
    assert (("plain", "hold-10k"), "c10k", 1) == (
        lab.suites["catalogue"].scenarios,
        lab.suites["catalogue"].profile,
        lab.suites["catalogue"].trials,
    )
    assert set(SIX) - {"seed-c"} == set(lab.suites["catalogue"].variants)
    assert ["default", "c10k", "c100k", "c1m"] == list(lab.profiles)
    assert ("net.core.somaxconn=128", "nofile=1024") == lab.suites["ablation"].reverts[::4]
    ports = lab.observability
    assert (8089, 9090, 9109, 1.0) == (ports.web_port, ports.prometheus_port, ports.exporter_port, ports.interval_s)
    assert ("default", set(SIX)) == (lab.arena.profile, set(lab.arena.variants))
    assert lab.arena.variants == lab.suites["first-light"].variants
    assert (1_048_576, True, "auto", "auto") == (
        lab.profiles["default"].nofile,
        lab.profiles["default"].best_effort,
        lab.profiles["default"].server_cpus,
        lab.profiles["default"].load_cpus,
    )


def test_the_repositorys_own_manifests_fit_its_lab_file() -> None:
    """The six variants that issue 2 names are discovered, and nothing else is wrong."""
    lab = load_lab(ROOT / "lab.yaml")

    assert set(SIX) <= set(lab.variants)


def test_a_closed_scenario_has_its_durations_in_seconds(tmp_path: Path) -> None:
    """Users are connections; what is not written has its default."""
    lab = load_lab(write_lab(tmp_path, "c-epoll"))

    expected = Scenario(
        name="plain",
        summary="no",
        kind="closed",
        path="/plain",
        connections=50,
        delay_s=0.0,
        warmup_s=2.0,
        measure_s=6.0,
        timeout_s=10.0,
    )
    assert expected == lab.scenarios["plain"]


def test_a_hold_scenario_has_no_window_of_its_own(tmp_path: Path) -> None:
    """Its path is /delay, its warm-up and window are 0."""
    wait = load_lab(write_lab(tmp_path, "c-epoll")).scenarios["wait"]

    assert ("hold", "/delay", 200, 0.25, 0.0, 0.0) == (
        wait.kind,
        wait.path,
        wait.connections,
        wait.delay_s,
        wait.warmup_s,
        wait.measure_s,
    )


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    """Anchors and aliases are allowed within bounds."""
    lab = load_lab(write_lab(tmp_path, "c-epoll"))

    assert 6.0 == lab.scenarios["again"].measure_s


def test_a_profile_keeps_sysctls_as_text_with_single_spaces(tmp_path: Path) -> None:
    """Numbers become text; runs of spaces become one, folded summaries one line."""
    profile = load_lab(write_lab(tmp_path, "c-epoll")).profiles["default"]

    assert {"net.core.somaxconn": "4096", "net.ipv4.ip_local_port_range": "1024 65535"} == profile.sysctls
    assert ("two lines", False, "3", "0,2") == (
        profile.summary,
        profile.best_effort,
        profile.server_cpus,
        profile.load_cpus,
    )


def test_the_lab_knows_its_absolute_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the file was named relative to the current folder."""
    write_lab(tmp_path, "c-epoll")
    monkeypatch.chdir(tmp_path)
    lab = load_lab(Path("lab.yaml"))

    assert (tmp_path.resolve(), tmp_path.resolve() / "servers/c-epoll") == (lab.root, lab.variants["c-epoll"].folder)


def test_loading_writes_nothing(tmp_path: Path) -> None:
    """`lab check` touches nothing: the folder is the same afterwards."""
    shutil.copytree(Path(__file__).parent / "broken", tmp_path / "lab")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    load_lab(tmp_path / "lab" / "sound.yaml")

    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))


def test_a_suite_of_all_may_leave_some_out(tmp_path: Path) -> None:
    """Variants that come later take part by themselves."""
    text = LAB.replace("variants: all", "variants: all, without: [seed-c]")

    assert ("a", "b") == load_lab(write_lab(tmp_path, "a", "b", "seed-c", text=text)).suites["quick"].variants


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("variants: all, without: [c]", "without[0]: 'c' is not a variant; write one of: a, b"),
        ("variants: [a], without: [b]", "without: expected only beside 'variants: all'; remove it"),
        ("variants: all, without: [a, b]", "without: leaves no variant; write fewer"),
        ("variants: all, without: [a, a]", "without[1]: 'a' is named twice; write it once"),
    ],
)
def test_leaving_out_what_makes_no_sense_is_refused(tmp_path: Path, entry: str, expected: str) -> None:
    """One line each, as ever."""
    path = write_lab(tmp_path, "a", "b", text=LAB.replace("variants: all", entry))

    assert f"suites.quick.{expected}" in complaint_about(path)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ("auto", True, False)),
        ("grafana: off\n", ("off", False, False)),
        ("grafana: image\n", ("image", True, False)),
        ("grafana:\n  url: https://g.example/\n  token_env: T\n", ("auto", False, True)),
        ("grafana:\n  use: off\n  url: https://g.example/\n  token_env: T\n", ("off", False, False)),
    ],
)
def test_grafana_is_a_word_or_a_section(tmp_path: Path, written: str, expected: tuple[str, bool, bool]) -> None:
    """An address that is written is where `auto` goes; a token's file is found from the lab file."""
    path = tmp_path / "lab.yaml"
    path.write_text((Path(__file__).parent / "broken" / "sound.yaml").read_text() + "\n" + written)
    shutil.copytree(Path(__file__).parent / "broken" / "servers", tmp_path / "servers")
    grafana = load_lab(path).grafana

    assert expected == (grafana.use, grafana.is_own, grafana.is_elsewhere)
    assert grafana.url in ("", "https://g.example")


def test_a_tokens_file_lies_beside_the_lab_file(tmp_path: Path) -> None:
    """Or wherever an absolute path says."""
    path = tmp_path / "lab.yaml"
    sound = (Path(__file__).parent / "broken" / "sound.yaml").read_text()
    shutil.copytree(Path(__file__).parent / "broken" / "servers", tmp_path / "servers")
    for written, expected in (("token", tmp_path / "token"), ("/run/token", Path("/run/token"))):
        path.write_text(f"{sound}\ngrafana:\n  url: http://g\n  token_file: {written}\n")
        assert expected == load_lab(path).grafana.token_file


def test_thresholds_are_fractions_by_the_metrics_names(tmp_path: Path) -> None:
    """A scenario's own come before everywhere's; what nobody names is nobody's."""
    text = LAB + "thresholds:\n  everywhere: {throughput: 3%, p99: 12.5 %}\n  scenarios: {wait: {p99: 40%}}\n"
    found = load_lab(write_lab(tmp_path, "c-epoll", text=text)).thresholds

    assert (0.03, 0.125, 0.4) == (
        found.of("plain", "throughput_per_s"), found.of("plain", "p99_s"), found.of("wait", "p99_s")
    )  # fmt: skip
    assert 0.03 == found.of("wait", "throughput_per_s")
    assert found.of("plain", "p50_s") is None


def test_what_a_trial_may_suffer_is_declared(tmp_path: Path) -> None:
    """Nothing written is the gate's own limit."""
    strict = load_lab(write_lab(tmp_path / "strict", "c-epoll", text=LAB + "gate: {stolen: 1.5%}\n"))
    alone = load_lab(write_lab(tmp_path / "alone", "c-epoll", text=LAB + "gate: {others: 2%}\n"))
    silent = load_lab(write_lab(tmp_path / "silent", "c-epoll", text=LAB))

    assert (0.015, Gate().others_ratio) == (strict.gate.stolen_ratio, strict.gate.others_ratio)
    assert (Gate().stolen_ratio, 0.02, Gate()) == (alone.gate.stolen_ratio, alone.gate.others_ratio, silent.gate)


def test_every_figure_of_a_verdict_has_a_threshold_of_its_own() -> None:
    """The file's keys and the figures that are compared are the same set."""
    assert {figure.name for figure in compare.FIGURES} == set(FIGURES.values())


def test_the_nightly_of_the_repository_can_decide(tmp_path: Path) -> None:
    """Ten blocks or more; its control and its stable variants run in it; nobody is told unless somebody writes whom."""
    lab = load_lab(write_lab(tmp_path, *SIX, text=(ROOT / "lab.yaml").read_text(encoding="utf-8")))
    nightly = lab.nightly
    assert nightly is not None
    suite = lab.suites[nightly.suite]

    assert suite.trials >= 10
    assert {nightly.control, *nightly.stable} <= set(suite.variants)
    assert nightly.control not in nightly.stable
    assert (Keep(60, 10 << 30), Notify(), "02:30") == (nightly.keep, nightly.notify, nightly.at)


def test_a_nightly_is_read_whole(tmp_path: Path) -> None:
    """Every key of the section; sizes become bytes."""
    more = """
nightly:
  suite: quick
  at: "23:59"
  control: a
  stable: [b]
  keep: {nights: 7, bytes: 1.5GiB}
  notify: {webhook_env: LAB_HOOK, command: [mail, "-s", "the night", me], when: not-fine}
"""
    lab = load_lab(write_lab(tmp_path, "a", "b", text=LAB + more))

    told = Notify("LAB_HOOK", "", ("mail", "-s", "the night", "me"), "not-fine")
    assert Nightly("quick", "23:59", "a", ("b",), Keep(7, 3 << 29), told) == lab.nightly
    assert load_lab(write_lab(tmp_path, "a", "b", text=LAB)).nightly is None
