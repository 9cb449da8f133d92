"""Where the dashboards are: the lab's own Grafana, somebody's, or nowhere; and what a run tells it.

What came of it is recorded in `.lab/grafana.json`, for `lab status` and for the links of reports: address and state,
never a token. Trouble with a Grafana is no reason to stop: the live page has the same panels.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from dashboards import provisioning
from orchestrator.containers.engine import Say
from orchestrator.containers.grafana import ADMIN, read_password
from orchestrator.errors import BadInput, LabError
from orchestrator.model import Lab, Run
from orchestrator.observe.grafana import Server, read_token
from orchestrator.observe.marks import Marks
from orchestrator.observe.provision import provision, remove
from orchestrator.report.text import PageRow

READY = "ready"
_NAME = "grafana.json"
_START_S = 90.0  # a first start migrates an empty database: 5 to 20 s on two busy cores, by Grafana's own account


@dataclass(frozen=True, slots=True)
class Record:
    """What came of the last attempt."""

    url: str  # "" where there is none
    state: str  # READY, or why not
    is_own: bool  # the lab's own, which goes with `lab down`


def settle(lab: Lab, url: str, missing: str, state: Path, say: Say) -> None:
    """Make the dashboards be where lab.yaml says, and record what came of it; trouble is one line and no more.

    url: where a Grafana is, "" for nowhere. missing: why there is none of the lab's own. state: the lab's own records.
    """
    trouble = "" if url else missing  # one that stands already serves on, whatever became of its image's name
    if url:
        try:
            server = connect(lab, url, state)
            if lab.grafana.is_elsewhere:
                for line in provision(server, data_source(lab)):
                    say(f"grafana: {line}")
            else:
                server.wait_ready(_START_S)
        except LabError as why:
            trouble = str(why)
    if trouble:
        say(f"no Grafana: {trouble.removeprefix('grafana: ')}")
    if url or trouble:
        _write(state, Record(url, trouble or READY, lab.grafana.is_own))
    elif lab.grafana.use == "off":
        (state / _NAME).unlink(missing_ok=True)


def connect(lab: Lab, url: str, state: Path) -> Server:
    """Return the Grafana at this address, with what lab.yaml's token or the lab's own password allows."""
    if lab.grafana.is_elsewhere:
        return Server(url, read_token(lab.grafana))
    return Server(url, (ADMIN, read_password(state)))


def data_source(lab: Lab) -> dict[str, object]:
    """Return the data source for a Grafana elsewhere: the lab's Prometheus, as that Grafana's server reaches it."""
    here = f"http://127.0.0.1:{lab.observability.prometheus_port}"
    return provisioning.data_source(lab.grafana.prometheus_url or here, lab.observability.interval_s)


def put(lab: Lab) -> list[str]:
    """Provision the Grafana elsewhere now; return what was changed. Raises BadInput where lab.yaml names none."""
    _require_elsewhere(lab)
    return provision(connect(lab, lab.grafana.url, lab.root / ".lab"), data_source(lab))


def take_out(lab: Lab) -> list[str]:
    """Remove what is the lab's from the Grafana elsewhere; return what was removed. Raises BadInput likewise."""
    _require_elsewhere(lab)
    return remove(connect(lab, lab.grafana.url, lab.root / ".lab"))


def open_marks(lab: Lab, url: str, state: Path) -> Marks:
    """Return what marks a run's times in the charts; without a Grafana that was ready it does nothing."""
    record = read_record(state)
    if not url or record is None or record.state != READY:
        return Marks(None)
    try:
        return Marks(connect(lab, url, state))
    except LabError:  # said when the control plane was brought up
        return Marks(None)


def read_record(state: Path) -> Record | None:
    """Return what came of the last attempt; None where there was none, or its record is garbled."""
    try:
        told = json.loads((state / _NAME).read_text())
        return Record(str(told["url"]), str(told["state"]), bool(told["is_own"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(state: Path) -> None:
    """Drop the record of the lab's own Grafana, which is gone; what is in somebody's stays there."""
    record = read_record(state)
    if record is None or record.is_own:
        (state / _NAME).unlink(missing_ok=True)


def grafana_page(lab: Lab, state: Path, own: str | None) -> list[PageRow]:
    """Return Grafana's row among the lab's pages, none where lab.yaml says off.

    own: the engine's word for the state of the lab's own container; None: as recorded just now.
    """
    if lab.grafana.use == "off":
        return []
    record = read_record(state)
    about = "Grafana: dashboards, history"
    if lab.grafana.is_elsewhere:
        address = f"{lab.grafana.url}/d/{provisioning.FIRST}"
        return [PageRow(about, address, record.state if record is not None and record.url else "not provisioned")]
    is_missing = record is not None and record.state != READY
    address = "" if is_missing else f"http://127.0.0.1:{lab.grafana.port}"
    if record is not None and is_missing:
        return [PageRow(about, address, f"missing: {record.state}")]
    return [PageRow(about, address, own or (record.state if record is not None else "not running"))]


def dashboard_link(state: Path, run: Run) -> str:
    """Return the address of a run's time on the first dashboard, "" where no Grafana was ready the last time."""
    record = read_record(state)
    if record is None or not record.url or record.state != READY:
        return ""
    until = _ms(run.finished_at) if run.finished_at else "now"
    asked = {"var-run": run.run_id, "from": _ms(run.started_at), "to": until}
    return f"{record.url}/d/{provisioning.FIRST}?{urlencode(asked)}"


def _ms(at: str) -> str:
    return str(round(datetime.fromisoformat(at).timestamp() * 1000))


def _require_elsewhere(lab: Lab) -> None:
    if not lab.grafana.is_elsewhere:
        raise BadInput(
            f"{lab.path}: grafana.url names no Grafana to provision; the lab's own is provisioned by lab up. "
            "Write 'url: http://...' and 'token_env: NAME' under grafana:"
        )


def _write(state: Path, record: Record) -> None:
    with contextlib.suppress(OSError):  # a status line and a link, no more
        state.mkdir(parents=True, exist_ok=True)
        (state / _NAME).write_text(json.dumps(asdict(record)))
