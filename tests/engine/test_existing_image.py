"""An image that somebody else made takes part: its own port, its own paths, its own answer, nothing of the contract."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import yaml

from tests.engine.conftest import ROOT, LabFile

NAME = "netpoll-lab-tests/hello:1.2"  # not one of the lab's own names: it must not be taken for one

# One that knows no LAB_ variable: GET /hello and /sleep?ms=N, 404 for the rest, its port from PORT.
SERVER = b"""#!/usr/bin/python3
import os, re, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        late = re.fullmatch(r"/sleep\\?ms=([0-9]+)", self.path)
        time.sleep(int(late[1]) / 1000 if late else 0)
        body = b"hello from elsewhere\\n" if late or self.path == "/hello" else b"no"
        self.send_response(200 if body != b"no" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 1024
assert not [name for name in os.environ if name.startswith("LAB_")]
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Hello).serve_forever()
"""
ENTRY = {
    "image": NAME,
    "name": "hello",
    "port": 9000,
    "routes": {"plain": "/hello", "delay": "/sleep?ms={ms}"},
    "answers": "hello from elsewhere\n",
    "environment": {"PORT": "{port}"},
    "language": "python",
    "technique": "http.server, thread per connection",
}
SUITES = {
    "both": {
        "scenarios": ["first-light", "first-light-hold", "released"],
        "variants": ["c-epoll", "hello"],
        "trials": 1,
        "profile": "default",
        "seed": 1,
    }
}
RELEASED = {"kind": "hold", "connections": 50, "answer": "release"}


@pytest.fixture(scope="module")
def image(client: docker.DockerClient, make_lab: Any) -> Iterator[str]:
    """An image on Debian's Python with that server in it, under a name that is not the lab's."""
    python = dict(line.split() for line in make_lab().run("build", "py-asyncio").stdout.splitlines())["py-asyncio"]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("hello.py")
        info.size, info.mode = len(SERVER), 0o755
        tar.addfile(info, io.BytesIO(SERVER))
    container = client.containers.create(python)
    try:
        container.put_archive("/", archive.getvalue())
        container.commit(*NAME.split(":"), changes='ENTRYPOINT ["/usr/bin/python3", "/hello.py"]')
    finally:
        container.remove(force=True)
    yield NAME
    client.images.remove(NAME)


def lab_with(make_lab: Any, **entry: Any) -> LabFile:
    made: LabFile = make_lab(
        variants=[{"path": str(ROOT / "servers" / "c-epoll")}, {**ENTRY, **entry}],
        arena={"profile": "default", "variants": ["c-epoll", "hello"]},
        scenarios={"released": RELEASED},
    )
    whole = yaml.safe_load(made.path.read_text())
    whole["suites"] = SUITES  # the repository's name variants that this lab does not have
    del whole["nightly"]  # which runs one of them
    made.path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return made


def test_an_existing_image_is_compared_with_a_variant_of_the_lab(image: str, make_lab: Any) -> None:
    """Its own routes are loaded, its own answer counts as right, what it does not map is left out with the reason."""
    lab = lab_with(make_lab)
    done = lab.run("run", "both")
    trials = {(t["scenario"], t["variant"]): t for t in lab.show()["trials"]}
    (left,) = lab.show()["left_out"]
    (plain,) = [t for key, t in trials.items() if key == ("first-light", "hello")]

    assert {"c-epoll", "hello"} == {variant for _, variant in trials}
    assert {None} == {trial["void"] for trial in trials.values()}, trials
    assert plain["metrics"]["throughput_per_s"] > 10
    assert {} == plain["metrics"]["errors"]
    assert 100 == trials["first-light-hold", "hello"]["metrics"]["connections_held"]
    assert "answers with 21 bytes of its own instead of the contract's 13" in plain["notes"]
    assert ("hello", "released") == (left["variant"], left["scenario"])
    assert f"released asks for /hold; the routes of the image {image} map delay and plain only" == left["reason"]
    assert "hello" in done.stdout


def test_it_stands_in_the_arena_beside_the_others(image: str, make_lab: Any) -> None:
    """Verified by what it maps; its port is nobody else's there."""
    lab = lab_with(make_lab)
    done = lab.run("up", "--no-load")
    lab.run("down")  # its ports are the next test's
    row = next(line for line in done.stdout.splitlines() if line.startswith("hello "))

    assert "verified" in row
    assert "127.1.0.2:9000" in row


def test_another_answer_than_declared_is_refused_with_what_was_seen(image: str, make_lab: Any) -> None:
    """Whoever does not declare it is told what the image answers."""
    lab = lab_with(make_lab, answers="Hello, world!")
    done = lab.run("run", "first-light@hello", expect=1)

    assert "void: refused: hello: contract check 'GET /hello' failed: expected 200 and b'Hello, world!'" in done.stderr
    assert "seen 200 b'hello from elsewhere" in done.stderr


def test_an_image_that_is_not_there_is_named_before_anything_starts(make_lab: Any, client: docker.DockerClient) -> None:
    """The lab pulls nothing by itself."""
    lab = lab_with(make_lab, image="netpoll-lab-tests/nowhere:1")
    done = lab.run("run", "first-light@hello", expect=3)

    assert "lab: hello: this engine has no image netpoll-lab-tests/nowhere:1. Try: docker pull" in done.stderr
    assert [] == lab.containers(client)
