"""Put the lab's data source, folder and dashboards into somebody's Grafana, and take them out again.

Everything has a fixed uid and says that it is the lab's: a second time finds the first time's work and changes nothing,
and what has one of these uids without saying so is left alone, with an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dashboards import provisioning
from orchestrator.errors import BadInput
from orchestrator.observe.grafana import Server

# What of a data source is the lab's business; its owner may set the rest.
_SOURCE_KEYS = ("type", "access", "url")
_LOOKS, _LOOK_S = 4, 0.5  # Grafana's search may lag behind what was removed just now
_CONFLICT = frozenset({409, 412})  # somebody made it between the look and the making


def provision(server: Server, source: Mapping[str, Any]) -> list[str]:
    """Bring everything to what this lab's files say; return what was changed, a line each, none when all was so.

    source: the data source (dashboards/provisioning.py). Raises BadInput where something with one of the lab's uids is
    not the lab's, and what Server.ask raises.
    """
    _require_grafana(server)
    # All looks come before the first change: what is not the lab's stops everything, not half of it.
    found = server.get(f"/datasources/uid/{quote(str(source['uid']))}")
    documents = provisioning.committed()
    present = {uid: server.get(f"/dashboards/uid/{quote(uid)}") for uid in documents}
    _require_own_source(server, found)
    for uid, each in present.items():
        _require_own_dashboard(server, uid, each)
    folder = server.get(f"/folders/{provisioning.FOLDER_UID}")
    _require_own_folder(server, folder, present.values())
    return [
        *_put_source(server, source, found),
        *(_make_folder(server) if folder is None else []),
        *(line for uid, document in documents.items() for line in _put_dashboard(server, document, present[uid])),
    ]


def remove(server: Server) -> list[str]:
    """Remove what `provision` made; return what was removed, a line each.

    Annotations stay: they are what happened. What is not the lab's stays as well, and is said. The folder goes where a
    dashboard of the lab's was taken out of it just now, and nothing else lies in it.
    """
    _require_grafana(server)
    done = []
    was_ours = False
    for uid in provisioning.committed():
        found = server.get(f"/dashboards/uid/{quote(uid)}")
        if found is not None and _is_own_dashboard(found):
            server.ask("DELETE", f"/dashboards/uid/{quote(uid)}", none_for=frozenset({404}))
            done.append(f"dashboard {uid} removed")
            was_ours = was_ours or _lies_in_folder(found)
        elif found is not None:
            done.append(f"dashboard {uid} stays: it is not the lab's")
    source = server.get(f"/datasources/uid/{provisioning.DATA_SOURCE_UID}")
    if source is not None and _is_own_source(source):
        server.ask("DELETE", f"/datasources/uid/{provisioning.DATA_SOURCE_UID}", none_for=frozenset({404}))
        done.append(f"data source {provisioning.DATA_SOURCE_UID} removed")
    elif source is not None:
        done.append(f"data source {provisioning.DATA_SOURCE_UID} stays: it is not the lab's")
    return [*done, *_remove_folder(server, was_ours=was_ours)]


def _require_grafana(server: Server) -> None:
    health = server.ask("GET", "/health")
    if not isinstance(health, dict) or "database" not in health:
        raise BadInput(f"grafana: {server.url}: expected Grafana's health, saw {str(health)[:99]!r}. Check grafana.url")


def _is_own_source(found: Mapping[str, Any]) -> bool:
    return (found.get("jsonData") or {}).get("madeBy") == provisioning.MADE_BY


def _require_own_source(server: Server, found: Mapping[str, Any] | None) -> None:
    if found is not None and not _is_own_source(found):
        raise BadInput(
            f"grafana: {server.url}: the data source {found.get('name')!r} has the uid {provisioning.DATA_SOURCE_UID} "
            "and was not made by the lab, so nothing was changed. Give it another uid, or remove it"
        )


def _put_source(server: Server, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[str]:
    uid = wanted["uid"]
    if found is None:
        server.ask("POST", "/datasources", wanted, none_for=_CONFLICT)
        found = server.get(f"/datasources/uid/{quote(uid)}")
        if found is None:  # not refused for its uid then, which is free
            raise BadInput(
                f"grafana: {server.url}: another data source is called {wanted['name']!r}. Rename it, then try again"
            )
        _require_own_source(server, found)
        return [f"data source {uid} made"]
    theirs = found.get("jsonData") or {}
    is_so = all(found.get(key) == wanted[key] for key in _SOURCE_KEYS)
    if is_so and all(theirs.get(key) == value for key, value in wanted["jsonData"].items()):
        return []
    kept = {key: found[key] for key in ("name", "isDefault") if key in found}
    changed = {**wanted, **kept, "jsonData": {**theirs, **wanted["jsonData"]}}
    server.ask("PUT", f"/datasources/uid/{quote(uid)}", changed)
    return [f"data source {uid} changed"]


def _lies_in_folder(dashboard: Mapping[str, Any]) -> bool:
    return (dashboard.get("meta") or {}).get("folderUid") == provisioning.FOLDER_UID


def _require_own_folder(
    server: Server, found: Mapping[str, Any] | None, dashboards: Iterable[Mapping[str, Any] | None]
) -> None:
    """A folder cannot say who made it: the lab's has the lab's title, or holds a dashboard of the lab's already."""
    if found is None or found.get("title") == provisioning.FOLDER_TITLE:
        return
    if not any(each is not None and _lies_in_folder(each) for each in dashboards):
        raise BadInput(
            f"grafana: {server.url}: the folder {found.get('title')!r} has the uid {provisioning.FOLDER_UID} and "
            "nothing of the lab's in it, so nothing was changed. Give it another uid, or remove it"
        )


