"""A running container is told from a wanted one, and a refusal of the engine becomes a line with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from orchestrator.containers import launch
from orchestrator.containers.labels import Owner
from orchestrator.containers.launch import Spec, _refusal
from orchestrator.errors import LimitRefused, NotReady, Unsupported

SPEC = Spec(
    role="server",
    name="netpoll-lab-ab12-server",
    image="netpoll-lab/c-epoll:cd34",
    command=("serve", "-v"),
    environment={"LAB_PORT": "8080", "LAB_HOST": "127.0.0.1"},
    network="control",
    sysctls={"net.core.somaxconn": "4096"},
    nofile=1_048_576,
    cpus="1",
    ports={9100: 19100},
    tmpfs={"/tmp": "size=1m"},
    volumes={"data": "/data:rw"},
)

OWNER = Owner("run", "boot", 1, 2)

# Field -> another value of it.
CHANGES: Mapping[str, Any] = {
    "role": "worker",
    "name": "netpoll-lab-ab12-other",
    "image": "netpoll-lab/c-epoll:cd35",
    "command": ("serve",),
    "entrypoint": ("sleep",),
    "environment": {"LAB_PORT": "8081", "LAB_HOST": "127.0.0.1"},
    "network": None,
    "join": "ab" * 32,
    "join_pids": "cd" * 32,
    "sysctls": {},
    "nofile": 1024,
    "cpus": "0-1",
    "ports": {9100: 19101},
    "tmpfs": {},
    "volumes": {"data": "/data:ro"},
    "user": "0:0",
    "capabilities": ("NET_ADMIN",),
    "host_pids": True,
    "health_check": True,
    "alias": "master",
    "seccomp": '{"defaultAction":"SCMP_ACT_ALLOW"}',
    "cpu_shares": 2048,
}


def refusal(explanation: str) -> LimitRefused | NotReady:
    """Return what becomes of an engine's words."""
    return _refusal(SPEC, APIError("500 Server Error", explanation=explanation))


