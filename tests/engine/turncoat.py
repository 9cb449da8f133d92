"""A server that turns bad: py-asyncio, which after its first thousand answers says nothing but noise."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.engine.conftest import ROOT

# Sound for as many answers as verification and warm-up take, and then nothing but noise.
TURNED = """

_told = 0


def _turn(sound):
    def render(*given, **more):
        global _told
        _told += 1
        return sound(*given, **more) if _told <= 1000 else b"\\x00\\xff no answer at all\\r\\n\\r\\n"

    return render


shared.protocol.render_usual = _turn(shared.protocol.render_usual)
shared.app.render_hello = _turn(shared.app.render_hello)

"""


def make_turncoat(servers: Path) -> Path:
    """Write the variant "turncoat" into a folder of that name; return that folder."""
    turncoat = servers / "turncoat"
    shutil.copytree(ROOT / "servers" / "py-asyncio", turncoat)
    manifest = (turncoat / "variant.toml").read_text().replace('name = "py-asyncio"', 'name = "turncoat"')
    (turncoat / "variant.toml").write_text(manifest)
    for module in turncoat.glob("*.py"):
        module.write_text(module.read_text().replace('"py-asyncio"', '"turncoat"').replace("py-asyncio", "turncoat"))
    source = turncoat / "server.py"
    imports, main = source.read_text().split("if __name__", 1)
    source.write_text(f"{imports}import shared.app\nimport shared.protocol{TURNED}if __name__{main}")
    return turncoat
