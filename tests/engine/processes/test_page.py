"""Locust's page in a browser, with the lab's additions: the start form, connections beside users, the tab."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.browser import open_browser
from tests.engine.processes.lab import HOST, Lab, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="no chromium and chromedriver on this machine (apt-get install chromium-driver)",
    ),
]

SCENARIOS = {
    "plain": {"kind": "closed", "users": "engine", "connections": 60},
    "hold": {"kind": "hold", "path": "/delay", "delay_s": 60, "users": "engine", "connections": 60},
    "python": {"kind": "closed", "users": "locust"},
    "late": {"kind": "open", "users": "locust", "rate_per_s": 10},
}


@pytest.fixture(scope="module")
def lab(c_epoll: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("page"), c_epoll, SCENARIOS) as lab:
        lab.start_swarm(1)
        yield lab


@pytest.fixture
def driver(lab: Lab) -> Iterator[Any]:
    driver = open_browser()
    try:
        driver.get(f"http://{HOST}:{lab.web}")
        yield driver
    finally:
        driver.quit()
        lab.stop(1)


def find(driver: Any, how: str, what: str) -> Any:
    """Return the first such element that is shown."""
    return wait_for(what, lambda: next((e for e in driver.find_elements(how, what) if e.is_displayed()), None))


def start(driver: Any, scenario: str, users: int, per_user: str) -> None:
    """Fill in Locust's start form as a person does, and press its button."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    def fill(name: str, value: str) -> None:
        field = find(driver, By.NAME, name)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(value)

    if not driver.find_elements(By.NAME, "userCount"):  # a test was here before
        find(driver, By.XPATH, "//button[contains(., 'New')]").click()
    for name, value in (("userCount", users), ("spawnRate", users)):
        fill(name, str(value))
    find(driver, By.XPATH, "//button[contains(., 'Custom parameters')]").click()
    Select(find(driver, By.NAME, "scenario")).select_by_value(scenario)
    fill("connectionsPerUser", per_user)
    find(driver, By.XPATH, "//button[@type='submit']").click()


def text(driver: Any) -> str:
    """Return what a person reads on the page."""
    from selenium.webdriver.common.by import By

    return str(driver.find_element(By.TAG_NAME, "body").text)


def test_established_connections_stand_beside_the_users(lab: Lab, driver: Any) -> None:
    """3 users x 20 connections: the line above the page says 3 and 60, and the tab has the variant's row."""
    from selenium.webdriver.common.by import By

    start(driver, "hold", 3, "20")
    wait_for("the line shows both", lambda: "Users 3 \u00b7 Connections established 60" in text(driver))
    find(driver, By.XPATH, "//button[contains(., 'Connections')]").click()
    wait_for("the tab has the row", lambda: re.search(r"(?m)^v\W+3\W+60\W+0\W+60\b", text(driver)))
    severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]

    assert "CONNECTIONS ESTABLISHED" in text(driver).upper()
    assert [] == severe
    assert 60 == lab.connections()["established"]


@pytest.mark.parametrize(("scenario", "users", "per_user"), [("plain", 2, "30"), ("python", 60, "1")])
def test_fractions_of_a_millisecond_are_read_on_the_page(
    lab: Lab, driver: Any, scenario: str, users: int, per_user: str
) -> None:
    """The statistics of either kind of user have a median that is no whole number, in the JSON and on the page."""
    start(driver, scenario, users, per_user)
    row = wait_for(
        "answers are in the statistics",
        lambda: next((r for r in lab.get("/stats/requests")["stats"] if r["num_requests"] > 1000), None),
    )
    wait_for("sixty connections", lambda: f"Users {users} \u00b7 Connections established 60" in text(driver))
    shown = wait_for("the page has the row", lambda: re.search(r"(?m)^GET\s*v /plain\s(.*)$", text(driver)))

    assert "v /plain" == row["name"]
    assert 0 < row["min_response_time"] < row["median_response_time"]
    assert row["min_response_time"] != int(row["min_response_time"])
    # requests, fails, median, 95 %, 99 %, average, minimum, maximum, ...
    assert "." in shown[1].split()[6]


def test_the_form_says_why_it_does_not_start(lab: Lab, driver: Any) -> None:
    """A Python user cannot keep a schedule: the reason is on the page, and nothing runs."""
    start(driver, "late", 1, "1")
    wait_for("the reason is shown", lambda: "write users: engine" in text(driver))

    assert 0 == lab.state()["user_count"]
