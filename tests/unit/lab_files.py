"""Sound lab files and manifests, to be read as they are or with one thing changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput

ROOT = Path(__file__).parents[2]
SIX = ["c-epoll", "c-threads", "go-nethttp", "py-asyncio", "seed-c", "seed-go"]

LAB = """\
profiles:
  default:
    summary: two
      lines
    sysctls: {net.core.somaxconn: 4096, net.ipv4.ip_local_port_range: "1024  65535"}
    nofile: 4096
    server_cpus: 3
    load_cpus: 0,2
scenarios:
  plain: &plain {kind: closed, connections: 50, measure: 6s, summary: no}
  again: *plain
  wait: {kind: hold, connections: 200, delay: 250ms}
suites:
  quick: {scenarios: [plain, wait], variants: all, trials: 2, seed: 7}
"""


def write_lab(folder: Path, *variants: str, text: str = LAB) -> Path:
    """Write a lab file with sound manifests beside it; return the file's path."""
    for name in variants:
        write_manifest(folder / "servers" / name)
    path = folder / "lab.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_manifest(folder: Path, **changes: str) -> Path:
    """Write a sound variant.toml but for the keys given as TOML text; "" leaves a key out."""
    keys = {
        "name": f'"{folder.name}"',
        "summary": '"a server"',
        "language": '"c"',
        "technique": '"one loop"',
        "runtime": '"c"',
        "speaks": '"http"',
        "port": "8080",
        "fixed_delay": "false",
        "processes": '"reuseport"',
        "kernel_least": '"4.5"',
        "deviations": '["none to speak of"]',
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{key} = {value}\n" for key, value in keys.items() if value)
    (folder / "variant.toml").write_text(text, encoding="utf-8")
    return folder / "variant.toml"


def complaint_about(path: Path) -> str:
    """Return the text of the BadInput that loading must raise, without the folder's name."""
    with pytest.raises(BadInput) as caught:
        load_lab(path)
    return str(caught.value).replace(f"{path.parent}/", "")
