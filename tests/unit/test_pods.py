"""What a server in a pod is told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from orchestrator.config.load import load_lab
from orchestrator.containers.pods import _told
from tests.documents import ROOT

SITE = cast(Any, SimpleNamespace(server_cpus="0"))


def test_a_variant_under_a_second_name_is_told_its_own_environment_besides() -> None:
    """As the calibration's slower pace is: one image, another number in its environment; the rest is the contract's."""
    first = load_lab(ROOT / "lab.yaml").variants["c-epoll"]
    second = replace(first, name="c-epoll-again", same_as=first.name, environment={"PACE_PERCENT": "120"})
    usual, told = (_told(SITE, one, "127.0.0.1", {"LAB_BACKLOG": "9"}, "n" * 16, 0) for one in (first, second))

    assert {"PACE_PERCENT": "120"} == {key: text for key, text in told.items() if usual.get(key) != text}
    assert {"LAB_HOST", "LAB_PORT", "LAB_BACKLOG", "LAB_NONCE", "LAB_INSTANCE"} == set(usual)
