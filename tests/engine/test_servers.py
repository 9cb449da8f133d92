"""The variants keep servers/CONTRACT.md over real sockets: real images, locked down, alone with their loopback.

A second container, of the swarm image and in the server's network namespace, does the talking (inside.py).
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from docker.types import Ulimit

from tests.engine import inside
from tests.engine.conftest import FULL, ROOT, VARIANTS, LabFile

DRAIN_S = 5.0
CLIENTS = 1000
GET = "GET /plain HTTP/1.1\r\n"
POST = "POST /echo HTTP/1.1\r\nHost: x\r\n"
# name -> request, the status that refuses it, how variant.toml's deviation begins where it is let through
MALFORMED = {
    "two framings": (POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
                     "Content-Length together with Transfer-Encoding: accepted"),
    "bare line feed": ("GET /plain HTTP/1.1\nHost: x\r\n\r\n", 400,
                       "a bare line feed ends a line of the head: accepted"),
    "obs-fold": (GET + "Host: x\r\nX-A: b\r\n c\r\n\r\n", 400, "obs-fold"),
    "two lengths": (POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, None),
    "length overflows": (POST + "Content-Length: 18446744073709551621\r\n\r\nhello", 400, None),
    "bad chunk": (POST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, None),
    "space before colon": (GET + "Host: x\r\nX-A : b\r\n\r\n", 400, None),
    "NUL": (GET + "Host: x\r\nX-A: b\0c\r\n\r\n", 400, None),
    "no Host": (GET + "\r\n", 400, None),
    "two Hosts": (GET + "Host: x\r\nHost: y\r\n\r\n", 400, None),
    "20 KiB head": (GET + "Host: x\r\nX-A: " + "b" * 20480 + "\r\n\r\n", 431, None),
    "transfer coding": (POST + "Transfer-Encoding: gzip\r\n\r\n", 501, None),
}  # fmt: skip


@pytest.fixture(scope="module")
def images(make_lab: Any) -> dict[str, str]:
    lab: LabFile = make_lab()
    return dict(line.split() for line in lab.run("build", timeout_s=900).stdout.splitlines())


@contextmanager
def running(
    client: docker.DockerClient, image: str, *command: str, nofile: int = 4096, **more: Any
) -> Iterator[Container]:
    """Start a container as locked down as the lab's own; it is removed at the end, whatever happens."""
    container = client.containers.run(
        image, list(command), detach=True, read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"],
        ulimits=[Ulimit(name="nofile", soft=nofile, hard=nofile)], healthcheck={"test": ["NONE"]}, **more,
    )  # fmt: skip
    try:
        yield container
    finally:
        container.remove(force=True)


class Bench:
    """One server, and those who talk to it."""

    def __init__(self, client: docker.DockerClient, images: dict[str, str], server: Container):
        self.client, self.images, self.server = client, images, server

    @contextmanager
    def talker(self, what: str, **told: Any) -> Iterator[Container]:
        """Start a function of inside.py. It shares the server's processes too where it must look at them."""
        more: dict[str, Any] = {"pid_mode": f"container:{self.server.id}"} if what == "starve" else {}
        script = Path(inside.__file__).read_text()
        with running(
            self.client, self.images["swarm"], "-c", script, what, json.dumps(told),
            entrypoint="/opt/swarm/bin/python3", network_mode=f"container:{self.server.id}", **more,
        ) as container:  # fmt: skip
            yield container

    def result_of(self, talker: Container) -> dict[str, Any]:
        code = talker.wait(timeout=120)["StatusCode"]

        assert 0 == code, f"{talker.logs().decode()}\nthe server said: {self.server.logs().decode()}"
        seen: dict[str, Any] = json.loads(talker.logs(stdout=True, stderr=False).decode().splitlines()[-1])
        return seen

    def ask(self, what: str, **told: Any) -> dict[str, Any]:
        with self.talker(what, **told) as talker:
            return self.result_of(talker)


@contextmanager
def bench(
    client: docker.DockerClient, images: dict[str, str], variant: str, nofile: int = 4096, **environment: str
) -> Iterator[Bench]:
    with running(client, images[variant], nofile=nofile, network_mode="none", environment=environment) as server:
        yield Bench(client, images, server)


@pytest.mark.parametrize("variant", FULL)
def test_a_crowd_is_served_and_the_malformed_are_refused(
    client: docker.DockerClient, images: dict[str, str], variant: str
) -> None:
    """A thousand waiting clients, those who leave and odd segments are dealt with, and nothing is reset."""
    deviations = tomllib.loads((ROOT / "servers" / variant / "variant.toml").read_text())["deviations"]
    has_threads = variant == "c-threads"
    with bench(client, images, variant) as server:
        seen = server.ask("clean", clients=CLIENTS, threads=has_threads)
        refused = server.ask("malformed", cases={name: case[0] for name, case in MALFORMED.items()})

    assert CLIENTS == seen["delayed"]["right"]
    assert seen["delayed"]["took_s"] >= 0.999  # a timer may round a millisecond down
    assert 201 == seen["left"]["active"]
    assert has_threads == (seen["left"]["threads"] > 200)
    assert (True, True) == (seen["bytewise"], seen["early"])
    assert ["0", "1", "2", "Hello, world!", "3", "4", "5", "Hello, world!", "6", "7"] == seen["pipelined"]
    assert {} == seen["errors"]
    assert dict.fromkeys(seen["aborts"], 0) == seen["aborts"]
    assert len(seen["aborts"]) >= 5  # the kernel names them; none found would prove nothing
    for name, (_, status, deviation) in MALFORMED.items():
        is_let_through = any(deviation and text.startswith(deviation) for text in deviations)
        expected = [200, False, True] if is_let_through else [status, True, True]
        assert expected == refused[name], name


