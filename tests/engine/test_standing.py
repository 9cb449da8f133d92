"""What `lab up` leaves standing, seen as a person sees it: pages, targets, variants, the web UI in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import pytest

from orchestrator.containers.labels import LAB
from orchestrator.containers.launch import run_inside
from tests.engine.browser import open_browser, start_swarm, text
from tests.engine.conftest import FULL, PORTS, ROOT, VARIANTS, LabFile

WEB = f"http://127.0.0.1:{PORTS['web_port']}"
SERVER_SIDE = (
    "lab_server_up",
    "lab_server_cpu_seconds_total",
    "lab_server_memory_bytes{kind='rss'}",
    "lab_server_memory_bytes{kind='pss'}",
    "lab_cgroup_memory_bytes",
    "lab_server_threads",
    "lab_server_open_fds",
    "lab_server_context_switches_total{kind='voluntary'}",
)
NOWHERE = "localhost:1/grafana:none"  # no engine has it, and no registry listens there
PROMETHEUS = f"http://127.0.0.1:{PORTS['prometheus_port']}"


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def things(client: docker.DockerClient) -> tuple[set[str], set[str], set[str]]:
    """Return what exists on the engine: container ids, network ids, volume names."""
    return (
        {str(c.id) for c in client.containers.list(all=True, ignore_removed=True)},
        {str(n.id) for n in client.networks.list()},
        {str(v.name) for v in client.volumes.list()},
    )


@pytest.fixture(scope="module")
def before(client: docker.DockerClient) -> tuple[set[str], set[str], set[str]]:
    return things(client)


@pytest.fixture(scope="module")
def standing(make_lab: Any, before: object) -> Iterator[LabFile]:
    lab: LabFile = make_lab(grafana={"use": "auto", "image": NOWHERE})
    done = lab.run("up", "--no-load", timeout_s=900)
    assert 1 == done.stderr.count(f"no Grafana: this engine has no image {NOWHERE}"), done.stderr
    for name in VARIANTS:
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert "verified" in row, row
    assert WEB in done.stdout
    assert PROMETHEUS in done.stdout
    yield lab


def test_every_page_answers_and_every_target_is_up(standing: LabFile) -> None:
    """The Locust page answers, and Prometheus has no target that is not up."""
    targets = json.loads(get(f"{PROMETHEUS}/api/v1/targets"))["data"]["activeTargets"]

    assert b"Locust" in get(WEB)
    assert {"swarm", "exporter", "probes", "runs"} == {t["labels"]["job"] for t in targets}
    # Past runs are asked for every 15 s; their first scrape may be still to come.
    assert {"up"} == {t["health"] for t in targets if t["labels"]["job"] != "runs" or t["health"] != "unknown"}


def test_a_grafana_that_cannot_be_had_is_said_and_nothing_else(standing: LabFile) -> None:
    """`lab up` went on without; `lab status` has the reason for whoever looks later."""
    pages = json.loads(standing.run("status", "--json").stdout)["pages"]
    grafana = [page for page in pages if page["page"].startswith("Grafana")]

    assert [""] == [page["address"] for page in grafana]
    assert f"missing: this engine has no image {NOWHERE} and cannot pull it" in grafana[0]["state"]


@pytest.mark.parametrize("name", FULL)
def test_plain_answers_inside_the_arena(standing: LabFile, client: docker.DockerClient, name: str) -> None:
    """GET /plain from inside the pod brings the 13 bytes."""
    address = f"127.1.0.{VARIANTS.index(name) + 1}"
    inside = client.containers.get(f"netpoll-lab-{standing.id}-arena-worker-0")
    script = f"import urllib.request; print(urllib.request.urlopen('http://{address}:8080/plain', timeout=5).read())"
    code, output = run_inside(client, str(inside.id), ["python3", "-c", script])

    assert (0, "b'Hello, world!'") == (code, output.strip())


def test_the_kernel_tracks_no_connection_of_the_pod(standing: LabFile, client: docker.DockerClient) -> None:
    """Tracking costs each packet something and is a wall at nf_conntrack_max: a network with NAT rules brings it in."""
    worker = client.containers.get(f"netpoll-lab-{standing.id}-arena-worker-0")
    ask = (
        "import urllib.request\n"
        "for _ in range(20): urllib.request.urlopen('http://127.1.0.3:8080/plain').read()\n"
        "try: print(open('/proc/sys/net/netfilter/nf_conntrack_count').read())\n"
        "except FileNotFoundError: print(0)\n"
    )
    code, output = run_inside(client, str(worker.id), ["python3", "-c", ask])
    assert (0, "0") == (code, output.strip()), output


def test_a_second_up_changes_no_container(standing: LabFile, client: docker.DockerClient) -> None:
    """The same containers, not restarted, stand after another `lab up`."""

    def seen() -> dict[str, str]:
        found = client.containers.list(filters={"label": f"{LAB}={standing.id}"})
        return {str(c.id): str(c.attrs["State"]["StartedAt"]) for c in found}

    earlier = seen()
    standing.run("up", "--no-load")

    assert len(VARIANTS) + 6 == len(earlier)
    assert earlier == seen()


def test_servers_run_unprivileged_and_read_only(standing: LabFile, client: docker.DockerClient) -> None:
    """No server has root, a capability, a writable root or a way to gain privileges."""
    for name in VARIANTS:
        container = client.containers.get(f"netpoll-lab-{standing.id}-arena-{name}")
        host = container.attrs["HostConfig"]
        _, status = run_inside(client, str(container.id), ["cat", "/proc/1/status"])
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

        assert "65534" == fields["Uid"].split()[0]
        assert 0 == int(fields["CapEff"], 16) == int(fields["CapBnd"], 16)
        assert "1" == fields["NoNewPrivs"].strip()
        assert host["ReadonlyRootfs"] is True
        assert [] == [p for p in (host["PortBindings"] or {}) if p]


def test_a_planted_defect_fails_verification(standing: LabFile, client: docker.DockerClient) -> None:
    """The probe refuses seed-go when it is asked to be a full HTTP variant: it knows one answer only."""
    inside = client.containers.get(f"netpoll-lab-{standing.id}-arena-worker-0")
    asked = {"variant": "seed-go", "host": "127.1.0.1", "port": 8080, "speaks": "http", "fixed_delay": False}
    _, output = run_inside(client, str(inside.id), ["python3", "-m", "swarm.probe", json.dumps(asked)])
    answer = json.loads(output)

    assert answer["ok"] is False
    assert [] != [c["name"] for c in answer["checks"] if not c["ok"]]


@pytest.mark.browser
@pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("chromedriver") is None,
    reason="no chromium and chromedriver on this machine (apt-get install chromium-driver)",
)
def test_a_person_starts_a_swarm_in_the_web_ui(standing: LabFile, tmp_path: Path) -> None:
    """Choosing a scenario and two variants and pressing start brings a row of statistics for each."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    driver = open_browser()
    try:
        driver.get(WEB)
        wait = WebDriverWait(driver, 30)
        wait.until(lambda d: d.find_elements(By.NAME, "userCount"))
        start_swarm(driver, ["c-epoll", "go-nethttp"])
        wait.until(lambda d: {"c-epoll /plain", "go-nethttp /plain"} <= rows_with_requests())
        wait.until(lambda d: all(f"{v} /plain" in text(d) for v in ("c-epoll", "go-nethttp")))
        driver.save_screenshot(str(tmp_path / "running.png"))
        log: Any = driver.get_log("browser")

        assert "seed-c" not in text(driver)
        assert [] == [entry for entry in log if entry["level"] == "SEVERE"]
    finally:
        driver.quit()
        urllib.request.urlopen(urllib.request.Request(f"{WEB}/stop", method="POST"), timeout=30).close()


