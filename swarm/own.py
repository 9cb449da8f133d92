"""Run a person's own locustfile inside the lab's worker.

The master knows one class, LabUser; in a worker that was told LAB_LOCUSTFILE each LabUser becomes one user of the
person's classes until it is stopped. Locust's statistics count its requests as always; `listen` keeps them for the
lab's windows too. Contract: docs/architecture.md, "A person's own locustfile".
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import User
from locust.exception import StopUser
from locust.util.load_locustfile import load_locustfile

from swarm import kinds
from swarm.engine_user import EngineUser
from swarm.recorder import Recorder
from swarm.settings import BadSettings, Target

LONGEST_KIND = 120  # a kind is a line in a table
# Each name is a row that every report walks, each kind a series of the metrics: an id in one of them makes thousands.
MOST_NAMES, OTHER_NAMES = 200, "(other names)"
MOST_KINDS, OTHER_KINDS = 100, "another kind of error"

_now_ns = time.monotonic_ns


class Own:
    """The person's user classes in one worker."""

    def __init__(self, classes: list[type[User]], recorder: Recorder):
        self.classes = classes
        self._recorder = recorder
        self._given: Counter[type[User]] = Counter()
        self._variants: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._variant = ""
        self._names: set[str] = set()
        self._kinds: set[str] = set()

    def live(self, environment: Any, worker: Any, target: Target) -> None:
        """Be one of the person's users of `target`; ends with StopUser, when that one has ended."""
        self._variant = self._variants[gevent.getcurrent()] = target.variant
        base = self._next_class()
        # A class of its own for each target: host is read from the class, at any time.
        told = {"host": f"http://{target.host}:{target.port}", "abstract": False, "__module__": base.__module__}
        of_target: type[User] = type(base)(base.__name__, (base,), told)  # type: ignore[misc]  # by Locust's metaclass
        user = of_target(environment)
        user._greenlet = gevent.getcurrent()
        if isinstance(user, EngineUser):
            user.lab = worker, target
        try:
            user.run()  # type: ignore[no-untyped-call]  # Locust's
        except Exception as error:  # Locust has logged and counted it; without StopUser this would start over at once
            raise StopUser from error
        finally:
            self._given[base] -= 1
        raise StopUser

    def listen(self, events: Any) -> None:
        """Keep every request that a person's user makes, for the windows."""
        events.request.add_listener(self._take)

    def _take(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: float | None = None,
        exception: BaseException | None = None,
        **_: Any,
    ) -> None:
        variant = self._variants.get(gevent.getcurrent(), self._variant)
        row = self._recorder.row(variant, _known(self._names, name, MOST_NAMES, OTHER_NAMES), request_type)
        row.is_logged = True
        now_ns = _now_ns()
        start_ns = now_ns - round((response_time or 0.0) * 1e6)
        if exception is None:
            self._recorder.answer(row, start_ns, now_ns)
            row.count_body(int(response_length or 0))
        else:
            kind = name_failure(exception)
            # A refusal stays one, wherever it went: a trial with one is void.
            other = f"{kinds.REFUSED}: {OTHER_KINDS}" if kind.startswith(kinds.REFUSED) else OTHER_KINDS
            self._recorder.error(row, _known(self._kinds, kind, MOST_KINDS, other), start_ns, now_ns)

    def _next_class(self) -> type[User]:
        """Return the class that is furthest behind: first fixed_count, then weight."""
        for cls in self.classes:
            if self._given[cls] < cls.fixed_count:
                break
        else:
            weighted = [cls for cls in self.classes if not cls.fixed_count and cls.weight > 0] or self.classes
            cls = min(weighted, key=lambda one: (self._given[one] + 1) / (one.weight or 1))
        self._given[cls] += 1
        return cls


def load_own(path: str) -> list[type[User]]:
    """Import a person's locustfile and return its user classes. Raises BadSettings with one line."""
    try:
        classes, _shapes = load_locustfile(path)
        found = list(classes.values())
    except Exception as error:  # noqa: BLE001 - a person's file may raise anything, and the reason is what matters
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else None)
        where = f"{path}:{line}" if line else path
        raise BadSettings(f"LAB_LOCUSTFILE {where}: {type(error).__name__}: {_one_line(str(error))}") from None
    if not found:
        raise BadSettings(f"LAB_LOCUSTFILE {path}: expected a class derived from locust.User, found none")
    for cls in found:
        if issubclass(cls, EngineUser):
            try:
                cls.scenario()
            except BadSettings as error:
                raise BadSettings(f"LAB_LOCUSTFILE {path}: {error}") from None
    return found


def name_failure(exception: BaseException) -> str:
    """Return the kind under which a failed request is counted."""
    text = _one_line(str(exception))
    if kinds.REFUSED in text:
        return text[text.index(kinds.REFUSED) :].rstrip("'\")")[:LONGEST_KIND]
    response = getattr(exception, "response", None)
    status = getattr(response, "status_code", None)
    return f"status {status}" if status else f"{type(exception).__name__}: {text}"[:LONGEST_KIND]


def _known(known: set[str], word: str, most: int, other: str) -> str:
    """Return a word if it is known, or may still be; otherwise the one that stands for all others."""
    if word not in known:
        if len(known) >= most:
            return other
        known.add(word)
    return word


def _one_line(text: str) -> str:
    return " ".join(text.split())
