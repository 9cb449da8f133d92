"""The arena seen by a person: the page before there is anything to draw and under load, and `lab watch` beside it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.engine.conftest import FULL, ROOT, LabFile
from tests.engine.panels.stand import PAGE, PATIENCE_S, Page, post, take_interrupts


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
def loaded(lab: LabFile) -> Iterator[None]:
    """A swarm started by hand: four variants of the arena at once, as from the web page."""
    done = post("/swarm", user_count=4, spawn_rate=4, scenario="plain", variants=list(FULL), connections_per_user=30)
    assert done["success"], done
    yield
    post("/stop")


LOOKED_S = 8
THEME = "return document.documentElement.dataset.theme"
# Arguments: a panel's name, for how many milliseconds. Answers with how often it was drawn anew in that time.
REDRAWN = """
const [name, span, done] = arguments;
let count = 0;
const watch = new MutationObserver((changes) => { count += changes.length; });
watch.observe(document.getElementById(name), { attributeFilter: ["data-version"] });
setTimeout(() => { watch.disconnect(); done(count); }, span);
"""


@pytest.mark.browser
def test_the_live_page_under_load(loaded: None, page: Page) -> None:
    """Variants side by side at the same time, what the client sees and what the servers cost; it moves; all are up."""
    page.driver.get(PAGE)
    page.wait("the swarm", lambda: "Run arena: " in page.status())
    for name in ("throughput", "latency", "server-cpu", "memory", "threads"):
        card = page.driver.find_element("id", name)
        page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
        page.wait(name, lambda card=card: int(card.get_attribute("data-drawn") or 0) >= len(FULL))  # type: ignore[misc]
    page.driver.set_script_timeout(PATIENCE_S)
    redrawn = page.driver.execute_async_script(REDRAWN, "threads", 1000 * LOOKED_S)

    def is_known(*facts: str) -> bool:
        return all(fact in page.driver.find_element("id", "facts").text for fact in facts)

    page.wait("who answers", lambda: is_known("swarm up", "exporter up", "probes up", "runs up"))
    for look in ("dark", "light"):
        page.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": look}]}
        )
        page.driver.execute_script("window.scrollTo(0, 0)")
        page.wait(f"the {look} page", lambda look=look: page.driver.execute_script(THEME) == look)  # type: ignore[misc]
        time.sleep(1.5)  # a picture of charts that have been drawn anew, for eyes only
        page.picture(f"load-{look}")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert redrawn >= LOOKED_S / 2  # once a second; half of that where the machine is busy with others
    assert [True] == [True for rung in ("ebpf", "perf", "taskstats") if is_known(f"kernel side: {rung}")]
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