def rows_with_requests() -> set[str]:
    """Return the names of the statistics' rows that have counted requests."""
    stats = json.loads(get(f"{WEB}/stats/requests"))["stats"]
    return {row["name"] for row in stats if row["num_requests"] > 0}


def test_prometheus_holds_both_sides_of_a_swarm(standing: LabFile) -> None:
    """After a swarm, samples of the server side and of the client side carry each variant's label."""
    deadline_s = time.monotonic() + 15
    wanted = {metric: set(VARIANTS) for metric in SERVER_SIDE} | {
        "lab_server_epoll_watches": {"c-epoll", "go-nethttp", "py-asyncio"},
        "lab_net_tcp_passive_opens_total": {"arena (shared)"},
        "lab_net_tcp_listen_overflows_total": {"arena (shared)"},
        "lab_client_request_duration_seconds_count": {"c-epoll", "go-nethttp"},
    }
    for metric, names in wanted.items():
        while True:
            found = json.loads(get(f"{PROMETHEUS}/api/v1/query?query={quote(metric)}"))["data"]["result"]
            seen = {s["metric"].get("variant") for s in found}
            if names <= seen or time.monotonic() > deadline_s:
                break
            time.sleep(0.3)
        assert names <= seen, metric


def test_sub_millisecond_latencies_survive_in_locusts_own_page(standing: LabFile) -> None:
    """After the swarm above, Locust's median of c-epoll is a fraction of a millisecond and not a whole number."""
    stats = json.loads(get(f"{WEB}/stats/requests"))["stats"]
    row = next(r for r in stats if r["name"] == "c-epoll /plain")
    median_ms = row["median_response_time"]

    assert 0 < median_ms
    assert median_ms != int(median_ms)


