"""`lab verify` in real pods: every variant keeps the contract, broken ones are found, shown with bytes, and left out.

What each check finds is proved by its planted defect in tests/contract; here it is the way from command to verdict.
"""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import pytest
from junitparser import JUnitXml

from tests.engine.conftest import ROOT, VARIANTS, LabFile

SCENARIOS = {
    "short": {
        "summary": "short", "kind": "closed", "path": "/plain", "connections": 5, "warmup": "100ms", "measure": "500ms",
        "timeout": "5s",
    },
}  # fmt: skip
SUITES = {
    "pair": {
        "summary": "one sound, one broken", "scenarios": ["short"], "variants": ["c-epoll", "impostor"], "trials": 1,
        "profile": "default", "seed": 1,
    },
}  # fmt: skip
LIMITED = {"seed-c", "seed-go"}
DEADLINE_S = 120.0
LOSES = """
__attribute__((noinline)) static void lose(void)
{
    for (int i = 0; i < 8; i++) {
        char *volatile lost = malloc(64);
        lost[0] = 1;
    }
}

int main(void)
{
    lose();
"""


def copied(folder: Path, name: str) -> Path:
    """Copy c-epoll as a variant of another name; its source still says c-epoll."""
    made = folder / name
    shutil.copytree(ROOT / "servers" / "c-epoll", made)
    manifest = made / "variant.toml"
    manifest.write_text(manifest.read_text().replace('name = "c-epoll"', f'name = "{name}"'))
    return made


