"""Talking to a Grafana: patience, errors that say what to do, and a token that nobody gets to see."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from grafana_api.grafana_face import GrafanaFace

from orchestrator.errors import BadInput, EnvironmentMissing, LabError, NotReady
from orchestrator.model import Grafana
from orchestrator.observe.grafana import TRIES, Server, read_token
from orchestrator.observe.marks import Marks
from tests.grafana.description import NotAsDescribed, check_request
from tests.grafana.fake import TOKEN, FakeGrafana


def server(fake: FakeGrafana, token: str = TOKEN) -> Server:
    return Server(fake.url, token, wait=lambda _: None)


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (401, EnvironmentMissing, "the token is not accepted"),
        (403, EnvironmentMissing, "the token may not do this .403: .*Give its service account"),
        (400, BadInput, "refused with 400: .*trouble"),
        ("page", BadInput, "expected JSON, saw something else: a login page"),
        ("redirect", BadInput, "answers with a redirect"),
    ],
)
def test_what_does_not_pass_is_said_at_once(trouble: int | str, kind: type[LabError], words: str) -> None:
    """Each with its next step, after a single request."""
    with FakeGrafana() as fake, pytest.raises(kind, match=words) as caught:
        fake.troubles = [trouble] * TRIES
        server(fake).ask("GET", "/health")

    assert 1 == len(fake.asked)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("trouble", [500, 502, 503, 504, 429, "hang up"])
def test_what_may_pass_is_waited_for(trouble: int | str) -> None:
    """One try less than all is healed by the last; one that stays is NotReady, with how often it was tried."""
    with FakeGrafana() as fake:
        fake.troubles = [trouble] * (TRIES - 1)
        assert "ok" == server(fake).ask("GET", "/health")["database"]
        assert TRIES == len(fake.asked)

        fake.troubles = [trouble] * TRIES
        with pytest.raises(NotReady, match=rf"GET .*/api/health.*\({TRIES} tries\)"):
            server(fake).ask("GET", "/health")


@pytest.mark.parametrize(("trouble", "requests"), [("hang up", 1), (502, 1), (503, 2), (429, 2)])
def test_what_must_not_be_done_twice_is_not(trouble: int | str, requests: int) -> None:
    """An annotation that may have arrived is not sent again; one that certainly did not is."""
    with FakeGrafana() as fake:
        fake.troubles = [trouble]
        marks = Marks(server(fake))
        marks.begin("x", ["run"])
        said = marks.close()

        assert requests == len(fake.asked)
        assert requests - 1 == len(fake.annotations)
        assert ("" if requests == 2 else "1 annotations are missing") in said
        assert bool(said) == (requests == 1)


def test_an_error_page_that_confuses_the_package_does_not_confuse_the_lab() -> None:
    """It takes any error with the word "message" in it for JSON (1.0.3)."""
    with FakeGrafana() as fake, pytest.raises(NotReady, match=r"saw 502: <p>a message</p>"):
        fake.troubles = ["502 page"] * TRIES
        server(fake).ask("GET", "/health")


def test_an_empty_answer_is_an_answer() -> None:
    """The package insists on JSON; Grafana does not."""
    with FakeGrafana() as fake:
        fake.troubles = ["empty"]

        assert server(fake).ask("DELETE", "/folders/x") is None


def test_nobody_there_is_named() -> None:
    """With the address, and what to check."""
    said = r"http://127\.0\.0\.1:1/api/health: expected an answer within 10 s, saw Conn.*grafana\.url"
    with pytest.raises(NotReady, match=said):
        Server("http://127.0.0.1:1/", "t", wait=lambda _: None).ask("GET", "/health")


def test_a_grafana_below_a_path_is_reached() -> None:
    """http://host/grafana: the API is below it, with one slash between."""
    with FakeGrafana() as fake:
        with pytest.raises(BadInput, match="/below/it/api/health"):  # this one is not served below a path
            Server(f"{fake.url}/below/it/", TOKEN).get("/health")

        assert ["GET /below/it/api/health"] == fake.asked


