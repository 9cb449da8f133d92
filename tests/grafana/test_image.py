"""The lab's own Grafana: where its image comes from, what a taken port means, whose its password is."""

from __future__ import annotations

import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from orchestrator.containers import control
from orchestrator.containers import grafana as container
from orchestrator.containers.labels import current_owner, labels
from orchestrator.errors import EnvironmentMissing, NotReady
from orchestrator.model import Grafana
from tests.grafana.own import OWN


class Engine:
    """An engine's images; pulling one brings it, or fails as a registry that cannot be reached does."""

    def __init__(self, present: bool = False, pulls: bool = False) -> None:
        self.present, self.pulls = present, pulls
        self.pulled: list[tuple[str, str | None]] = []
        self.images = self

    def get(self, name: str) -> Any:
        if not self.present:
            raise ImageNotFound(name)
        return type("Image", (), {"id": "sha256:1"})

    def pull(self, repository: str, tag: str | None) -> Any:
        self.pulled.append((repository, tag))
        if not self.pulls:
            raise APIError("500", explanation="dial tcp: lookup registry: no such host")
        return type("Image", (), {"id": "sha256:2"})


def find(engine: Any, tmp_path: Path, grafana: Grafana = OWN) -> container.Found:
    return container.find_official(engine, grafana, tmp_path, lambda _: None)


def test_an_image_is_taken_where_it_is_and_pulled_where_it_can_be(tmp_path: Path) -> None:
    """The pull is asked for once."""
    here, pulls = Engine(present=True), Engine(pulls=True)

    assert ("sha256:1", []) == (find(here, tmp_path).image_id, here.pulled)
    assert ("sha256:2", [("grafana/grafana", "11.6.0")]) == (find(pulls, tmp_path).image_id, pulls.pulled)


def test_without_a_registry_auto_goes_on_and_asks_again_in_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that cannot be reached takes a minute on some networks; another image's is asked at once."""
    engine = Engine()
    first = find(engine, tmp_path)
    assert "no image grafana/grafana:11.6.0 and cannot pull it (dial tcp: lookup registry" in first.missing
    assert first == find(engine, tmp_path)
    assert 1 == len(engine.pulled)

    find(engine, tmp_path, replace(OWN, image="other/grafana"))
    assert ("other/grafana", "latest") == engine.pulled[-1]
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 3601)
    find(engine, tmp_path, replace(OWN, image="other/grafana"))
    assert 3 == len(engine.pulled)


def test_who_insists_on_an_image_hears_at_once_that_there_is_none(tmp_path: Path) -> None:
    """Each time anew, with what to do."""
    engine, insists = Engine(), replace(OWN, use="image")
    for _ in range(2):
        with pytest.raises(EnvironmentMissing, match=r"^grafana: this engine has no image .*Try: docker load"):
            find(engine, tmp_path, insists)

    assert 2 == len(engine.pulled)


def test_a_taken_port_is_an_error_only_where_lab_yaml_insists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many machines have a Grafana at 3000 already: `auto` goes on without, and says so."""

    def refuse(*_: object) -> None:
        raise NotReady("netpoll-lab-x-grafana: the engine could not start it: port is already allocated")

    monkeypatch.setattr(control, "ensure", refuse)
    monkeypatch.setattr(control, "_ensure_volume", lambda *_: "volume")
    owner, images = current_owner("up"), {"grafana": "netpoll-lab/grafana:1"}
    engine: Any = None

    assert ("", "netpoll-lab-x-grafana: the engine could not start it: port is already allocated") == (
        control._ensure_grafana(engine, "x", owner, images, OWN, "n", "0", "p")
    )
    with pytest.raises(NotReady):
        control._ensure_grafana(engine, "x", owner, images, replace(OWN, use="image"), "n", "0", "p")


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("grafana/grafana", ("grafana/grafana", "latest")),
        ("host:5000/grafana", ("host:5000/grafana", "latest")),
        ("host:5000/grafana:1", ("host:5000/grafana", "1")),
        ("grafana@sha256:ab", ("grafana@sha256:ab", None)),
    ],
)
def test_an_images_name_has_a_tag_after_its_last_slash(image: str, parts: tuple[str, str | None]) -> None:
    """A registry's port is none; without a tag the engine would pull all of them."""
    assert parts == container._split(image)


def test_the_password_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    """It is in no label and in no result; whoever may read the folder may still not read it."""
    made = container.read_password(tmp_path / "new")
    file = tmp_path / "new" / "grafana-password"

    assert made == container.read_password(tmp_path / "new")
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert [file] == list(file.parent.iterdir())

    spec = container.grafana_spec("p", "i", "n", 3000, "0", made, "v")
    assert made not in str(labels("lab", spec.role, current_owner("up"), spec.digest()))
    assert spec.digest() != container.grafana_spec("p", "i", "n", 3000, "0", "another", "v").digest()
