"""What of the lab is in a Grafana, under fixed uids: data source, folder, dashboards; and the files that say so.

The same values provision the lab's own Grafana by files (images/grafana.Dockerfile) and anybody's over HTTP
(orchestrator/observe/provision.py). Format of the files: https://grafana.com/docs/grafana/latest/administration/provisioning/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DASHBOARDS_FOLDER = Path(__file__).parent / "grafana"  # what `python -m dashboards` writes
DATA_SOURCE_UID = "netpoll-lab-prometheus"
FOLDER_UID = "netpoll-lab"
FOLDER_TITLE = "netpoll-lab"
TAG = "netpoll-lab"  # on every dashboard and annotation of the lab's
FIRST = "netpoll-lab-compare"  # the dashboard that links lead to
MADE_BY = "netpoll-lab"  # in the data source's jsonData: it is the lab's own

_PLACE = "/etc/netpoll-lab"  # in the lab's own Grafana


def committed() -> dict[str, dict[str, Any]]:
    """Return uid -> the committed JSON of every dashboard. Needs no SDK."""
    documents = (json.loads(path.read_text()) for path in sorted(DASHBOARDS_FOLDER.glob("*.json")))
    return {str(document["uid"]): document for document in documents}


def data_source(url: str, interval_s: float) -> dict[str, Any]:
    """Return the data source. url: the lab's Prometheus, as Grafana's server reaches it.

    interval_s: between two scrapes; `$__rate_interval` is at least four of them.
    """
    return {
        "name": "netpoll-lab Prometheus",
        "uid": DATA_SOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": False,
        "jsonData": {"httpMethod": "POST", "timeInterval": f"{round(interval_s * 1000)}ms", "madeBy": MADE_BY},
    }


def files(url: str, interval_s: float) -> dict[str, bytes]:
    """Return path -> content of what a Grafana is provisioned with when it starts; paths are below /etc/netpoll-lab."""
    source = {**data_source(url, interval_s), "isDefault": True, "editable": False}
    provider = {
        "name": "netpoll-lab",
        "type": "file",
        "folder": FOLDER_TITLE,
        "folderUid": FOLDER_UID,
        "allowUiUpdates": False,
        "options": {"path": f"{_PLACE}/dashboards"},
    }
    return {
        # JSON is YAML, and needs no care for what YAML makes of a word
        "provisioning/datasources/netpoll-lab.yaml": _yaml({"apiVersion": 1, "datasources": [source]}),
        "provisioning/dashboards/netpoll-lab.yaml": _yaml({"apiVersion": 1, "providers": [provider]}),
        **{f"dashboards/{path.name}": path.read_bytes() for path in sorted(DASHBOARDS_FOLDER.glob("*.json"))},
    }


def _yaml(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
