"""Tables as a person sees them, drawn at a given width."""

import re
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from orchestrator.model import (
    Arena,
    Lab,
    LeftOut,
    Observability,
    Plan,
    Run,
    Scenario,
    TrialResult,
    TrialSpec,
    Variant,
)
from orchestrator.report.plantable import plan_table
from orchestrator.report.text import (
    LightRow,
    PageRow,
    VariantRow,
    first_light_table,
    lab_table,
    open_console,
    pages_table,
    side_by_side,
    timing_line,
)
from orchestrator.verdicts.validity import CLOSED_LOOP, GENERATOR_LIMITED
from tests.unit.drawn_trials import trial

PLAIN = Scenario("plain", "", "closed", "/plain", 50, 0.0, 2.0, 6.0, 10.0)
HOLD = Scenario("hold-2k", "", "hold", "/delay", 2000, 5.0, 0.0, 0.0, 10.0)
C_EPOLL = Variant(
    "c-epoll", "", "C", "one epoll loop", "c", Path("servers/c-epoll"), "http", 8080, False, "one", (4, 5), ()
)


def run_of(*trials: TrialResult, more: tuple[TrialSpec, ...] = ()) -> Run:
    """A run that planned these trials and `more`."""
    return Run("r1", "quick", "a", "b", {}, Plan("quick", 7, (*(t.spec for t in trials), *more), ()), trials)


def lines(renderable: RenderableType, width: int = 120) -> list[str]:
    """What is drawn, without the blanks at the lines' ends."""
    console = Console(file=StringIO(), record=True, width=width, highlight=False)
    console.print(renderable)
    return [line.rstrip() for line in console.export_text().splitlines()]


def row_of(drawn: list[str], variant: str) -> str:
    """The row of a variant, with single blanks."""
    (row,) = [" ".join(line.split()) for line in drawn if line.split()[:1] == [variant]]
    return row


def squeezed(line: str) -> str:
    """A line with single blanks."""
    return " ".join(line.split())


def test_closed_scenario_shows_every_figure_with_bar_and_ratio() -> None:
    """The best row fills its bar; half as much draws half and says 0.500; less memory is better."""
    run = run_of(
        trial("c-epoll", throughput_per_s=14210.4, memory_bytes=2.0**20),
        trial("py-asyncio", throughput_per_s=7105.2, memory_bytes=2.0**22, errors={"timeout": 3}),
    )
    drawn = lines(side_by_side(run)[0], width=140)

    assert "plain (closed)" == drawn[0]
    assert "c-epoll 14,210 ██████████ 1.00 312 µs 4.10 ms 4.10 ms 0 1/1 3 1.00 MiB ██▌ 1.00 1.23 0.5" == row_of(
        drawn, "c-epoll"
    )
    assert (
        "py-asyncio 7,105 █████ 0.5 312 µs 4.10 ms 4.10 ms 3 timeout 1/1 3 4.00 MiB ██████████ 4.00 1.23 0.5"
    ) == row_of(drawn, "py-asyncio")
    assert "closed loop" == drawn[-1]


def test_hold_scenario_shows_held_of_requested_first() -> None:
    """No throughput in a hold; held/requested leads, and errors come by kind below each other."""
    errors = {"timeout": 1900, "ECONNRESET in receive": 30, "wrong body": 20, "EPIPE": 3}
    run = run_of(
        trial("c-epoll", "hold-2k"),
        trial("seed-c", "hold-2k", errors=errors, connections_held=47, connections_failed=1953),
    )
    drawn = lines(side_by_side(run)[0])

    assert "hold-2k (hold)" == drawn[0]
    assert "answers/s" not in " ".join(drawn)
    assert "c-epoll 2,000/2,000 - 312 µs 4.10 ms 4.10 ms 0 1/1 3 2.00 KiB ██████████ 1.00 1.23 0.5" == row_of(
        drawn, "c-epoll"
    )
    assert row_of(drawn, "seed-c").startswith("seed-c 47/2,000 ")
    after = drawn[[line.split()[:1] for line in drawn].index(["seed-c"]) + 1 :]
    assert ["30 ECONNRESE…", "20 wrong body", "3 more"] == [line.strip() for line in after[:3]]
    assert "errors: seed-c: 1,900 timeout, 30 ECONNRESET in receive, 20 wrong body, 3 EPIPE" in drawn