def _make_folder(server: Server) -> list[str]:
    wanted = {"uid": provisioning.FOLDER_UID, "title": provisioning.FOLDER_TITLE}
    server.ask("POST", "/folders", wanted, none_for=_CONFLICT)
    return [f"folder {provisioning.FOLDER_UID} made"]


def _is_own_dashboard(found: Mapping[str, Any]) -> bool:
    return provisioning.TAG in ((found.get("dashboard") or {}).get("tags") or [])


def _require_own_dashboard(server: Server, uid: str, found: Mapping[str, Any] | None) -> None:
    if found is not None and not _is_own_dashboard(found):
        title = (found.get("dashboard") or {}).get("title")
        raise BadInput(
            f"grafana: {server.url}: the dashboard {title!r} has the uid {uid} and not the tag {provisioning.TAG}, so "
            "it was not made by the lab, and nothing was changed. Give it another uid, or remove it"
        )


def _put_dashboard(server: Server, document: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[str]:
    """Save a dashboard unless what is there was saved from the same document.

    A tag says which: Grafana rewrites what it stores (versions, migrations to its own schema), so that reading it back
    would find a difference that nobody made.
    """
    edition = f"{provisioning.TAG}-{hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:8]}"
    if found is not None and edition in (found.get("dashboard") or {}).get("tags", []):
        return []
    folder = provisioning.FOLDER_UID if found is None else (found.get("meta") or {}).get("folderUid")
    tags = [*document["tags"], edition]
    body: dict[str, object] = {"dashboard": {**document, "tags": tags}, "overwrite": found is not None}
    body["message"] = "provisioned by netpoll-lab"
    if folder:  # where a person has put it since; "" is the top
        body["folderUid"] = folder
    uid = str(document["uid"])
    if server.ask("POST", "/dashboards/db", body, none_for=_CONFLICT) is None:
        there = server.get(f"/dashboards/uid/{quote(uid)}")
        if edition not in ((there or {}).get("dashboard") or {}).get("tags", []):
            raise BadInput(
                f"grafana: {server.url}: the dashboard {uid} was refused: another one of its folder is called "
                f"{document['title']!r}, or somebody changed it just now. Rename the other, or try again"
            )
    return [f"dashboard {uid} {'made' if found is None else 'changed'}"]


def _remove_folder(server: Server, *, was_ours: bool) -> list[str]:
    uid = provisioning.FOLDER_UID
    if server.get(f"/folders/{uid}") is None:
        return []
    if not was_ours:
        return [f"folder {uid} stays: no dashboard of the lab's lay in it"]
    for _ in range(_LOOKS):
        if not server.ask("GET", f"/search?{urlencode({'folderUIDs': uid, 'limit': 1})}"):
            break
        server.wait(_LOOK_S)
    else:
        return [f"folder {uid} stays: something that is not the lab's lies in it"]
    server.ask("DELETE", f"/folders/{uid}", none_for=frozenset({404}))
    return [f"folder {uid} removed"]
