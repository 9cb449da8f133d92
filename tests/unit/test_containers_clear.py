"""`lab gc --images` removes what the lab built, and nothing that somebody else made of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from docker.errors import APIError

from orchestrator.containers.clear import clear_images


class Images:
    """An engine's images that carry the lab's label; those named in `used` belong to a container."""

    def __init__(self, *tags: list[str], used: str = "") -> None:
        self.present = [SimpleNamespace(id=f"sha256:{n}", tags=names) for n, names in enumerate(tags)]
        self.used, self.removed = used, list[str]()

    def list(self, **_: object) -> list[Any]:
        return self.present

    def remove(self, name: str, **options: object) -> None:
        assert not options, "force would take a name that is not ours"
        if name == self.used:
            raise APIError("409 Conflict")
        self.removed.append(name)


def test_only_the_labs_own_names_are_removed() -> None:
    """An image that somebody tagged as theirs, or committed on top of ours, inherits the label."""
    images = Images(["netpoll-lab/c-epoll:ab"], ["my/app:1", "netpoll-lab/c-epoll:cd"], ["my/app:2"], [])
    client: Any = SimpleNamespace(images=images)

    assert ["netpoll-lab/c-epoll:ab", "netpoll-lab/c-epoll:cd", "sha256:3"] == clear_images(client) == images.removed


def test_an_image_in_use_stays() -> None:
    """A container was made from it."""
    images = Images(["netpoll-lab/a:1"], ["netpoll-lab/b:1"], used="netpoll-lab/a:1")
    client: Any = SimpleNamespace(images=images)

    assert ["netpoll-lab/b:1"] == clear_images(client)
