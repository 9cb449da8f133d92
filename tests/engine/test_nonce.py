"""A server that does not show this run's nonce is not loaded: `lab run` refuses the variant in a line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import ROOT, VARIANTS, LabFile

TAMPERED = {
    "never shows one": ("NULL", "none"),
    "shows another's": ('"a1a1a1a1a1a1a1a1"', "a1a1a1a1a1a1a1a1"),
}
TOLD = 'reply_init("c-epoll", config.nonce)'


@pytest.mark.parametrize("how", TAMPERED)
def test_a_variant_without_the_runs_nonce_is_refused(make_lab: Any, tmp_path: Path, how: str) -> None:
    """Exit 1; the reason names the check, what was expected and what was seen; no request was counted."""
    instead, seen = TAMPERED[how]
    folder = tmp_path / "c-epoll"
    shutil.copytree(ROOT / "servers" / "c-epoll", folder)
    source = (folder / "server.c").read_text()
    assert 1 == source.count(TOLD)
    (folder / "server.c").write_text(source.replace(TOLD, TOLD.replace("config.nonce", instead)))
    others = [{"path": str(ROOT / "servers" / name)} for name in VARIANTS if name != "c-epoll"]
    lab: LabFile = make_lab(variants=[{"path": str(folder)}, *others])

    done = lab.run("run", "first-light@c-epoll", expect=1)
    trial = lab.show()["trials"][0]

    assert "lab: failed verification: c-epoll" in done.stderr
    assert trial["void"].startswith("refused: c-epoll: contract check 'healthz' failed: expected 200 with Lab-Nonce: ")
    assert trial["void"].endswith(f", seen 200 with {seen}. The contract: servers/CONTRACT.md")
    assert trial["metrics"]["requests"] is None
