"""`lab verify` in real pods: every variant keeps the contract, broken ones are found, shown with bytes, and left out.

What each check within the pod finds is proved by its planted defect in tests/contract; here it is that of those judged
from outside, and the way from command to verdict.
"""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from junitparser import JUnitXml

from orchestrator.verifying.outside import CHECKS
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
REFUSABLE = {"c-uring"}  # a kernel or sandbox may do without io_uring
SKIPPED = {("nginx", "emfile-counted")}  # what cannot be looked at: it counts no errors, and says null
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
RACES = """
var raced int

func main() {
	go func() { raced++ }()
	raced++
"""
# One defect for each check that is judged from outside alone: check id -> a method of a server that is sound otherwise.
PLANTED = {
    "bad-environment": """
    def __init__(self, variant):
        if os.environ.get("LAB_NONCE") == "":
            del os.environ["LAB_NONCE"]  # forgiven, not refused
        super().__init__(variant)
""",
    "address-taken": """
    def __init__(self, variant):
        super().__init__(variant)
        atexit.register(os._exit, 0)  # whatever the reason
""",
    "health-check": """
    def answer(self, r, route, body, *, keep_alive):
        return super().answer(r, 404 if route == "healthz" else route, body, keep_alive=keep_alive)
""",
    "quiet-log": """
    def accept_some(self, *most):
        print("py-asyncio: somebody came", file=sys.stderr)
        super().accept_some(*most)
""",
    "sigint": """
    def tick(self, due_s):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().tick(due_s)
""",
}


def copied(folder: Path, name: str, like: str = "c-epoll") -> Path:
    """Copy a variant as one of another name; its source still says the old one."""
    made = folder / name
    shutil.copytree(ROOT / "servers" / like, made)
    manifest = made / "variant.toml"
    manifest.write_text(manifest.read_text().replace(f'name = "{like}"', f'name = "{name}"'))
    return made


def change(source: Path, old: str, new: str) -> None:
    """Replace what a source must hold once."""
    text = source.read_text()
    assert 1 == text.count(old), source
    source.write_text(text.replace(old, new))


def planted(folder: Path, ident: str) -> Path:
    """Copy py-asyncio, which needs no compiler, with one defect."""
    made = copied(folder, f"planted-{ident}", "py-asyncio")
    source = made / "server.py"
    change(source, "import asyncio\n", "import asyncio\nimport atexit\nimport os\nimport signal\nimport sys\n")
    main = 'if __name__ == "__main__":'
    change(source, main, f"class Planted(LoopServer):{PLANTED[ident]}\n\n{main}")
    change(source, 'LoopServer("py-asyncio")', 'Planted("py-asyncio")')
    return made