def test_generator_limited_rate_is_marked_at_least() -> None:
    """The bound is visible at the figure and in words, for the variants it holds for."""
    run = run_of(trial("c-epoll", throughput_per_s=2000.0, notes=(CLOSED_LOOP, GENERATOR_LIMITED)), trial("py-asyncio"))
    drawn = lines(side_by_side(run)[0])

    assert row_of(drawn, "c-epoll").startswith("c-epoll ≥ 2,000 ")
    assert row_of(drawn, "py-asyncio").startswith("py-asyncio 1,000 ")
    assert f"{GENERATOR_LIMITED} (c-epoll)" in drawn


def test_void_and_missing_are_dashes_with_their_reason_below() -> None:
    """Nothing that was not measured looks like a number, and brackets in reasons are not markup."""
    run = run_of(
        trial("c-epoll", threads_peak=None, missing={"threads_peak": "exporter [gone]"}),
        trial("c-threads", void="1 of 2 workers [w1]"),
        more=(TrialSpec(2, 0, "go-nethttp", "plain", "closed", "default", 1, 1, ""),),
    )
    drawn = lines(side_by_side(run)[0])

    assert "c-threads - - - - - 0/1 - - - -" == row_of(drawn, "c-threads")
    assert "go-nethttp - - - - - 0/1 - - - -" == row_of(drawn, "go-nethttp")
    assert "void: c-threads trial 1: 1 of 2 workers [w1]" in drawn
    assert "no peak threads: exporter [gone]" in drawn
    assert "no trial finished (go-nethttp)" in drawn


@pytest.mark.parametrize("width", [60, 80, 100, 110, 120, 160])
def test_names_and_figures_never_wrap_or_vanish(width: int) -> None:
    """At every width each variant's rows hold its whole name and all eleven figures, within the width."""
    names = ("go-nethttp", "c-threads", "py-asyncio")
    run = run_of(*(trial(name, notes=(CLOSED_LOOP, GENERATOR_LIMITED), throughput_per_s=104210.0) for name in names))
    drawn = lines(side_by_side(run)[0], width)

    assert max(len(line) for line in drawn) <= width
    for name in names:
        text = " ".join(line for line in drawn if line.startswith(name))
        for figure in ("≥ 104,210", "312 µs", "4.10 ms", " 1/1", " 3 ", "2.00 MiB", "1.23", "0.5"):
            assert figure in text
    whole = [line for line in drawn if "MiB" in line and "104,210" in line]
    assert (3 if width >= 120 else 0) == len(whole)
    assert width < 80 or 6 == sum(len(re.findall("█+", line)) for line in drawn)


def test_stream_without_unicode_gets_the_same_table_in_ascii() -> None:
    """Bars, µ and ≥ have plain forms."""
    buffer = BytesIO()
    file = TextIOWrapper(buffer, encoding="ascii")
    console = Console(file=file, width=120)
    console.print(side_by_side(run_of(trial("c-epoll", notes=(CLOSED_LOOP, GENERATOR_LIMITED))))[0])
    file.flush()
    text = buffer.getvalue().decode("ascii")

    assert ">= 1,000 ########   1.00 312 us 4.10 ms" in text


def test_scenarios_follow_the_plan() -> None:
    """One table each, titled with its kind."""
    run = run_of(trial("c-epoll", "hold-2k"), trial("c-epoll"))
    titles = [lines(table)[0] for table in side_by_side(run)]

    assert ["hold-2k (hold)", "plain (closed)"] == titles
    assert [] == side_by_side(run_of())


def test_who_loaded_is_said_once_where_all_were_loaded_alike() -> None:
    """A raw specimen among engine-loaded variants is named; alone, one phrase does."""
    engine = [replace(one, spec=replace(one.spec, users="engine")) for one in (trial("c-epoll"), trial("go-nethttp"))]
    mixed = lines(side_by_side(run_of(*engine, trial("seed-c")))[0])
    alike = lines(side_by_side(run_of(*engine))[0])

    assert {"loaded by the engine: c-epoll, go-nethttp", "loaded by Locust users: seed-c"} <= set(mixed)
    assert "loaded by the engine" in alike


def test_timing_line_names_load_and_overhead() -> None:
    """Two of three planned trials: 16 s and 8.4 s, 4.20 s per trial."""
    run = run_of(trial("a"), trial("b"), more=(TrialSpec(2, 0, "c", "plain", "closed", "default", 1, 1, ""),))

    assert "2 of 3 trials: 16 s under load, 8 s around it (4.20 s per trial)" == timing_line(run)
    assert "0 of 0 trials finished" == timing_line(run_of())