@pytest.fixture(scope="module")
def lab(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    """Every variant of this repository."""
    names = sorted(file.parent.name for file in (ROOT / "servers").glob("[a-z]*/variant.toml"))
    made: LabFile = make_lab(variants=[{"path": str(ROOT / "servers" / name)} for name in names])
    return made


@pytest.fixture(scope="module")
def odd(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    """The usual ones and two copies of c-epoll: one gives another's name, one loses memory."""
    folder = tmp_path_factory.mktemp("servers")
    impostor, leaky = copied(folder, "impostor"), copied(folder, "leaky")
    source = leaky / "server.c"
    text = source.read_text()
    changed = text.replace("\nint main(void)\n{\n", LOSES)
    assert text != changed
    source.write_text("#include <stdlib.h>\n" + changed)
    paths = [*(ROOT / "servers" / name for name in VARIANTS), impostor, leaky]
    variants = [{"path": str(path)} for path in paths]
    made: LabFile = make_lab(variants=variants, scenarios=SCENARIOS, suites=SUITES, arena={"variants": ["c-epoll"]})
    return made


# Not understood yet, and the reason why issue 4 is open: these fail in some runs and pass in others. Everything else
# must hold in every run, and whatever is added here has to be found out and taken away again.
OPEN = {"java-virtual-threads": {"emfile-survived", "emfile-counted", "emfile-no-spin", "sigint"}}


def test_every_variant_keeps_the_contract(lab: LabFile, tmp_path: Path, client: docker.DockerClient) -> None:
    """All of the suite, side by side, but for what is declared; a machine may not support every technique."""
    done = subprocess.run(
        lab.command("verify", "--all", "--json", "--junit", str(tmp_path / "verify.xml")),
        cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    found = {one["variant"]: one for one in document["variants"]}
    cases = {(suite.name, case.name) for suite in JUnitXml.fromfile(str(tmp_path / "verify.xml")) for case in suite}

    failed = {name: {c["id"] for c in one["checks"] if c["outcome"] == "failed"} for name, one in found.items()}
    surprising = {name: ids - OPEN.get(name, set()) for name, ids in failed.items() if ids - OPEN.get(name, set())}

    assert {} == surprising, done.stderr
    assert (0 if document["kept"] else 1) == done.returncode
    assert {name for name, ids in failed.items() if ids} == {n for n, one in found.items() if one["state"] == "failed"}
    assert {file.parent.name for file in (ROOT / "servers").glob("[a-z]*/variant.toml")} == set(found)
    for name in {name for name, one in found.items() if one["state"] == "kept"} - LIMITED:
        assert found[name]["counts"]["passed"] > 60, name
        assert {"crowd", "linger", "wire", "starve", "drain", "process"} == {c["act"] for c in found[name]["checks"]}
    assert {"kept"} == {found[name]["state"] for name in ("c-epoll", "c-threads", "go-nethttp", "py-asyncio", "seed-c")}
    assert {(name, check["id"]) for name, one in found.items() for check in one["checks"]} <= cases
    assert [] == lab.containers(client)


def test_the_specimen_serves_one_client_and_confuses_sixty(odd: LabFile) -> None:
    """seed-c gives a lone client its own bytes; of sixty at once most hang or get somebody else's, as it declares."""
    document = json.loads(odd.run("verify", "seed-c", "--json").stdout)
    checks = {check["id"]: check for check in document["variants"][0]["checks"]}
    counts = {kind: int(n) for n, kind in (part.split() for part in checks["own-bytes"]["seen"].split(", "))}

    assert "passed" == checks["raw-exchange"]["outcome"]
    assert "declared" == checks["own-bytes"]["outcome"]
    assert 60 == sum(counts.values())
    assert counts["own"] <= 6
    assert counts["other"] + counts["hung"] >= 40


def test_a_broken_variant_is_found_shown_and_left_out(odd: LabFile, client: docker.DockerClient) -> None:
    """Exactly its defect fails, with the bytes; a comparison goes on without it, and it cannot be run alone."""
    done = odd.run("verify", "impostor", "c-epoll", expect=1)
    verify = [line for line in done.stdout.splitlines() if line.startswith("impostor ")]
    ran = odd.run("run", "pair")
    alone = odd.run("run", "short@impostor", expect=1)
    document = odd.show()
    odd.run("run", "short@impostor", "--attempt")

    assert "failed" == verify[0].split()[-1]
    assert ["server-name:", "stats:"] == [line.split()[1] for line in verify[1:]]
    assert r"sent     b'GET /plain HTTP/1.1\r\n" in done.stdout
    assert r"\r\nServer: c-epoll\r\n" in done.stdout
    assert "lab: impostor: contract not kept; runs leave it out" in done.stderr
    reason = "failed verification: 2 checks failed: server-name, stats. Try: lab verify impostor"
    assert f"left out: impostor on short: {reason}" in ran.stdout
    assert [{"variant": "impostor", "scenario": "short", "reason": reason}] == document["left_out"]
    assert [("c-epoll", None)] == [(t["variant"], t["void"]) for t in document["trials"]]
    assert reason in alone.stderr
    assert "impostor" == odd.show()["trials"][0]["variant"]
    assert [] == odd.containers(client)


def test_sanitizers_show_what_is_wrong(odd: LabFile) -> None:
    """Memory that is lost fails its variant; the specimen's races are there, as it declares."""
    done = odd.run("verify", "--sanitize", "leaky", "seed-c", "--only", "own-bytes", "--json", expect=1, timeout_s=900)
    found = {
        one["variant"]: {check["id"]: check for check in one["checks"]} for one in json.loads(done.stdout)["variants"]
    }
    lost, races = found["leaky (asan)"]["no-asan-report"], found["seed-c (tsan)"]["no-tsan-report"]

    assert "failed" == lost["outcome"]
    assert b"in lose /src/server.c" in base64.b64decode(lost["received_b64"])
    assert "passed" == found["leaky (tsan)"]["no-tsan-report"]["outcome"]
    assert "declared" == races["outcome"]
    assert b"data race" in base64.b64decode(races["received_b64"])


def wait_for_talkers(lab: LabFile, client: docker.DockerClient, process: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not any("-beside" in name for name in lab.containers(client)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end_s, "it did not get there in time"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_verification_leaves_nothing_however_it_ends(
    odd: LabFile, client: docker.DockerClient, number: signal.Signals
) -> None:
    """Interrupted it clears up and ends with 130; killed it leaves what lab gc removes."""
    process = subprocess.Popen(
        odd.command("verify", "c-epoll", "leaky"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_for_talkers(odd, client, process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    left = odd.containers(client)
    odd.run("gc")

    if number == signal.SIGINT:
        assert 130 == process.returncode, output
        assert [] == left
        assert "interrupted" in output
        assert "Traceback" not in output
    else:
        assert left != []
    assert [] == odd.containers(client)