@pytest.fixture(scope="module")
def lab(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    """Every variant of this repository, and a copy of c-epoll that gives another's name."""
    paths = [file.parent for file in sorted((ROOT / "servers").glob("[a-z]*/variant.toml"))]
    paths.append(copied(tmp_path_factory.mktemp("servers"), "impostor"))
    variants = [{"path": str(path)} for path in paths]
    made: LabFile = make_lab(variants=variants, scenarios=SCENARIOS, suites=SUITES, arena={"variants": ["c-epoll"]})
    return made


@dataclass(frozen=True)
class Verified:
    """What one `lab verify --all` said: all of the suite, side by side; most tests below read it."""

    code: int
    document: dict[str, Any]
    cases: set[tuple[str, str]]  # JUnit's: variant, check
    stderr: str

    @property
    def found(self) -> dict[str, dict[str, Any]]:
        return {one["variant"]: one for one in self.document["variants"]}


@pytest.fixture(scope="module")
def verified(lab: LabFile, tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """Verify every variant, once."""
    junit = tmp_path_factory.mktemp("junit") / "verify.xml"
    done = subprocess.run(
        lab.command("verify", "--all", "--json", "--junit", str(junit)),
        cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    cases = {(suite.name, case.name) for suite in JUnitXml.fromfile(str(junit)) for case in suite}
    return Verified(done.returncode, json.loads(done.stdout), cases, done.stderr)


@pytest.fixture(scope="module")
def odd(make_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> LabFile:
    """The usual ones, a copy of c-epoll that loses memory, one of go-net with a race, and the planted defects."""
    folder = tmp_path_factory.mktemp("servers")
    leaky, racy = copied(folder, "leaky"), copied(folder, "racy", "go-net")
    change(leaky / "server.c", "\nint main(void)\n{\n", "\n#include <stdlib.h>\n" + LOSES)
    change(racy / "main.go", "\nfunc main() {\n", RACES)
    made_here = [leaky, racy, *(planted(folder, ident) for ident in PLANTED)]
    variants = [{"path": str(path)} for path in (*(ROOT / "servers" / name for name in VARIANTS), *made_here)]
    made: LabFile = make_lab(variants=variants, arena={"variants": ["c-epoll"]})
    return made


def test_every_variant_keeps_the_contract(lab: LabFile, verified: Verified, client: docker.DockerClient) -> None:
    """All of the suite, but for what is declared, and exactly the impostor's defect; a machine may not support all."""
    found = verified.found
    failed = {name: {c["id"] for c in one["checks"] if c["outcome"] == "failed"} for name, one in found.items()}

    assert {"impostor": {"server-name", "stats"}} == {n: ids for n, ids in failed.items() if ids}, verified.stderr
    assert (1, False) == (verified.code, verified.document["kept"])
    assert {"impostor"} == {name for name, one in found.items() if one["state"] == "failed"}
    servers = {file.parent.name for file in (ROOT / "servers").glob("[a-z]*/variant.toml")}
    assert servers | {"impostor"} == set(found)
    kept = {name for name, one in found.items() if one["state"] == "kept"}
    assert servers - kept <= {name for name in REFUSABLE if found[name]["state"] == "unsupported"}
    skipped = {(name, c["id"]) for name, one in found.items() for c in one["checks"] if c["outcome"] == "skipped"}
    assert {(name, ident) for name, ident in SKIPPED if name in kept} == skipped
    for name in kept - LIMITED:
        assert found[name]["counts"]["passed"] > 60, name
        assert {"crowd", "linger", "wire", "starve", "drain", "process"} == {c["act"] for c in found[name]["checks"]}
    assert {(name, check["id"]) for name, one in found.items() for check in one["checks"]} <= verified.cases
    again = [name for name, one in found.items() if one["at_second_attempt"]]
    assert all(f"{name} (" in verified.stderr.splitlines()[-2] for name in again)
    assert [] == lab.containers(client)


def test_the_specimen_serves_one_client_and_confuses_sixty(verified: Verified) -> None:
    """seed-c gives a lone client its own bytes; of sixty at once most hang or get somebody else's, as it declares."""
    checks = {check["id"]: check for check in verified.found["seed-c"]["checks"]}
    counts = {kind: int(n) for n, kind in (part.split() for part in checks["own-bytes"]["seen"].split(", "))}

    assert "passed" == checks["raw-exchange"]["outcome"]
    assert "declared" == checks["own-bytes"]["outcome"]
    assert 60 == sum(counts.values())
    assert counts["own"] <= 6
    assert counts["other"] + counts["hung"] >= 40


def test_a_broken_variant_is_found_shown_and_left_out(
    lab: LabFile, verified: Verified, client: docker.DockerClient
) -> None:
    """Its defect is shown with the bytes; a comparison goes on without it, and it cannot be run alone."""
    done = lab.run("verify", "impostor", "--only", "server-name", "--only", "stats", "--only", "plain", expect=1)
    verify = [line for line in done.stdout.splitlines() if line.startswith("impostor ")]
    ran = lab.run("run", "pair")
    alone = lab.run("run", "short@impostor", expect=1)
    document = lab.show()
    lab.run("run", "short@impostor", "--attempt")

    assert "failed" == verify[0].split()[-1]
    assert ["server-name:", "stats:"] == [line.split()[1] for line in verify[1:]]
    assert r"sent     b'GET /plain HTTP/1.1\r\n" in done.stdout
    assert r"\r\nServer: c-epoll\r\n" in done.stdout
    assert "lab: impostor: contract not kept\n" in done.stderr  # some checks alone are no verdict that is kept
    assert "lab: impostor: contract not kept; runs leave it out\n" in verified.stderr
    reason = "failed verification: 2 checks failed: server-name, stats. Try: lab verify impostor"
    assert f"left out: impostor on short: {reason}" in ran.stdout
    assert [{"variant": "impostor", "scenario": "short", "reason": reason}] == document["left_out"]
    assert [("c-epoll", None)] == [(t["variant"], t["void"]) for t in document["trials"]]
    assert reason in alone.stderr
    assert "impostor" == lab.show()["trials"][0]["variant"]
    assert [] == lab.containers(client)


def test_sanitizers_show_what_is_wrong(odd: LabFile) -> None:
    """Memory that is lost fails its variant, and so does a race in Go; the specimen's are there, as it declares."""
    done = odd.run(
        "verify", "--sanitize", "leaky", "racy", "seed-c", "--only", "own-bytes", "--json", expect=1, timeout_s=900
    )
    found = {
        one["variant"]: {check["id"]: check for check in one["checks"]} for one in json.loads(done.stdout)["variants"]
    }
    lost, races = found["leaky (asan)"]["no-asan-report"], found["seed-c (tsan)"]["no-tsan-report"]
    raced = found["racy (race)"]["no-race-report"]

    assert "failed" == lost["outcome"]
    assert b"in lose /src/server.c" in base64.b64decode(lost["received_b64"])
    assert "passed" == found["leaky (tsan)"]["no-tsan-report"]["outcome"]
    assert "failed" == raced["outcome"]
    assert b"DATA RACE" in base64.b64decode(raced["received_b64"])
    assert "declared" == races["outcome"]
    assert b"data race" in base64.b64decode(races["received_b64"])


def test_a_planted_defect_fails_its_outside_check_and_no_other(odd: LabFile) -> None:
    """Each line of verifying/outside.py has a defect, and each defect one line; those inside: test_planted.py."""
    only = [word for check in CHECKS for word in ("--only", check.id)]
    done = odd.run("verify", *(f"planted-{ident}" for ident in PLANTED), "py-asyncio", *only, "--json", expect=1)
    failed = {
        one["variant"]: {check["id"] for check in one["checks"] if check["outcome"] != "passed"}
        for one in json.loads(done.stdout)["variants"]
    }

    assert {check.id for check in CHECKS} == set(PLANTED)
    assert {f"planted-{ident}": {ident} for ident in PLANTED} | {"py-asyncio": set()} == failed


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
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup and `&` leave it ignored
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