def test_readiness_is_waited_for_and_ends() -> None:
    """Grafana answers 503 or nothing while it migrates its database."""
    with FakeGrafana() as fake:
        fake.troubles = [503, "hang up", "page"]
        server(fake).wait_ready(30.0)
        assert 4 == len(fake.asked)

    with pytest.raises(NotReady, match="its database is ok within 0 s"):
        Server("http://127.0.0.1:1", "t").wait_ready(0.0)


def test_the_token_comes_from_where_it_was_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around it is not part of it."""
    monkeypatch.setenv("HERE", f" {TOKEN}\n")
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    assert TOKEN == read_token(Grafana(token_env="HERE"))
    assert TOKEN == read_token(Grafana(token_file=tmp_path / "token"))


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"two words", b"line\nline", b"\xff", b"\x1b[0m", "Schlüssel".encode()]
)
def test_a_token_that_is_none_is_refused_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """Its place is named, its content is not: requests would show a header that it refuses."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EnvironmentMissing, match=r"token \(grafana\.token_file\): expected") as caught:
        read_token(Grafana(token_file=path))
    assert not content or not content.strip() or content.decode(errors="replace") not in str(caught.value)

    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(EnvironmentMissing, match="the environment variable NOWHERE"):
        read_token(Grafana(token_env="NOWHERE"))


def test_a_token_reaches_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Neither urllib3's nor requests', at their most talkative, nor what a server is shown as."""
    with FakeGrafana() as fake, caplog.at_level(logging.DEBUG):
        one = server(fake)
        one.get("/folders/x")
        fake.troubles = [500, 503]
        one.ask("GET", "/health")

        assert "GET /api/health" in caplog.text
        assert TOKEN not in caplog.text
        assert TOKEN not in repr(one)
        assert TOKEN not in repr(Grafana(token_env="X"))


def test_annotations_give_up_on_a_grafana_that_went() -> None:
    """Three in a row that failed are enough; the run is told in one line, and never waited."""
    marks = Marks(Server("http://127.0.0.1:1", TOKEN, wait=lambda _: None))
    for _ in range(10):
        marks.end(marks.begin("x", ["window"]))
    said = marks.close()

    assert "annotations are missing: grafana: POST http://127.0.0.1:1/api/annotations" in said
    assert TOKEN not in said


def test_a_run_that_is_broken_off_still_ends_in_the_charts() -> None:
    """Whatever ends it goes on its way afterwards."""
    with FakeGrafana() as fake:
        clock = iter([1.0, 2.0])
        with pytest.raises(KeyboardInterrupt), Marks(server(fake), clock=lambda: next(clock)).during("x", ["run"]):
            raise KeyboardInterrupt

        assert [(1000, 2000)] == [(one["time"], one["timeEnd"]) for one in fake.annotations.values()]


def test_without_a_grafana_nothing_is_marked() -> None:
    """No thread, no words."""
    marks = Marks(None)
    marks.end(marks.begin("x", ["run"]))

    assert "" == marks.close()


SOUND: dict[str, object] = {"time": 1, "tags": ["a"], "text": "x"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/annotations", {**SOUND, "timeend": 2}),
        ("POST", "/annotations", {"time": 1, "tags": ["a"]}),
        ("POST", "/annotations", {**SOUND, "time": "now"}),
        ("POST", "/annotations", {**SOUND, "tags": None}),
        ("POST", "/annotation", SOUND),
        ("PUT", "/dashboards/db", {"dashboard": {}}),
        ("POST", "/dashboards/db", {"dashboard": {}, "folderUID": "x"}),
    ],
)
def test_a_planted_mistake_is_caught_by_the_description(method: str, path: str, body: dict[str, object]) -> None:
    """A check that passes everything would prove nothing of the requests that pass it."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    check_request("POST", "/api/annotations", headers, json.dumps(SOUND).encode())
    with pytest.raises(NotAsDescribed):
        check_request(method, f"/api{path}", headers, json.dumps(body).encode())


def test_a_request_without_a_token_is_not_as_described() -> None:
    """The description asks for one."""
    with pytest.raises(NotAsDescribed):
        check_request("GET", "/api/folders/x", {}, b"")


def test_the_package_is_the_one_that_was_read() -> None:
    """Raw calls go through its face; should that change, the adapter's place does too."""
    assert hasattr(GrafanaFace("t", host="h").api, "s")
