"""A run of the six variants of `quick`, watched: every metric has samples, no panel is empty, live and from files.

The run is `quick` made short: the same variants, the hold smaller and for 3 s instead of 5 s, and arrivals by the
clock for 3 s in place of the closed loop, so that the schedule's metrics are in use too; one trial of each instead of
two. The page is seen in a browser before there is anything to draw, under load, after the run, and drawn from files.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from dashboards.live import document, panels_of_a_trial
from dashboards.panel import Panel
from dashboards.panels import DASHBOARDS
from orchestrator.observe.exporter.declared import METRICS as SERVER_SIDE
from orchestrator.observe.exporter.metric import Metric
from orchestrator.observe.prometheus import SELDOM_S, query, query_range
from orchestrator.results.series import list_tracks, read_tracks
from swarm.catalogue import METRICS
from tests.engine.conftest import FULL, PORTS, ROOT, VARIANTS, LabFile

PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"
WEB = f"http://127.0.0.1:{PORTS['web_port']}"
# One load for each kind of question: answers, schedule lag, memory of connections.
SCENARIOS = {
    "open-short": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 300, "rate": "2000/s",
        "warmup": "1s", "measure": "3s", "timeout": "5s",
    },
    "hold-short": {"summary": "a short hold", "kind": "hold", "connections": 800, "delay": "3s", "timeout": "4s"},
}  # fmt: skip
SUITES = {
    "panels": {
        "summary": "something for every panel", "scenarios": list(SCENARIOS), "variants": list(VARIANTS),
        "trials": 1, "profile": "default", "seed": 3,
    },
}  # fmt: skip
ALL = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}
# Who has no samples of a metric, for a reason: only the full variants are given arrivals by the clock, which only the
# engine keeps; the article's C server is spoken to by Locust users, and nobody else errs.
SCHEDULED = (
    "lab_client_schedule_lag_seconds",
    *(f"lab_client_{w}_total" for w in ("planned", "sent", "late", "dropped")),
)
NOT_OF: dict[str, set[str]] = (
    dict.fromkeys(SCHEDULED, set(VARIANTS) - set(FULL))
    | {"lab_client_engine_cpu_ratio": {"seed-c"}}
    | {"lab_client_errors_total": set(VARIANTS) - {"seed-c"}}
)


@dataclass(frozen=True)
class Watched:
    """A run, and between which instants Prometheus watched it."""

    run_id: str
    began_s: float
    ended_s: float


# The page in a browser: what a wait may take, and where pictures go for whoever wants to look (LAB_SCREENSHOTS).
PATIENCE_S = 30.0
PAGE = f"{WEB}/lab"


class Page:
    """The live page as a person has it before them."""

    def __init__(self, driver: Any, folder: Path):
        self.driver = driver
        self.folder = folder

    def wait(self, what: str, read: Callable[[], Any]) -> Any:
        end_s = time.monotonic() + PATIENCE_S
        while not (seen := read()):
            assert time.monotonic() < end_s, f"{what}: the page says {self.status()!r}"
            time.sleep(0.1)
        return seen

    def status(self) -> str:
        return str(self.driver.find_element("id", "status").text)

    def choose(self, select: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.driver.find_element("id", select)).select_by_value(value)

    def cards(self) -> list[Any]:
        return list(self.driver.find_elements("css selector", ".panel"))

    def complaints(self) -> list[str]:
        # A container that starts elsewhere brings an interface with it; chromium then drops what is under way once.
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("SEVERE", "WARNING") and "ERR_NETWORK_CHANGED" not in entry["message"]
        ]

    def picture(self, name: str) -> None:
        self.driver.save_screenshot(str(self.folder / f"{name}.png"))


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = Path(os.environ.get("LAB_SCREENSHOTS") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return Page(browser, folder)


@pytest.fixture(scope="module")
def lab(make_lab: Any) -> LabFile:
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, arena={"variants": list(VARIANTS)})
    made.run("up", "--no-load", timeout_s=900)
    return made


@pytest.mark.browser
def test_the_live_page_waits_for_the_first_load(lab: LabFile, page: Page) -> None:
    """Before any load it says what to do next, every panel says that it has nothing, and nothing complains."""
    page.driver.get(PAGE)
    page.wait("what to do next", lambda: page.status().startswith("No load yet."))
    page.picture("before")

    assert page.cards()
    assert all("empty" in card.get_attribute("class") for card in page.cards())
    assert [] == page.complaints()


def post(path: str, **fields: Any) -> Any:
    data = urllib.parse.urlencode(fields, doseq=True).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{WEB}{path}", data=data, method="POST"), timeout=60) as answer:
        return json.load(answer)


def take_interrupts() -> None:
    """In a child: end at SIGINT, even where this suite was started in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def state() -> dict[str, Any]:
    with urllib.request.urlopen(f"{WEB}/lab/state", timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


@pytest.fixture(scope="module")
def loaded(lab: LabFile) -> Iterator[None]:
    """A swarm started by hand: four variants of the arena at once, as from the web page."""
    done = post("/swarm", user_count=4, spawn_rate=4, scenario="plain", variants=list(FULL), connections_per_user=30)
    assert done["success"], done
    yield
    post("/stop")


@pytest.mark.browser
def test_the_live_page_under_load(loaded: None, page: Page) -> None:
    """Variants side by side at the same time, what the client sees and what the servers cost; it moves; all are up."""
    page.driver.get(PAGE)
    page.wait("the swarm", lambda: "Run arena: " in page.status())
    for name in ("throughput", "latency", "server-cpu", "memory", "threads"):
        card = page.driver.find_element("id", name)
        page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
        page.wait(name, lambda card=card: int(card.get_attribute("data-drawn") or 0) >= len(FULL))  # type: ignore[misc]
    version = "return document.getElementById('threads').dataset.version"
    before = page.driver.execute_script(version)
    page.wait("the next second", lambda: page.driver.execute_script(version) != before)
    facts = page.driver.find_element("id", "facts").text
    for look, scheme in (("light", "light"), ("dark", "dark")):
        page.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        page.driver.execute_script("window.scrollTo(0, 0)")
        page.wait(f"the {look} page", lambda: page.driver.execute_script("return document.fonts.status") == "loaded")
        time.sleep(1.5)  # a picture of charts that have been drawn anew, for eyes only
        page.picture(f"load-{look}")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert "swarm up" in facts and "exporter up" in facts
    assert [] == page.complaints()


def test_watching_under_load(loaded: None, lab: LabFile) -> None:
    """`lab watch` has each variant's essentials: a number for each of them, of the servers too."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        now = json.loads(lab.run("watch", "--once", "--json").stdout)
        rows = {row["variant"]: row for row in now["variants"]}
        if all(rows.get(name, {}).get("p99_s") for name in FULL) or time.monotonic() > end_s:
            break
    for name in FULL:
        assert [] == [key for key, value in rows[name].items() if value is None], rows[name]
        assert rows[name]["throughput_per_s"] > 0
        assert 30 == rows[name]["connections"]
    assert ("arena", "plain", 4, None) == (now["run_id"], now["scenario"], now["users"], now["trial"])
    assert {"swarm": "up", "exporter": "up"}.items() <= {t["job"]: t["health"] for t in now["targets"]}.items()
    assert [] == now["troubles"]


def test_watching_ends_with_ctrl_c(loaded: None, lab: LabFile) -> None:
    """On a terminal it draws itself anew until Ctrl-C, ends with 130 and leaves the cursor to be seen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        lab.command("watch"), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "40"}, start_new_session=True,
        preexec_fn=take_interrupts,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    end_s = time.monotonic() + PATIENCE_S
    while shown.count(b"c-epoll") < 2 and time.monotonic() < end_s:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)

    assert 130 == process.wait(timeout=PATIENCE_S)
    assert b"answers/s" in shown
    assert b"Traceback" not in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


