"""No panel is empty: every query of every dashboard, asked of a real Prometheus that watched a real run.

And the live page draws the same panels in a browser, before there is anything to draw and after.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from dashboards.panel import Panel
from dashboards.panels import DASHBOARDS
from orchestrator.observe.exporter.declared import METRICS
from orchestrator.observe.exporter.metric import Metric
from orchestrator.observe.prometheus import SELDOM_S, query, query_range
from tests.engine.conftest import PORTS, LabFile

PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"
VARIANTS = ["c-epoll", "go-nethttp"]
# One load for each kind of question: answers, schedule lag, memory of connections.
SCENARIOS = {
    "open-short": {
        "summary": "arrivals by the clock", "kind": "open", "path": "/plain", "connections": 300, "rate": "2000/s",
        "warmup": "1s", "measure": "4s", "timeout": "5s",
    },
    "hold-short": {"summary": "a short hold", "kind": "hold", "connections": 800, "delay": "4s", "timeout": "5s"},
}  # fmt: skip
SUITES = {
    "panels": {
        "summary": "something for every panel", "scenarios": list(SCENARIOS), "variants": VARIANTS,
        "trials": 1, "profile": "default", "seed": 3,
    },
}  # fmt: skip
ALL = {panel.name: panel for dashboard in DASHBOARDS for panel in dashboard.panels}


@dataclass(frozen=True)
class Watched:
    """A run, and between which instants Prometheus watched it."""

    run_id: str
    began_s: float
    ended_s: float


# The page in a browser: what a wait may take, and where pictures go for whoever wants to look (LAB_SCREENSHOTS).
PATIENCE_S = 30.0
PAGE = f"http://127.0.0.1:{PORTS['web_port']}/lab"


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
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES, arena={"variants": VARIANTS})
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


@pytest.fixture(scope="module")
def watched(lab: LabFile) -> Watched:
    began_s = time.time()
    lab.run("run", "panels")
    run_id = str(lab.show()["run_id"])
    end_s = time.monotonic() + 2 * SELDOM_S
    while not query(PROMETHEUS, f'lab_run_info{{run_id="{run_id}",finished="yes"}}'):
        assert time.monotonic() < end_s, "the run that ended is not among the past ones"
        time.sleep(0.2)
    return Watched(run_id, began_s, time.time())


@pytest.mark.parametrize("panel", ALL.values(), ids=list(ALL))
def test_every_query_has_data(panel: Panel, watched: Watched) -> None:
    """Each expression, with what a reader would choose filled in, names both variants or the lab's own sources."""
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
        # Of the two only Go's has a runtime to tell of.
        if panel.source not in ("host", "runtime") and "by (le)" not in expression:
            assert variants >= set(VARIANTS), (expression, variants)


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
OTHER_RUNTIMES = {"runtime_jvm_threads", "runtime_heap_bytes", "runtime_processes", "runtime_run_queue",
                  "runtime_loop_lag_s"}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_of_the_exporter_has_samples(metric: Metric, watched: Watched) -> None:
    """Of each variant, of the host, of the exporter; what is absent says so at /healthz, or is another runtime's."""
    health = requests.get(f"http://127.0.0.1:{PORTS['exporter_port']}/healthz", timeout=10).json()
    wanted = set(metric.values.values()) - set(health["host_missing"]) - OTHER_RUNTIMES
    selector = f'{{run_id="{watched.run_id}"}}' if metric.scope in ("variant", "namespace") else ""
    found = query_range(PROMETHEUS, metric.name + selector, watched.began_s, watched.ended_s)

    if not wanted:
        assert not found
    elif metric.collector == "stats":
        assert {"go-nethttp"} == {one.labels["variant"] for one in found}
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
    """Each page's charts are drawn from the run, both variants are there to choose, and nothing complains."""
    page.driver.get(PAGE)
    page.wait("the run", lambda: f"Run {watched.run_id}: 2 variants" in page.status())
    page.choose("run", watched.run_id)
    for number, dashboard in enumerate(DASHBOARDS):
        page.driver.find_elements("css selector", "#pages button")[number].click()
        assert [panel.name for panel in dashboard.panels] == [card.get_attribute("id") for card in page.cards()]
        for card in page.cards():
            page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
            page.wait(f"{dashboard.uid} {card.get_attribute('id')} drawn", partial(is_drawn, card))
        page.driver.execute_script("window.scrollTo(0, 0)")
        page.picture(dashboard.uid)

    assert set(VARIANTS) == {
        one.get_attribute("data-variant") for one in page.driver.find_elements("css selector", "#variants label")
    }
    assert [] == page.complaints()


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
    page.wait(f"the threads without {left_out}", lambda: drawn.get_attribute("data-drawn") == "1")

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
