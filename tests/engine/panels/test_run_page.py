"""The run's panels in a browser: live, from files, by keyboard and on a phone."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from dashboards.live import document
from dashboards.panels import DASHBOARDS
from tests.engine.conftest import FULL, ROOT, VARIANTS, LabFile
from tests.engine.panels.stand import PAGE, PATIENCE_S, Page, Watched, take_interrupts

TRIALS = len(VARIANTS) + 2 * len(FULL)  # holds are for everybody


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
    look_at_the_heat_maps(page)
    look_at_the_scales(page)

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
    page.wait("the run", lambda: f"Run {watched.run_id}: {len(VARIANTS)} variants, {TRIALS} trials" in page.status())
    look_at_every_panel(page, "kept", document(is_kept=True))
    look_at_the_heat_maps(page)
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


def look_at_the_scales(page: Page) -> None:
    """Latency on decades, and what begins at zero beside it as before."""
    page.driver.find_elements("css selector", "#pages button")[0].click()
    scale = "return arguments[0].querySelector('.chart')._fullLayout.yaxis.type"
    for name, expected in (("latency", "log"), ("throughput", "linear")):
        card = page.driver.find_element("id", name)
        page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
        page.wait(f"{name} drawn", partial(is_drawn, card))
        assert expected == page.driver.execute_script(scale, card)


def look_at_the_heat_maps(page: Page) -> None:
    """One for each variant that answered, under its name; who is left out has none."""
    page.driver.find_elements("css selector", "#pages button")[0].click()
    card = page.driver.find_element("id", "latency-heatmap")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    names = "return [...arguments[0].querySelectorAll('figure')].filter((one) => one.querySelector('svg'))"
    names += ".map((one) => one.querySelector('figcaption').textContent)"

    def shown() -> list[str]:
        return list(page.driver.execute_script(names, card))

    everybody = set(VARIANTS) - {"seed-c"}  # which may answer nobody
    page.wait("a heat map of each", lambda: everybody <= set(shown()))
    assert sorted(shown()) == shown() and set(shown()) <= set(VARIANTS)

    chip = page.driver.find_element("css selector", "#variants [data-variant=c-epoll] input")
    chip.click()
    page.wait("a heat map less", lambda: everybody - {"c-epoll"} == set(shown()) - {"seed-c"})
    chip.click()
    page.wait("all of them again", lambda: everybody <= set(shown()))


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