def test_pages_and_variants_are_listed_with_their_state() -> None:
    """Page, address and state; name, language, technique, protocol, address and state."""
    page = lines(pages_table([PageRow("Locust", "http://127.0.0.1:8089", "up")]))
    rows = [VariantRow(C_EPOLL, "127.1.0.1:8080", "ready"), VariantRow(C_EPOLL, "", "[red]")]
    whole = lines(lab_table([PageRow("Locust: start a swarm", "http://127.0.0.1:8089", "up")], rows))

    assert ["Pages", "page    address                state", "Locust  http://127.0.0.1:8089  up"] == page
    assert "Locust start a swarm http://127.0.0.1:8089 up" == squeezed(whole[2])
    assert "c-epoll C, http: one epoll loop 127.1.0.1:8080 ready" == squeezed(whole[3])
    assert "c-epoll C, http: one epoll loop - [red]" == squeezed(whole[4])


def test_a_long_reason_cuts_neither_names_nor_addresses() -> None:
    """It takes the lines it needs; whoever reads why a variant is not verified reads all of it."""
    reason = "c-epoll: contract check 'plain' failed: expected 200, text/plain, 13 bytes, Server, Date, seen status 404"
    whole = lines(lab_table([], [VariantRow(C_EPOLL, "127.1.0.1:8080", reason)]), width=80)

    assert whole[2].startswith("c-epoll ")
    assert "127.1.0.1:8080" in whole[2]
    assert "…" not in "".join(whole)
    assert "404" in "".join(whole)


def test_plan_shows_order_load_and_what_is_left_out() -> None:
    """Each trial with its load and processes, the least time, and the reasons for what is not run."""
    lab = Lab(
        Path("lab.yaml"),
        Path(),
        {},
        {},
        {"plain": PLAIN, "hold-2k": HOLD},
        {},
        Observability(8089, 9090, 9100, 1.0),
        Arena("default", ()),
    )
    specs = (
        TrialSpec(0, 0, "c-epoll", "plain", "closed", "default", 1, 1, "one suffices"),
        TrialSpec(1, 0, "c-threads", "hold-2k", "hold", "default", 3, 2, "nofile 1024"),
    )
    plan = Plan("quick", 7, specs, (LeftOut("seed-c", "plain", "speaks raw, not http"),))
    drawn = lines(plan_table(plan, lab))

    assert "Plan of suite quick: 2 trials, seed 7, 13 s under load" == drawn[0]
    assert "1 1 c-epoll plain 50 users on /plain 8 s locust 1 1 one suffices" == squeezed(drawn[2])
    assert "2 1 c-threads hold-2k 2,000 held 5.00 s 5 s locust 3 2 nofile 1024" == squeezed(drawn[3])
    assert "Left out: 1" in drawn
    assert "seed-c   plain     speaks raw, not http" == drawn[-1]


def test_first_light_leaves_a_specimens_rate_blank_with_the_reason() -> None:
    """Rates are drawn against the best; a specimen has none and says why."""
    drawn = lines(
        first_light_table(
            [
                LightRow("c-epoll", 8000.0, 0.0041, 2, 3.5 * 2**20, 0),
                LightRow("seed-c", None, None, 90, None, 86, "answers after a delay only"),
            ]
        )
    )

    assert "c-epoll 8,000 ████████████ 4.10 ms 0 2 3.50 MiB" == squeezed(drawn[2])
    assert "seed-c - 86 90 - answers after a delay only" == squeezed(drawn[3])
    assert "remark" in drawn[1]
    assert "remark" not in lines(first_light_table([LightRow("c-epoll", 8000.0, 0.0041, 2, 1.0, 0)]))[1]


def test_file_gets_a_wide_console_that_never_fails_on_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is 120 columns wide unless COLUMNS says otherwise; an ascii one gets question marks."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert 120 == open_console(StringIO()).width
    monkeypatch.setenv("COLUMNS", "77")
    assert 77 == open_console(StringIO()).width
    buffer = BytesIO()
    console = open_console(TextIOWrapper(buffer, encoding="ascii"), width=40)
    console.print("312 µs")
    console.file.flush()

    assert b"312 ?s\n" == buffer.getvalue()
