"""FastHttpUsers keep their connections above 1,000 sockets: the server counts one accept for each user."""

from __future__ import annotations

import json
from typing import Any

import docker
from docker.types import Ulimit

from tests.engine.conftest import LabFile

USERS = 1600
LOCUSTFILE = "/opt/lab/swarm/checks/fasthttp_users.py"
STATS = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/stats', timeout=5).read().decode())"


def test_sixteen_hundred_users_make_sixteen_hundred_connections(make_lab: Any, client: docker.DockerClient) -> None:
    """Each user asks several times; with stock geventhttpclient the accepts outnumber the users (4,549 were seen)."""
    lab: LabFile = make_lab()
    built = dict(line.split() for line in lab.run("build", timeout_s=900).stdout.splitlines())
    limits = [Ulimit(name="nofile", soft=4096, hard=4096)]
    server = client.containers.run(
        built["c-epoll"], detach=True, network_mode="none", ulimits=limits, healthcheck={"test": ["NONE"]}
    )  # a health check would be an accept more
    inside = f"container:{server.id}"
    try:
        swarm = client.containers.run(
            built["swarm"],
            ["-f", LOCUSTFILE, "--headless", "-u", str(USERS), "-r", "400", "-t", "10", "--only-summary", "--json"],
            detach=True,
            network_mode=inside,
            ulimits=limits,
            tmpfs={"/tmp": ""},
        )
        try:
            code = swarm.wait(timeout=120)["StatusCode"]
            printed = swarm.logs(stdout=True, stderr=False).decode()
        finally:
            swarm.remove(force=True)
        stats = json.loads(
            client.containers.run(
                built["swarm"], ["-c", STATS], entrypoint="/opt/swarm/bin/python3", network_mode=inside, remove=True
            )
        )
    finally:
        server.remove(force=True)
    row = json.loads(printed)[0]

    assert 0 == code
    assert (0, True) == (row["num_failures"], row["num_requests"] > 3 * USERS)
    assert USERS + 1 == stats["accepted"]  # and the one that asks for /stats
