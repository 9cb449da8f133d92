"""What runs in the swarm image: Locust's master and workers, the clients they load with, and the contract probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm.engine_user import EngineUser

__all__ = ["EngineUser"]


def __getattr__(name: str) -> Any:
    """Give EngineUser to a person's locustfile; the contract probe and others do without Locust."""
    if name == "EngineUser":
        from swarm.engine_user import EngineUser

        return EngineUser
    raise AttributeError(f"module 'swarm' has no attribute {name!r}")