@pytest.fixture(scope="module")
def watched(lab: LabFile) -> Iterator[Watched]:
    if state()["state"] not in ("ready", "stopped"):  # the arena's own load would be ended by a run
        post("/stop")
    began_s = time.time()
    with (lab.path.parent / "watched.jsonl").open("wb") as file:
        watcher = subprocess.Popen(
            lab.command("watch", "--json"), cwd=ROOT, stdout=file, stderr=subprocess.PIPE, preexec_fn=take_interrupts
        )
        try:
            lab.run("run", "panels", timeout_s=900)
        finally:
            watcher.send_signal(signal.SIGINT)
            said = watcher.communicate(timeout=PATIENCE_S)[1]
    assert 130 == watcher.returncode, said
    run_id = str(lab.show()["run_id"])
    end_s = time.monotonic() + 2 * SELDOM_S
    while not query(PROMETHEUS, f'lab_run_info{{run_id="{run_id}",finished="yes"}}'):
        assert time.monotonic() < end_s, "the run that ended is not among the past ones"
        time.sleep(0.2)
    yield Watched(run_id, began_s, time.time())


def test_every_target_was_up_all_the_time(watched: Watched) -> None:
    """Master and exporter, at every scrape but for one that a busy machine was late with."""
    found = {one.labels["job"]: [v for _, v in one.points] for one in query_range(
        PROMETHEUS, "up", watched.began_s, watched.ended_s)}  # fmt: skip

    assert {"swarm", "exporter"} <= set(found)
    for job, values in found.items():
        assert sum(values) >= 0.95 * len(values), (job, values)
    assert all(one.value == 1 for one in query(PROMETHEUS, "up"))


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_every_metric_of_the_swarm_has_samples(name: str, watched: Watched) -> None:
    """Of each declared metric, for every variant that it is about, within the run."""
    series = f'{{__name__=~"{name}(_count)?",run_id="{watched.run_id}"}}'
    found = query_range(PROMETHEUS, f"count by (variant) ({series})", watched.began_s, watched.ended_s)

    assert set(VARIANTS) - NOT_OF.get(name, set()) <= {one.labels["variant"] for one in found}


