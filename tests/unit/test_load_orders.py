"""What the master is told, and what becomes of an order or a question that it refuses, garbles or leaves unanswered."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from orchestrator.errors import NotReady
from orchestrator.load.master import Master
from tests.unit.fake_master import FakeMaster, fake, silent, state

__all__ = ["fake", "silent"]  # pytest finds the fixtures by these names


def test_orders_are_sent_as_documented(fake: FakeMaster) -> None:
    """Labels, window and forgotten workers as JSON, in the order given."""
    for route in ("labels", "window", "forget"):
        fake.told(f"POST /lab/{route}", {"ok": True})
    fake.master.label("r", "s")
    fake.master.open_window("x", 130.0, 136.0)
    fake.master.forget(["w0", "w1"])

    assert [
        ("POST /lab/labels", {"run_id": "r", "scenario": "s"}),
        ("POST /lab/window", {"window_id": "x", "start_s": 130.0, "end_s": 136.0}),
        ("POST /lab/forget", {"workers": ["w0", "w1"]}),
    ] == [(route, json.loads(body)) for route, body in fake.asked]


def test_a_start_fills_in_locusts_form(fake: FakeMaster) -> None:
    """Several variants are several fields of one name, as a browser sends them; the stop is a form without fields."""
    fake.told("POST /swarm", {"success": True, "message": "Swarming started"})
    fake.told("POST /stop", {"success": True})
    fake.master.start(50, 25.0, "plain", ["c-epoll", "seed-go"])
    fake.master.stop()

    form = {"user_count": ["50"], "spawn_rate": ["25.0"], "scenario": ["plain"], "variants": ["c-epoll", "seed-go"]}
    assert [("POST /swarm", form), ("POST /stop", {})] == [(route, parse_qs(body)) for route, body in fake.asked]


def test_engine_users_are_started_with_their_workers_shares(fake: FakeMaster) -> None:
    """Two users for two workers, each with as many of the scenario's connections as its worker should drive."""
    fake.told("POST /swarm", {"success": True, "message": "Swarming started"})
    fake.master.start(2, 2.0, "plain", ["c-epoll"], connections_per_user=0)

    form = {
        "user_count": ["2"], "spawn_rate": ["2.0"], "scenario": ["plain"], "variants": ["c-epoll"],
        "connections_per_user": ["0"],
    }  # fmt: skip
    assert [("POST /swarm", form)] == [(route, parse_qs(body)) for route, body in fake.asked]


def test_a_refused_start_has_locusts_own_words(fake: FakeMaster) -> None:
    """Locust answers 200 all the same."""
    master = fake.told("POST /swarm", {"success": False, "message": "No workers are connected"})
    with pytest.raises(NotReady) as caught:
        master.start(50, 50, "plain", ["c-epoll"])

    assert "swarm: Locust refused to start: No workers are connected. Try: lab status" == str(caught.value)


def test_complaints_are_locusts_errors_the_most_frequent_first(fake: FakeMaster) -> None:
    """Locust counts them whether a window is open or not."""
    errors = [{"error": "status 302", "occurrences": 2}, {"error": "target refused: x", "occurrences": 9}]

    assert ["target refused: x", "status 302"] == fake.told("GET /stats/requests", {"errors": errors}).complaints()


def test_a_refused_connection_is_one_line(silent: Master) -> None:
    """Which request, which address, what happened, and where to look; not the HTTP library's own three lines."""
    with pytest.raises(NotReady) as caught:
        silent.state()

    assert (
        f"Locust's master does not answer GET {silent.url}/lab/state: ConnectionError. "
        "Try: lab status, then docker logs of its master container"
    ) == str(caught.value)


def test_a_master_that_is_late_is_asked_again_where_that_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two late answers to a question are borne; an order that may have been carried out is not given twice."""
    asked: list[str] = []

    def late(method: str, url: str, **_: Any) -> requests.Response:
        asked.append(method)
        if asked.count("GET") < 3:
            raise requests.ReadTimeout
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(state({})).encode()
        return answer

    master = Master("http://127.0.0.1:1")
    monkeypatch.setattr(master._session, "request", late)

    assert 123.4 == master.state().monotonic_s
    with pytest.raises(NotReady, match="ReadTimeout"):
        asked.clear()
        master.stop()
    assert ["POST"] == asked


def test_an_error_status_is_one_line_with_the_beginning_of_the_body(fake: FakeMaster) -> None:
    """200 characters at most, on one line."""
    fake.answers["GET /lab/state"] = [(500, b"<h1>\n" + b"x" * 500)]
    with pytest.raises(NotReady) as caught:
        fake.master.state()

    shown = "'<h1>\\n" + "x" * 195 + "'"
    assert f"GET {fake.master.url}/lab/state: expected 200, seen 500: {shown}" == str(caught.value)


def test_a_master_that_starts_is_waited_for(fake: FakeMaster) -> None:
    """It listens before its routes answer."""
    fake.answers["GET /lab/state"] = [(404, b"not yet"), (502, b"not yet"), (200, state({}))]
    fake.master.wait_ready(10.0)

    assert 3 == len(fake.asked)


def test_a_master_that_never_answers_is_not_ready(silent: Master) -> None:
    """The deadline's last failure is what is told."""
    with pytest.raises(NotReady, match=r"^Locust's master does not answer GET http://127\.0\.0\.1:"):
        silent.wait_ready(0.0)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_for_the_outside_world_is_not_asked(
    fake: FakeMaster, silent: Master, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The environment names one that is dead; the master answers all the same."""
    for exempt in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exempt, raising=False)
    monkeypatch.setenv(name, silent.url)

    assert 123.4 == fake.told("GET /lab/state", state({})).state().monotonic_s


@pytest.mark.parametrize("said", [b"<!doctype html><title>Vite</title>", b"[]", b'{"ok": true}', b'{"connections": 3}'])
def test_another_program_on_the_masters_port_is_one_line(fake: FakeMaster, said: bytes) -> None:
    """It answers 200 to whatever it is asked: what it says, and what to do."""
    fake.answers["GET /lab/state"] = [(200, said)]
    with pytest.raises(NotReady) as caught:
        fake.master.state()

    assert "/lab/state: expected the lab's own master, seen another program that says " in str(caught.value)
    assert str(caught.value).endswith("choose another web_port under observability in lab.yaml")