def test_one_more_variant_joins_the_arena_and_stays(make_lab: Any, client: docker.DockerClient) -> None:
    """It has an address behind the others', a second `lab up` and a run leave it there, and `lab down` forgets it."""
    ports = {"web_port": 28489, "prometheus_port": 29490, "exporter_port": 29400}  # beside the lab that stands here
    lab: LabFile = make_lab(arena={"variants": ["c-epoll"]}, observability=ports)
    lab.run("up", "--no-load", timeout_s=900)
    alone = lab.containers(client)
    joined = lab.run("up", "--no-load", "--variant", "py-asyncio").stdout
    beside = lab.containers(client)
    lab.run("up", "--no-load")
    lab.run("run", "first-light@c-threads")  # whom the arena does not know, so that the master is told anew twice
    targets = json.loads(master_environment(client, lab)["LAB_SWARM"])["targets"]
    after = lab.containers(client)
    lab.run("down")
    lab.run("up", "--no-load")

    assert [f"netpoll-lab-{lab.id}-arena-py-asyncio"] == sorted(set(beside) - set(alone))
    assert "127.1.0.2:8080" in next(line for line in joined.splitlines() if line.startswith("py-asyncio"))
    assert {"c-epoll": "127.1.0.1", "py-asyncio": "127.1.0.2"} == {n: t["host"] for n, t in targets.items()}
    assert beside == after
    again = lab.containers(client)
    lab.run("down")

    assert alone == again


def master_environment(client: docker.DockerClient, lab: LabFile) -> dict[str, str]:
    told = client.containers.get(f"netpoll-lab-{lab.id}-master").attrs["Config"]["Env"]
    return dict(entry.split("=", 1) for entry in told)


def test_a_run_leaves_a_standing_lab_as_it_was(standing: LabFile, client: docker.DockerClient) -> None:
    """The arena stands still during a scripted run; afterwards its servers run and its worker is back at the master."""
    names = standing.containers(client)
    standing.run("run", "smoke")
    states = {c.name: c.status for c in client.containers.list(filters={"label": f"{LAB}={standing.id}"})}
    workers: list[str] = []
    ends_s = (
        time.monotonic() + 30.0
    )  # its container runs at once; importing Locust takes as long as the machine is busy
    while not workers and time.monotonic() < ends_s:
        time.sleep(0.1)
        told = json.loads(get(f"{WEB}/lab/state"))["workers"]
        workers = [worker["id"] for worker in told if worker["state"] != "missing"]

    assert names == standing.containers(client)
    assert {"running"} == set(states.values())
    assert ["arena-worker-0"] == workers
    assert {None} == {t["void"] for t in standing.show()["trials"]}


def test_a_run_that_was_killed_does_not_bar_the_next_one(standing: LabFile, client: docker.DockerClient) -> None:
    """It left the arena paused and without its worker; the next run measures, and gives both back."""
    names = standing.containers(client)
    killed = subprocess.Popen(standing.command("run", "smoke"), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 240.0
        while not any(re.search(r"-t\d{3}-server-", name) for name in standing.containers(client)):
            assert killed.poll() is None
            assert time.monotonic() < end_s, "no trial began"
            time.sleep(0.1)
    finally:
        killed.kill()
        killed.communicate()
    found = client.containers.list(filters={"label": f"{LAB}={standing.id}"}, ignore_removed=True)
    left = {str(c.name).removeprefix(f"netpoll-lab-{standing.id}-"): c.status for c in found}
    done = standing.run("run", "smoke")
    states = {c.status for c in client.containers.list(filters={"label": f"{LAB}={standing.id}"})}

    assert "paused" == left["arena-c-epoll"]
    assert "arena-worker-0" not in left
    assert "an earlier command was killed" in done.stderr
    assert names == standing.containers(client)
    assert {"running"} == states
    assert {None} == {t["void"] for t in standing.show()["trials"]}


def test_down_leaves_the_engine_as_it_was(
    standing: LabFile, client: docker.DockerClient, before: tuple[set[str], set[str], set[str]]
) -> None:
    """After `lab down` the same containers, networks and volumes exist as before `lab up`."""
    standing.run("down")

    assert before == things(client)
