"""A browser without a window, and Locust's form as a person fills it in. selenium is imported on first use."""

from __future__ import annotations

import shutil
from typing import Any

_FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1400,1400",
)  # fmt: skip


def open_browser(*, keeps_log: bool = False) -> Any:
    """Return Debian's chromium, driven by its chromedriver; the caller quits it. keeps_log: what its console says."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in _FLAGS:
        options.add_argument(f"--{flag}")
    if keeps_log:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def start_swarm(driver: Any, variants: list[str]) -> None:
    """Fill in Locust's start form and press its button."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    driver.find_element(By.XPATH, "//button[contains(., 'Custom parameters')]").click()
    WebDriverWait(driver, 10).until(lambda d: d.find_element(By.NAME, "scenario").is_displayed())
    Select(driver.find_element(By.NAME, "scenario")).select_by_value("plain")
    choice = Select(driver.find_element(By.NAME, "variants"))
    for option in [str(o.get_attribute("value")) for o in choice.options]:
        (choice.select_by_value if option in variants else choice.deselect_by_value)(option)
    driver.find_element(By.XPATH, "//button[@type='submit']").click()


def text(driver: Any) -> str:
    """Return what a person reads on the page."""
    from selenium.webdriver.common.by import By

    return str(driver.find_element(By.TAG_NAME, "body").text)
