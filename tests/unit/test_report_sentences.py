"""What a run says in a sentence or two, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.report.page.content import read_run
from tests.unit.drawn_trials import trial
from tests.unit.page_runs import a_run, two
from tests.unit.test_report_kinds import trial as of_kind


def test_the_verdict_says_who_answered_most_and_how_sure_that_is() -> None:
    """Two sentences: the finding, and that one repetition tells orders of magnitude only."""
    first, second = read_run(two()).sentences

    assert "On plain c-epoll answered most: 1,000/s, 2.00 times c-threads's 500/s." == first
    assert second.startswith("With 1 repetition of each this shows orders of magnitude")


def test_six_repetitions_say_who_can_be_told_apart() -> None:
    """The second sentence is about tiers once there are enough blocks for them."""
    alike = [trial(name, block=block) for block in range(6) for name in ("c-epoll", "c-threads")]
    apart = [trial(name, block=b, throughput_per_s=r + b) for b in range(6) for name, r in (("a", 900.0), ("b", 500.0))]

    assert "With 6 repetitions of each, throughput on plain tells nobody apart." == read_run(a_run(*alike)).sentences[1]
    assert "throughput on plain tells all 2 apart" in read_run(a_run(*apart)).sentences[1]


def test_the_verdict_is_two_sentences_however_many_scenarios_there_are() -> None:
    """What was found in the first three, and how sure that is."""
    trials = [
        replace(one, spec=replace(one.spec, scenario=f"plain-{n}"))
        for n in range(5)
        for one in (trial("c-epoll"), trial("c-threads", throughput_per_s=500.0))
    ]
    first, second = read_run(a_run(*trials)).sentences

    assert 3 == first.count("answered most")
    assert first.endswith("; 2 more scenarios below.")
    assert "; on plain-1 c-epoll answered most" in first
    assert second.startswith("With 1 repetition of each")


def test_who_holds_all_is_told_by_what_a_connection_costs() -> None:
    """A hold is about connections first, memory second."""
    cheap = trial("c-epoll", "hold-2k", memory_bytes_per_connection=2048.0)
    dear = trial("c-threads", "hold-2k", memory_bytes_per_connection=40960.0)
    short = trial("c-select", "hold-2k", connections_held=1000, connections_failed=1000)

    assert read_run(a_run(cheap, dear)).sentences[0] == (
        "On hold-2k all held 2,000 connections, for 2.00 KiB each in c-epoll up to 40.0 KiB in c-threads."
    )
    assert read_run(a_run(cheap, short)).sentences[0] == "On hold-2k c-epoll held all of 2,000 connections."
    assert read_run(a_run(short)).sentences[0] == (
        "On hold-2k nobody held all of 2,000 connections; c-select held most, 1,000."
    )


def test_an_ablation_names_the_settings_that_matter_and_those_that_do_not() -> None:
    """No effect is a result."""
    said = read_run(
        a_run(
            of_kind("hold", "c-epoll", connections_requested=30_000, connections_held=30_000),
            of_kind("hold", "c-epoll", "nofile=1024", connections_requested=30_000, connections_held=2000),
            of_kind(
                "hold", "c-epoll", "net.ipv4.tcp_tw_reuse=2", connections_requested=30_000, connections_held=30_000
            ),
        )
    ).sentences[0]

    assert (
        "On x the ceiling falls without nofile (6.67 % of the ceiling); taking back tcp_tw_reuse has no effect." == said
    )


def test_a_run_without_a_valid_trial_says_nothing_about_anybody() -> None:
    """Void numbers become no sentence."""
    assert ("No trial of this run is valid, so it says nothing about any variant.",) == read_run(
        a_run(trial("c-epoll", void="no worker"))
    ).sentences


def test_an_ablation_without_a_valid_trial_finds_no_setting_harmless() -> None:
    """As of any run; killed before its first trial it says the same."""
    void = a_run(*(of_kind("hold", "c-epoll", setting, void="no worker") for setting in ("", "nofile=1024")))
    nothing = ("No trial of this run is valid, so it says nothing about any variant.",)

    assert [nothing, nothing] == [read_run(run).sentences for run in (void, replace(void, trials=()))]


def test_a_void_pairing_is_named_beside_what_was_found() -> None:
    """It is not silently missing."""
    said = read_run(a_run(trial("c-epoll"), trial("c-threads", void="no worker"))).sentences[-1]

    assert said.endswith("; nothing is known of c-threads on plain (void).")
