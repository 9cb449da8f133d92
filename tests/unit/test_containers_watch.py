"""Who of a pod does not run any more is told by one request, and how it ended in one line."""

from __future__ import annotations

from typing import Any

from docker.errors import NotFound

from orchestrator.containers.launch import Running
from orchestrator.containers.watch import fallen, last_words

WORKER, HOLDER = Running("a" * 64, "worker-0", 10), Running("b" * 64, "holder", 11)


class Engine:
    """The engine's API with these containers running; others have ended with a code, or are gone."""

    def __init__(self, *running: Running, ended: dict[str, int] | None = None) -> None:
        self.running, self.ended = {one.id for one in running}, ended or {}
        self.asked: list[dict[str, str]] = []
        self.api = self.containers = self

    def __call__(self, filters: dict[str, str]) -> list[dict[str, str]]:
        self.asked.append(filters)
        return [{"Id": one} for one in self.running]

    def inspect_container(self, ident: str) -> dict[str, Any]:
        return {"State": {"Running": False, "ExitCode": self.ended[ident], "OOMKilled": True}}

    def get(self, ident: str) -> Any:
        if ident not in self.ended:
            raise NotFound("no such container")
        return self

    def logs(self, tail: int) -> bytes:
        return b"first\nswarm: LAB_LOCUSTFILE mine.py:1: ModuleNotFoundError\n"

    name = "worker-0"


def test_those_that_do_not_run_are_told_in_order_by_one_request() -> None:
    """Only running containers of this lab are asked for, however many there are."""
    engine: Any = Engine(HOLDER)

    assert [WORKER] == fallen(engine, "0123", [WORKER, HOLDER])
    assert [{"label": "io.netpoll-lab.lab=0123", "status": "running"}] == engine.asked
    assert [] == fallen(Engine(WORKER, HOLDER), "0123", [WORKER, HOLDER])  # type: ignore[arg-type]  # played


def test_last_words_have_the_exit_code_and_the_last_line() -> None:
    """And that it was killed for its memory, where it was."""
    engine: Any = Engine(ended={WORKER.id: 2})

    assert (
        "worker-0 ended during the trial with exit code 2, out of memory; last log line: "
        "'swarm: LAB_LOCUSTFILE mine.py:1: ModuleNotFoundError'. Try: docker logs worker-0"
    ) == last_words(engine, WORKER)


def test_a_container_that_was_removed_is_gone() -> None:
    """There is nothing left to read."""

    class Gone(Engine):
        def inspect_container(self, ident: str) -> dict[str, Any]:
            raise NotFound("no such container")

    engine: Any = Gone()

    assert "worker-0 is gone" == last_words(engine, WORKER)
