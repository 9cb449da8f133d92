"""The Locust User that owns many connections: for a person's own locustfile.

    from swarm import EngineUser

    class Crowd(EngineUser):
        connections = 500  # of each user
        kind = "closed"
        path = "/plain"

It loads the variant that the lab chose, through the worker's engine, and it is run by `lab run --locustfile PATH`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from locust import User, task
from locust.exception import StopUser

from swarm.settings import BadSettings, Scenario, parse_scenario

WORDS = ("kind", "path", "delay_s", "timeout_s", "rate_per_s", "arrivals", "every_s", "connections")


class EngineUser(User):
    """One user with `connections` connections. rate_per_s (open) and every_s (storm) are this user's own.

    once: a hold user's connections make one exchange each and stay open; otherwise they go on with the next one.
    """

    abstract = True

    kind: ClassVar[str] = "closed"
    path: ClassVar[str] = "/plain"
    delay_s: ClassVar[float] = 0.0
    timeout_s: ClassVar[float] = 10.0
    connections: ClassVar[int] = 1
    rate_per_s: ClassVar[float] = 0.0
    arrivals: ClassVar[str] = "constant"
    every_s: ClassVar[float] = 0.0
    once: ClassVar[bool] = False

    lab: Any = None  # the worker and the target, set by swarm/own.py

    @classmethod
    def scenario(cls) -> Scenario:
        """Return the class's attributes as a scenario. Raises BadSettings."""
        if cls.kind == "ramp":
            raise BadSettings(f"{cls.__name__}.kind: a ramp is the master's; write it as a scenario in lab.yaml")
        told = {word: getattr(cls, word) for word in WORDS} | {"users": "engine"}
        return parse_scenario(f"{cls.__name__}", cls.__name__, told)

    @task
    def load(self) -> None:
        """Keep the connections busy until the stop."""
        if self.lab is None:
            raise StopUser("EngineUser: run this file with lab run --locustfile; alone it has no engine")
        worker, target = self.lab
        worker.load_with_engine(self.scenario(), target, self.connections, once=self.once, is_alone=True)
