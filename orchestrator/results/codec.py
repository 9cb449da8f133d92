"""Turn the model's frozen values into JSON-shaped ones and back, exactly.

Keys are the field names, so a field added to the model needs nothing here unless it holds another value of the model.
Unknown fields, written by a later lab, are passed over; a missing one takes its default. NaN and infinity are refused:
JSON has no word for them, and a failure is never a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from orchestrator.model import Bound, LeftOut, Metrics, Plan, ReadBack, Step, TrialResult, TrialSpec

T = TypeVar("T")
Convert = Callable[[Any], Any]


class Undecodable(ValueError):
    """A stored document is not what the lab wrote."""


def dump(value: object) -> str:
    """Return JSON text. Raises TypeError or ValueError for what JSON cannot carry exactly."""
    return json.dumps(encode(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def encode(value: object) -> object:
    """Return dataclasses and mappings as dicts with string keys, tuples and lists as lists, the rest as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be kept as JSON; turn it into text or numbers first")


def load_plan(text: str) -> Plan:
    """Return the plan that `dump` wrote. Raises Undecodable."""
    return _build(Plan, _parse(text), {"trials": lambda items: tuple(map(_spec, items)), "left_out": _each(LeftOut)})


def load_trial(text: str) -> TrialResult:
    """Return the trial that `dump` wrote. Raises Undecodable."""
    return _build(
        TrialResult,
        _parse(text),
        {
            "spec": _spec,
            "metrics": lambda obj: _build(Metrics, obj, {"errors": dict}),
            "missing": dict,
            "histogram_us": lambda obj: {int(us): int(n) for us, n in obj.items()},
            "read_backs": _each(ReadBack),
            "notes": tuple,
            "steps": _each(Step),
            "counters": dict,
        },
    )


def load_mapping(text: str) -> dict[str, object]:
    """Return a JSON object such as the host facts. Raises Undecodable."""
    obj = _parse(text)
    if not isinstance(obj, dict):
        raise Undecodable(f"expected an object, found {type(obj).__name__}")
    return obj


def _spec(obj: Any) -> TrialSpec:
    return _build(TrialSpec, obj, {"bounds": _each(Bound), "predicted": dict})


def _each(cls: type[T]) -> Convert:
    return lambda items: tuple(_build(cls, item, {}) for item in items)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as exc:
        raise Undecodable(f"not JSON: {exc}") from exc


def _build(cls: type[T], obj: Any, converts: Mapping[str, Convert]) -> T:
    if not isinstance(obj, dict):
        raise Undecodable(f"{cls.__name__}: expected an object, found {type(obj).__name__}")
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        if field.name in obj:
            try:
                values[field.name] = converts.get(field.name, _unchanged)(obj[field.name])
            except Undecodable:
                raise
            except (TypeError, ValueError, AttributeError) as exc:
                raise Undecodable(f"{cls.__name__}.{field.name}: {exc}") from exc
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Undecodable(f"{cls.__name__} lacks {field.name!r}")
    return cls(**values)


def _unchanged(value: Any) -> Any:
    return value