def test_every_field_of_a_spec_is_changed_below() -> None:
    """A field added later must be part of the digest too."""
    assert [field.name for field in fields(Spec)] == list(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_changes_the_digest(name: str) -> None:
    """A container left running from before the change is replaced."""
    assert SPEC.digest() != replace(SPEC, **{name: CHANGES[name]}).digest()


def test_the_same_spec_has_the_same_digest() -> None:
    """In every process and whatever order a mapping was written in: what runs as wanted is left alone."""
    turned = replace(SPEC, environment={"LAB_HOST": "127.0.0.1", "LAB_PORT": "8080"})

    assert SPEC.digest() == turned.digest()


@pytest.mark.parametrize(
    "said",
    [
        "failed to create task for container: OCI runtime create failed: error setting rlimit type 7: "
        "operation not permitted: unknown",
        "OCI runtime create failed: write sysctl key net.core.somaxcon: open /proc/sys/net/core/somaxcon: no such file",
        "Requested CPUs are not available - requested 9, available: 0-1",
        "failed to write 9 to cpuset.cpus: invalid argument",
    ],
)
def test_a_refused_limit_says_what_was_wanted_and_what_to_write(said: str) -> None:
    """rlimit, sysctl and CPUs: each is a limit of lab.yaml's."""
    error = refusal(said)

    assert (
        LimitRefused,
        "netpoll-lab-ab12-server: the engine refused a limit (nofile 1048576, CPUs 1, sysctls "
        f"{{'net.core.somaxconn': '4096'}}): {said}. Lower it in lab.yaml's profile, or set best_effort: true",
    ) == (type(error), str(error))


@pytest.mark.parametrize(
    "said",
    [
        "driver failed programming external connectivity on endpoint m: Bind for 127.0.0.1:8089 failed: port is "
        "already allocated",
        "failed to bind host port for 127.0.0.1:8089: listen tcp4 127.0.0.1:8089: bind: address already in use",
    ],
)
def test_a_taken_port_names_the_remedy(said: str) -> None:
    """Whether another container has it or another program."""
    error = refusal(said)

    assert (
        NotReady,
        f"netpoll-lab-ab12-server: the engine could not start netpoll-lab/c-epoll:cd34: {said}. "
        "Another program has the port: stop it, or choose another under observability in lab.yaml",
    ) == (type(error), str(error))


def test_any_other_refusal_is_one_line_with_the_engines_last_words() -> None:
    """Of several lines the last says why; a name that is taken is cleared up by `lab gc`."""
    error = refusal("create failed:\nthe name is already in use by container 12ab")

    assert (
        NotReady,
        "netpoll-lab-ab12-server: the engine could not start netpoll-lab/c-epoll:cd34: "
        "the name is already in use by container 12ab. Try: lab gc",
    ) == (type(error), str(error))


def test_an_engine_without_an_explanation_is_quoted_all_the_same() -> None:
    """The status line is better than nothing."""
    assert ": 500 Server Error. Try: lab gc" == str(_refusal(SPEC, APIError("500 Server Error")))[-31:]


class Stubborn:
    """An engine's client that fails to stop, and fails to remove a given number of times."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures, self.tries = failures, 0

    @property
    def api(self) -> Stubborn:
        return self

    def stop(self, _container_id: str, timeout: int) -> None:
        raise APIError(f"500 Server Error: PID is zombie and can not be killed after {timeout} s")

    def remove_container(self, _container_id: str, *, v: bool, force: bool) -> None:
        assert (True, True) == (v, force)
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([], 1),
        ([APIError("500 Server Error")], 2),
        ([requests.ReadTimeout()] * 4, 5),
        ([NotFound("404")], 1),
        ([APIError("409", explanation="removal of container is already in progress")], 1),
    ],
)
def test_a_busy_engine_is_asked_again(monkeypatch: pytest.MonkeyPatch, failures: list[Exception], tries: int) -> None:
    """A stop that fails does not keep the container from being removed, nor does one failed removal."""
    monkeypatch.setattr(launch, "_AGAIN_S", 0.0)
    client = Stubborn(list(failures))
    launch.stop(client, "ab12", 3)  # type: ignore[arg-type]
    assert tries == client.tries


def test_an_engine_that_never_removes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five tries the engine's own words come out."""
    monkeypatch.setattr(launch, "_AGAIN_S", 0.0)
    with pytest.raises(APIError):
        launch.stop(Stubborn([APIError("500 Server Error")] * 5), "ab12", 3)  # type: ignore[arg-type]


class Ended:
    """A container that is not running any more, with its exit code and what it said on stderr."""

    def __init__(self, code: int, said: str) -> None:
        self.attrs = {"State": {"Running": False, "ExitCode": code, "Pid": 0}}
        self.name, self.id, self.said = "netpoll-lab-ab12-server", "cd34", said

    def reload(self) -> None:
        """Nothing changes."""

    def logs(self, *, tail: int, stdout: bool = True) -> bytes:
        assert tail
        return self.said.encode()


SAID = "io_uring_setup refused\nunsupported: io_uring_setup:  EPERM, seccomp\n"


def test_a_server_whose_technique_is_refused_says_so_itself() -> None:
    """Exit code 3 and its line: the line is what a person reads."""
    with pytest.raises(Unsupported) as caught:
        launch.running(Ended(3, SAID))  # type: ignore[arg-type]

    assert "unsupported: io_uring_setup: EPERM, seccomp" == str(caught.value)


@pytest.mark.parametrize(("code", "said"), [(1, SAID), (3, "something else"), (3, ""), (0, SAID)])
def test_any_other_end_is_no_excuse(code: int, said: str) -> None:
    """Neither the code alone nor the words alone make a broken server unsupported."""
    with pytest.raises(NotReady, match=f"ended at once with exit code {code}"):
        launch.running(Ended(code, said))  # type: ignore[arg-type]


class Starting:
    """An engine on which everything that is started ends at once."""

    def __init__(self, ended: Ended) -> None:
        self.ended, self.removed = ended, list[str]()

    @property
    def containers(self) -> Starting:
        return self

    api = containers

    def create(self, _image: str, _command: object, **_: object) -> Starting:
        return self

    def get(self, name: str) -> Any:
        raise NotFound(f"no container {name}")

    def start(self) -> None:
        """It ends before anybody looks."""

    def create_endpoint_config(self, **_: object) -> dict[str, object]:
        return {}

    def remove_container(self, container_id: str, **_: object) -> None:
        self.removed.append(container_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ended, name)


@pytest.mark.parametrize(("code", "error"), [(1, NotReady), (3, Unsupported)])
def test_nothing_is_left_of_a_container_that_ended_at_once(code: int, error: type[Exception]) -> None:
    """Whoever started it has no id to remove it by; its last words are all that is seen of it: nobody is sent there."""
    engine: Any = Starting(Ended(code, SAID))
    with pytest.raises(error) as caught:
        launch.launch(engine, SPEC, "ab12", OWNER)

    assert ["cd34"] == engine.removed
    assert "docker logs" not in str(caught.value)
    assert "unsupported: io_uring_setup:" in str(caught.value)


def test_what_is_to_stand_stays_to_be_looked_into() -> None:
    """The services and the arena's servers: the line says where, and the next start replaces it."""
    engine: Any = Starting(Ended(1, SAID))
    with pytest.raises(NotReady, match="Try: docker logs netpoll-lab-ab12-server"):
        launch.ensure(engine, SPEC, "ab12", OWNER)

    assert [] == engine.removed