def test_the_watcher_saw_every_trial(lab: LabFile, watched: Watched) -> None:
    """Each of the run's ten trials was under way at some second, with the variant that it loaded."""
    seen = [json.loads(line) for line in (lab.path.parent / "watched.jsonl").read_text().splitlines()]
    trials = {
        (t["number"], t["variant"], t["scenario"]) for now in seen if (t := now["trial"]) and t["number"] <= t["of"]
    }
    plan = [(t["variant"], t["scenario"]) for t in lab.show()["trials"]]

    assert {(n, *pairing) for n, pairing in enumerate(plan, start=1)} == trials
    assert set(VARIANTS) == {
        row["variant"] for now in seen for row in now["variants"] if now["run_id"] == watched.run_id
    }


def test_the_arena_has_its_name_back_after_a_run(watched: Watched) -> None:
    """What is loaded by hand afterwards is no part of the run; nothing of the run is shown under the arena's name."""
    assert ("arena", 0) == (state()["run_id"], state()["user_count"])
    assert [] == query(PROMETHEUS, 'lab_client_users{run_id="arena"}')


def test_the_time_series_of_each_trial_are_kept(lab: LabFile, watched: Watched) -> None:
    """Every trial has both files, and between them no panel and no metric of the run is missing."""
    results = lab.path.parent / "results"
    kept = [read_tracks(path) for path in list_tracks(results, watched.run_id, "panels")]
    scraped = [read_tracks(path) for path in list_tracks(results, watched.run_id, "series")]
    plan = [(t["variant"], t["scenario"]) for t in lab.show()["trials"]]
    names = {track.labels["__name__"] for one in scraped for track in one.tracks}
    every = f'count by (__name__) ({{run_id="{watched.run_id}"}})'
    held = query_range(PROMETHEUS, every, watched.began_s, watched.ended_s)

    assert plan == [(one.variant, one.scenario) for one in kept] == [(one.variant, one.scenario) for one in scraped]
    assert {} == {one.variant: one.missing for one in kept if one.missing}
    assert {panel.name for panel in panels_of_a_trial()} <= {track.panel for one in kept for track in one.tracks}
    assert {one.labels["__name__"] for one in held} <= names
    assert {metric.name for metric in METRICS if metric.kind != "histogram"} <= names
    for one in kept:
        shown = {track.labels.get("variant", one.variant) for track in one.tracks if track.panel == "threads"}
        assert {one.variant} == shown, one.scenario


@pytest.mark.parametrize("panel", ALL.values(), ids=list(ALL))
def test_every_query_has_data(panel: Panel, watched: Watched) -> None:
    """Each expression, with what a reader would choose filled in, names its variants or the lab's own sources."""
    anybody = 'scenario=~".*",variant=~".*"'
    this_run = f'run_id="{watched.run_id}",{anybody}'
    meaning = {
        "S": this_run, "B": this_run, "H": anybody, "K": 'suite="panels"',
        "I": "4s", "Q": "0.99", "E": f"{watched.ended_s}",
    }  # fmt: skip
    for expression in panel.expressions(meaning):
        found = query_range(PROMETHEUS, expression, watched.began_s, watched.ended_s)
        variants = {one.labels.get("variant") for one in found}

        assert found, expression
        # Of runtimes only two of them have something to tell.
        if panel.source not in ("host", "runtime") and "by (le)" not in expression:
            assert variants >= set(VARIANTS) - _without(panel), (expression, variants)


