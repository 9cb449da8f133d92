"""What the lab puts into somebody's Grafana, and what it leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dashboards import provisioning
from orchestrator.errors import BadInput, EnvironmentMissing
from orchestrator.observe.grafana import Server
from orchestrator.observe.provision import provision, remove
from tests.grafana.fake import NEWER_SCHEMA, TOKEN, FakeGrafana

SOURCE = provisioning.data_source("http://127.0.0.1:9090", 1.0)
UIDS = list(provisioning.committed())


def server(fake: FakeGrafana) -> Server:
    return Server(fake.url, TOKEN, wait=lambda _: None)


def test_a_second_time_changes_nothing_whatever_grafana_made_of_it() -> None:
    """It stores under ids and a schema of its own; only GETs are sent the second time."""
    with FakeGrafana() as fake:
        provision(server(fake), SOURCE)
        assert {NEWER_SCHEMA} == {one["dashboard"]["schemaVersion"] for one in fake.dashboards.values()}
        before = len(fake.changes)

        assert [] == provision(server(fake), SOURCE)
        assert before == len(fake.changes)
        assert [] == fake.wrong


def test_what_changed_is_changed_and_nothing_else() -> None:
    """Another Prometheus, and one dashboard of an older edition that somebody moved: it stays where it was put."""
    with FakeGrafana() as fake:
        provision(server(fake), SOURCE)
        fake.folders["theirs"] = {"uid": "theirs", "title": "theirs"}
        fake.sources[SOURCE["uid"]] |= {"name": "renamed", "isDefault": True}
        fake.sources[SOURCE["uid"]]["jsonData"]["theirs"] = "kept"
        moved = fake.dashboards[UIDS[0]]
        moved["folderUid"], moved["dashboard"]["tags"] = "theirs", ["netpoll-lab", "netpoll-lab-00000000", "mine"]

        changed = provision(server(fake), provisioning.data_source("http://elsewhere:9090", 1.0))

        assert [f"data source {SOURCE['uid']} changed", f"dashboard {UIDS[0]} changed"] == changed
        assert "theirs" == fake.dashboards[UIDS[0]]["folderUid"]
        source = fake.sources[SOURCE["uid"]]
        assert ("http://elsewhere:9090", "renamed", True) == (source["url"], source["name"], source["isDefault"])
        assert "kept" == source["jsonData"]["theirs"]
        assert [] == fake.wrong


def foreign(fake: FakeGrafana, what: str) -> None:
    if what == "source":
        fake.sources[SOURCE["uid"]] = {"uid": SOURCE["uid"], "name": "theirs", "id": 7, "version": 1, "jsonData": {}}
    elif what == "name":
        fake.sources["x"] = {"uid": "x", "name": SOURCE["name"], "id": 7, "version": 1}
    elif what == "folder":
        fake.folders[provisioning.FOLDER_UID] = {"uid": provisioning.FOLDER_UID, "title": "theirs", "id": 7}
    else:
        document = {"uid": UIDS[-1], "title": "theirs", "tags": ["home"], "id": 7, "version": 1}
        fake.dashboards[UIDS[-1]] = {"dashboard": document, "folderUid": ""}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("source", "the data source 'theirs' has the uid netpoll-lab-prometheus and was not made by the lab"),
        ("dashboard", f"the dashboard 'theirs' has the uid {UIDS[-1]} and not the tag netpoll-lab"),
        ("folder", "the folder 'theirs' has the uid netpoll-lab and nothing of the lab's in it"),
        ("name", "another data source is called 'netpoll-lab Prometheus'"),
    ],
)
def test_what_the_lab_did_not_make_is_left_alone(what: str, words: str) -> None:
    """And nothing else is begun: half of it would be of no use to anybody."""
    with FakeGrafana() as fake:
        foreign(fake, what)
        before = copy.deepcopy((fake.sources, fake.folders, fake.dashboards))
        with pytest.raises(BadInput, match=words):
            provision(server(fake), SOURCE)

        assert before == (fake.sources, fake.folders, fake.dashboards)


@pytest.mark.parametrize("where", [None, "", "elsewhere"])
def test_an_empty_folder_that_held_nothing_of_the_labs_is_not_removed(where: str | None) -> None:
    """Whether the lab has no dashboard at all, or has them at the top or in another folder."""
    with FakeGrafana() as fake:
        if where is not None:
            provision(server(fake), SOURCE)
        for kept in fake.dashboards.values():
            kept["folderUid"] = where
        foreign(fake, "folder")

        said = remove(server(fake))

        assert {provisioning.FOLDER_UID} == set(fake.folders)
        assert {} == fake.dashboards
        assert "folder netpoll-lab stays: no dashboard of the lab's lay in it" == said[-1]
        assert [] == fake.wrong


def test_a_folder_that_was_given_another_name_is_still_the_labs() -> None:
    """Its dashboards tell: the second time changes nothing, and the folder goes with them."""
    with FakeGrafana() as fake:
        provision(server(fake), SOURCE)
        fake.folders[provisioning.FOLDER_UID]["title"] = "renamed"

        assert [] == provision(server(fake), SOURCE)
        assert "folder netpoll-lab removed" == remove(server(fake))[-1]
        assert {} == fake.folders


def test_removing_takes_the_labs_own_alone() -> None:
    """A dashboard of somebody's in the lab's folder keeps the folder; what has the uid and not the tag stays."""
    with FakeGrafana() as fake:
        provision(server(fake), SOURCE)
        theirs: dict[str, Any] = {"uid": "theirs", "title": "theirs", "tags": []}
        fake.dashboards["theirs"] = {"dashboard": theirs, "folderUid": provisioning.FOLDER_UID}
        fake.dashboards[UIDS[0]]["dashboard"]["tags"] = ["taken-over"]
        fake.sources[SOURCE["uid"]]["jsonData"] = {}

        said = remove(server(fake))

        assert {"theirs", UIDS[0]} == set(fake.dashboards)
        assert [SOURCE["uid"]] == list(fake.sources)
        assert [f"dashboard {UIDS[0]} stays: it is not the lab's"] == [line for line in said if UIDS[0] in line]
        assert f"data source {SOURCE['uid']} stays: it is not the lab's" in said
        assert "folder netpoll-lab stays: something that is not the lab's lies in it" == said[-1]
        assert [] == fake.wrong


def test_a_token_without_the_permission_is_said_with_what_it_lacks() -> None:
    """An Editor may save dashboards and may not make data sources."""
    with FakeGrafana() as fake:
        fake.may_write_sources = False
        with pytest.raises(EnvironmentMissing, match=r"the token may not do this .*write data sources"):
            provision(server(fake), SOURCE)


def test_an_address_that_is_no_grafanas_is_said() -> None:
    """Prometheus answers GET /api/health with 404."""
    with FakeGrafana() as fake:
        fake.troubles = [404]
        with pytest.raises(BadInput, match="refused with 404"):
            provision(server(fake), SOURCE)
        assert [] == fake.changes
