"""A scripted run over all six variants: every planned trial, right answers, known signatures, honest blanks."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import FULL, VARIANTS, LabFile

SCENARIOS = {
    "plain-short": {
        "summary": "a short closed loop",
        "kind": "closed",
        "path": "/plain",
        "connections": 20,
        "warmup": "500ms",
        "measure": "2s",
        "timeout": "5s",
    },
    "hold-short": {
        "summary": "a short hold",
        "kind": "hold",
        "connections": 500,
        "delay": "3s",
        "timeout": "4s",
    },
}
SUITES = {
    "all": {
        "summary": "all six, once", "scenarios": ["plain-short", "hold-short"], "variants": list(VARIANTS),
        "trials": 1, "profile": "default", "seed": 7,
    },
}  # fmt: skip
METRICS = {
    "throughput_per_s", "p50_s", "p99_s", "p999_s", "requests", "errors", "connections_requested", "connections_held",
    "connections_failed", "threads_peak", "memory_bytes_per_connection", "cpu_s_per_10k_requests",
    "context_switches_per_request",
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(make_lab: Any) -> LabFile:
    made: LabFile = make_lab(scenarios=SCENARIOS, suites=SUITES)
    return made


@pytest.fixture(scope="module")
def document(lab: LabFile) -> dict[str, Any]:
    done = lab.run("run", "all", timeout_s=900)
    assert "per trial" in done.stdout
    return lab.show()


def trial(document: dict[str, Any], variant: str, scenario: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in document["trials"] if t["variant"] == variant and t["scenario"] == scenario)
    return found


def test_every_planned_trial_is_there_and_none_is_void(document: dict[str, Any]) -> None:
    """Four full variants serve both scenarios, the two seeds the hold alone."""
    wanted = {(v, "plain-short") for v in FULL} | {(v, "hold-short") for v in VARIANTS}

    assert wanted == {(t["variant"], t["scenario"]) for t in document["trials"]}
    assert {} == {t["variant"]: t["void"] for t in document["trials"] if t["void"] is not None}


def test_every_metric_is_measured_or_explained(document: dict[str, Any]) -> None:
    """A null metric has its reason beside it, and no metric of the contract is absent."""
    for found in document["trials"]:
        metrics = found["metrics"]
        unexplained = [m for m, v in metrics.items() if v is None and not found["missing"].get(m)]

        assert set() == METRICS - set(metrics)
        assert [] == unexplained, found["variant"]


def test_full_variants_answer_every_request_rightly(document: dict[str, Any]) -> None:
    """No wrong, late or missing answer from a variant that claims the contract."""
    for name in FULL:
        for scenario in ("plain-short", "hold-short"):
            metrics = trial(document, name, scenario)["metrics"]
            assert {} == metrics["errors"], name
            assert metrics["requests"] > 0
    for name in (*FULL, "seed-go"):
        metrics = trial(document, name, "hold-short")["metrics"]
        assert (500, 500, 0) == tuple(metrics[f"connections_{k}"] for k in ("requested", "held", "failed")), name


def test_a_hold_lasts_as_long_as_its_delay(document: dict[str, Any]) -> None:
    """The instrument's own calibration: no answer of a 3 s hold is timed at less."""
    for name in (*FULL, "seed-go"):
        metrics = trial(document, name, "hold-short")["metrics"]
        assert 3.0 <= metrics["p50_s"] <= metrics["p99_s"] <= metrics["p999_s"], name


def test_seed_c_shows_its_defects_as_counted_errors(document: dict[str, Any]) -> None:
    """The shared buffer and the descriptor passed by pointer hang most clients and give others foreign data."""
    metrics = trial(document, "seed-c", "hold-short")["metrics"]
    errors = metrics["errors"]

    assert sum(errors.values()) == metrics["connections_failed"]
    assert metrics["connections_requested"] == metrics["connections_held"] + metrics["connections_failed"]
    assert metrics["connections_failed"] > 450
    assert any("timeout" in kind or "no answer" in kind for kind in errors), errors


def test_epoll_needs_fewer_threads_and_less_memory_than_threads(document: dict[str, Any]) -> None:
    """One loop holds what takes the other server a thread and its stacks for each connection."""
    epoll = trial(document, "c-epoll", "hold-short")["metrics"]
    threads = trial(document, "c-threads", "hold-short")["metrics"]

    assert 1 == epoll["threads_peak"]
    assert threads["threads_peak"] >= 500
    assert epoll["memory_bytes_per_connection"] * 2 < threads["memory_bytes_per_connection"]


def test_nothing_of_a_run_is_left(lab: LabFile, document: dict[str, Any], client: Any) -> None:
    """A run that found no standing lab leaves none."""
    assert [] == lab.containers(client)
    assert "all" == document["suite"]


@pytest.mark.browser
def test_the_report_opens_from_disk(lab: LabFile, document: dict[str, Any], browser: Any) -> None:
    """One file: every chart is drawn, tables sort, raw data is one click away, and the console has no complaint."""
    page = Path(lab.run("report").stdout.strip())
    browser.get(page.as_uri())
    charts = browser.find_elements("css selector", "[data-chart] .chart")
    first = browser.find_element("css selector", "table.sorts tbody td").text
    browser.find_elements("css selector", "table.sorts th button")[0].click()
    names = [row.text.split()[0] for row in browser.find_elements("css selector", "table.sorts")[0].find_elements(
        "css selector", "tbody tr")]  # fmt: skip
    raw = browser.find_element("css selector", "details a[href]").get_attribute("href")

    assert len(charts) >= 8
    assert all(chart.find_elements("tag name", "svg") for chart in charts)
    assert first
    assert sorted(names, reverse=True) == names
    assert Path(raw.removeprefix("file://")).is_file()
    row = browser.find_element("css selector", "table.sorts td.links a")
    aim = row.get_attribute("href").partition("#")[2]
    row.click()
    assert browser.find_element("id", aim).is_displayed()  # a click on "show" unfolds the trials
    direct = browser.find_elements("css selector", "table.sorts td.links a")[1].get_attribute("href")
    assert Path(direct.removeprefix("file://")).is_file()
    assert [] == [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.browser
def test_the_report_fits_a_phone_and_unfolds_for_paper(lab: LabFile, document: dict[str, Any], browser: Any) -> None:
    """No part of the page is wider than a phone's screen; printed, every trial's row is there."""
    browser.get(Path(lab.run("report").stdout.strip()).as_uri())
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        browser.refresh()
        wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1] == 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    folded = browser.execute_script(
        "dispatchEvent(new Event('beforeprint'));"
        "const shut = document.querySelectorAll('details:not([open])').length;"
        "dispatchEvent(new Event('afterprint')); return shut"
    )

    assert (b"%PDF", 0) == (printed[:4], folded)
    assert [] == [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