# Only the full variants are given a schedule, and a rate that is scored; the article's C server may answer nobody, so
# that it has no latency and nothing per answer.
OF_SCHEDULES = {"schedule-lag", "kept-throughput"}
OF_ANSWERS = {"latency", "switches", "against-baseline", "kept-p99", "kept-p50", "kept-cpu", "kept-switches"}


def _without(panel: Panel) -> set[str]:
    """Return the variants that need not have anything to show there."""
    return (
        set(VARIANTS) - set(FULL) if panel.name in OF_SCHEDULES else {"seed-c"} if panel.name in OF_ANSWERS else set()
    )


def test_what_prometheus_holds_of_the_run_is_what_the_store_does(lab: LabFile, watched: Watched) -> None:
    """The figures of `lab show`, and the run against itself: no difference."""
    shown = {
        (row["scenario"], row["variant"]): row["metrics"]["throughput_per_s"]
        for row in lab.show()["trials"]  # one of each pairing
        if row["void"] is None and row["metrics"]["throughput_per_s"] is not None
    }
    kept = query(PROMETHEUS, f'lab_run_stat{{run_id="{watched.run_id}",stat="throughput_per_second"}}')
    this_run = f'run_id="{watched.run_id}"'
    meaning = {"S": this_run, "B": this_run, "I": "4s", "E": f"{time.time()}"}
    against_itself = query(PROMETHEUS, ALL["against-baseline"].expressions(meaning)[0])

    assert shown
    assert pytest.approx(shown) == {(one.labels["scenario"], one.labels["variant"]): one.value for one in kept}
    assert {0.0} == {one.value for one in against_itself}


def test_a_run_enters_its_history_where_it_began(watched: Watched) -> None:
    """Before the run there is nothing of this lab; from its start on there is its figure."""
    meaning = {"H": 'scenario=~".*",variant=~".*"', "K": 'suite="panels"', "E": f"{watched.ended_s}"}
    expression = ALL["kept-valid"].expressions(meaning)[0]
    found = query_range(PROMETHEUS, expression, watched.began_s - 3600, watched.ended_s)
    first_s = {one.points[0][0] for one in found}

    assert set(VARIANTS) == {one.labels["variant"] for one in found}
    assert all(watched.began_s <= at_s <= watched.ended_s for at_s in first_s), (first_s, watched)


# What a variant's /stats tells beyond the contract differs; these come from runtimes that are not among VARIANTS.
OTHER_RUNTIMES = {"runtime_jvm_threads", "runtime_heap_bytes", "runtime_processes", "runtime_run_queue"}


@pytest.mark.parametrize("metric", SERVER_SIDE, ids=lambda metric: metric.name)
def test_every_metric_of_the_exporter_has_samples(metric: Metric, watched: Watched) -> None:
    """Of each variant, of the host, of the exporter; what is absent says so at /healthz, or is another runtime's."""
    health = requests.get(f"http://127.0.0.1:{PORTS['exporter_port']}/healthz", timeout=10).json()
    wanted = set(metric.values.values()) - set(health["host_missing"]) - OTHER_RUNTIMES
    selector = f'{{run_id="{watched.run_id}"}}' if metric.scope in ("variant", "namespace") else ""
    found = query_range(PROMETHEUS, metric.name + selector, watched.began_s, watched.ended_s)

    if not wanted:
        assert not found
    elif metric.collector == "stats":
        tellers = {one.labels["variant"] for one in found}
        assert tellers and tellers <= {"go-nethttp", "py-asyncio"}
    elif selector:
        assert set(VARIANTS) == {one.labels["variant"] for one in found}
    else:
        assert found


def test_sources_did_not_fail_but_where_a_server_was_gone(watched: Watched) -> None:
    """No number of this run is missing for want of a capability, a parser or a namespace."""
    found = query_range(PROMETHEUS, "lab_collector_errors_total", watched.began_s, watched.ended_s)
    failed = {one.labels["source"]: one.points[-1][1] - one.points[0][1] for one in found}

    assert {"stats", "tcp_sockets", "accept_queue", "host_stat"} <= set(failed)
    assert {} == {source: count for source, count in failed.items() if count}


def is_drawn(card: Any) -> bool:
    """A chart of at least one series is there."""
    return int(card.get_attribute("data-drawn") or 0) > 0 and bool(card.find_elements("tag name", "svg"))