@pytest.mark.parametrize(
    ("variant", "signal"),
    [*((variant, "SIGTERM") for variant in FULL), ("py-asyncio", "SIGINT"), ("c-threads", "SIGINT")],
)
def test_a_stopped_server_finishes_what_is_in_flight(
    client: docker.DockerClient, images: dict[str, str], variant: str, signal: str
) -> None:
    """The idle connection ends, nobody new is served, the waiting answer comes whole, and the exit code is 0."""
    with (
        bench(client, images, variant, LAB_DRAIN_S=str(DRAIN_S), LAB_BACKLOG="77") as server,
        server.talker("drain") as talker,
    ):
        lines = talker.logs(stream=True, follow=True)
        assert b"ready\n" == next(lines, b"it said nothing")
        told_s = time.monotonic()
        server.server.kill(signal)
        code = server.server.wait(timeout=60)["StatusCode"]
        took_s = time.monotonic() - told_s
        seen = server.result_of(talker)

    assert [77] == seen.pop("backlog")
    assert {"right": True, "keeps_alive": False, "after": "", "idle": "", "refused": "ConnectionRefusedError"} == seen
    assert 0 == code
    assert took_s < DRAIN_S


@pytest.mark.parametrize("variant", FULL)
def test_a_server_without_descriptors_neither_spins_nor_gives_up(
    client: docker.DockerClient, images: dict[str, str], variant: str
) -> None:
    """With 40 descriptors and 80 clients it counts EMFILE, lets the listener rest, and serves when they have gone."""
    with bench(client, images, variant, nofile=40) as server:
        seen = server.ask("starve", clients=80, hold_s=2.0)

    assert seen["serves_after"]
    assert 1 <= seen["counted"] <= seen["took_s"] / 0.1 + 2  # one attempt in 100 ms
    assert seen["cpu_s"] < 0.5
    assert ["EMFILE"] == list(seen["errors"])


@pytest.mark.parametrize("variant", FULL)
def test_a_server_shows_whose_it_is_and_counts_who_is_held(
    client: docker.DockerClient, images: dict[str, str], variant: str
) -> None:
    """LAB_NONCE comes back on /healthz only, LAB_INSTANCE in /stats; the probe tells a wrong one from a right."""
    with bench(client, images, variant, LAB_NONCE="a1" * 32, LAB_INSTANCE="3") as server:
        seen = server.ask("identity", nonce="a1" * 32, instances=4)
        other = server.ask("identity", nonce="b2" * 32, instances=3)
    with bench(client, images, variant) as server:
        plain = server.ask("identity")
        asked = server.ask("identity", nonce="a1" * 32)

    told = {"nonce": "a1" * 32, "status": 200, "elsewhere": None, "answered": True, "held": [2, 1, 0, 0], "instance": 3}
    assert told | {"failed": []} == seen
    assert told | {"failed": ["healthz", "stats"]} == other
    assert told | {"nonce": None, "instance": None, "failed": []} == plain
    assert told | {"nonce": None, "instance": None, "failed": ["healthz"]} == asked


@pytest.mark.parametrize("variant", FULL)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAB_NONCE", ""),
        ("LAB_NONCE", "a1" * 7),
        ("LAB_NONCE", "a1" * 33),
        ("LAB_NONCE", "A1" * 16),
        ("LAB_NONCE", "a1" * 16 + "\r\nX: y"),
        ("LAB_INSTANCE", "-1"),
        ("LAB_INSTANCE", "10000"),
        ("LAB_INSTANCE", "two"),
        ("LAB_INSTANCE", ""),
    ],
)
def test_a_bad_nonce_or_instance_is_refused_in_a_line(
    client: docker.DockerClient, images: dict[str, str], variant: str, name: str, value: str
) -> None:
    """Exit 2, and a line that names the variable; an injected header line among the bad values."""
    with running(client, images[variant], network_mode="none", environment={name: value}) as server:
        code = server.wait(timeout=60)["StatusCode"]
        said = server.logs().decode()

    assert 2 == code
    assert said.startswith(f"{name}: expected ")
    assert "listening" not in said


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_health_check_tells_a_listener_from_none(
    client: docker.DockerClient, images: dict[str, str], variant: str
) -> None:
    """/health exits 0 beside a live server and 1 when nothing listens on LAB_PORT."""
    with bench(client, images, variant, LAB_HEALTH="" if variant in FULL else "listen") as server:
        deadline_s = time.monotonic() + 20
        while (code := server.server.exec_run(["/health"]).exit_code) != 0 and time.monotonic() < deadline_s:
            pass  # it may not listen yet
        missed, said = server.server.exec_run(["/health"], environment={"LAB_PORT": "8081"})

    assert 0 == code
    assert 1 == missed
    assert isinstance(said, bytes)
    assert said.splitlines()[-1].endswith((b":8081: cannot connect", b":8081: nothing listens"))


def test_the_specimen_serves_one_client_and_confuses_sixty(client: docker.DockerClient, images: dict[str, str]) -> None:
    """seed-c gives a lone client its own bytes; of sixty at once most hang or get somebody else's."""
    with bench(client, images, "seed-c", LAB_DELAY_MS="50") as server:
        seen = server.ask("burst", clients=60, patience_s=2.0)

    assert "alone-0000000" == seen["lone"]
    assert 60 == seen["own"] + seen["other"] + seen["hung"] + seen["lost"]
    assert seen["own"] <= 6
    assert seen["other"] + seen["hung"] >= 40