@pytest.mark.browser
def test_the_live_page_draws_every_panel(watched: Watched, page: Page) -> None:
    """Each page's charts are drawn from the run, its variants are there to choose, and nothing complains."""
    page.driver.get(PAGE)
    page.wait("the run", lambda: f"Run {watched.run_id}: {len(VARIANTS)} variants" in page.status())
    page.choose("run", watched.run_id)
    look_at_every_panel(page, "run", document())

    assert [] == page.complaints()


@pytest.fixture(scope="module")
def served(lab: LabFile, watched: Watched) -> Iterator[str]:
    """`lab report --serve`, ended with Ctrl-C."""
    command = lab.command("report", "--serve", "--port", "0")
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=take_interrupts
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert (130, False) == (process.returncode, "Traceback" in said), said


@pytest.mark.browser
def test_the_page_draws_every_panel_from_files(served: str, watched: Watched, page: Page) -> None:
    """The same panels with no Prometheus asked; trials can be laid over each other; nothing complains."""
    page.driver.get(served)
    page.wait("the run", lambda: f"Run {watched.run_id}: {len(VARIANTS)} variants, 10 trials" in page.status())
    look_at_every_panel(page, "kept", document(is_kept=True))
    page.driver.find_elements("css selector", "#pages button")[0].click()
    page.choose("lined", "yes")
    page.choose("scenario", "hold-short")
    card = page.driver.find_element("id", "threads")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    marks = "return [...arguments[0].querySelectorAll('.xtick')].map((one) => one.textContent)"
    page.wait(
        "seconds from the start",
        lambda: any(mark.endswith(" s") for mark in page.driver.execute_script(marks, card)),
    )
    page.driver.execute_script("window.scrollTo(0, 0)")
    page.picture("kept-lined-up")
    asked = page.driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")

    assert str(len(VARIANTS)) == card.get_attribute("data-drawn")
    assert asked and all(url.startswith(served.removesuffix("/lab")) for url in asked)
    assert [] == page.complaints()


def look_at_every_panel(page: Page, called: str, told: dict[str, Any]) -> None:
    """Turn every page, wait until each of its charts is drawn, take a picture of each; every variant can be chosen."""
    for number, one in enumerate(told["dashboards"]):
        page.driver.find_elements("css selector", "#pages button")[number].click()
        names = [panel["name"] for row in one["rows"] for panel in row["panels"]]
        assert names == [card.get_attribute("id") for card in page.cards()]
        for card in page.cards():
            page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
            page.wait(f"{one['uid']} {card.get_attribute('id')} drawn", partial(is_drawn, card))
        page.driver.execute_script("window.scrollTo(0, 0)")
        page.picture(f"{called}-{one['uid']}")

    assert set(VARIANTS) == {
        one.get_attribute("data-variant") for one in page.driver.find_elements("css selector", "#variants label")
    }


@pytest.mark.browser
def test_the_live_page_goes_by_keyboard_and_on_a_phone(watched: Watched, page: Page) -> None:
    """Tab leads to every control, Enter turns the page, Space leaves a variant out; nothing is wider than a phone."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.driver.get(PAGE)
    page.wait("the run", lambda: watched.run_id in page.status())
    page.wait("the variants", lambda: page.driver.find_elements("css selector", "#variants input"))

    def focused() -> Any:
        return page.driver.switch_to.active_element

    def go_to(found: Callable[[Any], bool]) -> None:
        for _ in range(30):
            ActionChains(page.driver).send_keys(Keys.TAB).perform()
            if found(focused()):
                return
        raise AssertionError("thirty times Tab, and it was not there")

    go_to(lambda element: element.get_attribute("data-uid") == DASHBOARDS[1].uid)
    focused().send_keys(Keys.ENTER)
    assert [panel.name for panel in DASHBOARDS[1].panels] == [card.get_attribute("id") for card in page.cards()]

    go_to(lambda element: element.get_attribute("type") == "checkbox")
    left_out = focused().find_element("xpath", "..").get_attribute("data-variant")
    focused().send_keys(Keys.SPACE)
    drawn = page.driver.find_element("id", "threads")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", drawn)
    page.wait(f"the threads without {left_out}", lambda: drawn.get_attribute("data-drawn") == str(len(VARIANTS) - 1))

    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    page.driver.execute_script("window.scrollTo(0, 0)")
    widest = (
        "return Math.max(...[...document.querySelectorAll('.panel, header, .chart svg')]"
        ".map((one) => one.getBoundingClientRect().right))"
    )
    page.wait("charts as narrow as the phone", lambda: page.driver.execute_script(widest) <= 390)
    page.picture("phone")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert [] == page.complaints()
