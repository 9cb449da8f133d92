"""Turn the model's frozen values into JSON-shaped ones and back, exactly.

Keys are the field names, so a field added to the model needs nothing here unless it holds another value of the model.
Unknown fields, written by a later lab, are passed over; a missing one takes its default. NaN and infinity are refused:
JSON has no word for them, and a failure is never a number.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from orchestrator.model import (
    Bound,
    LeftOut,
    Metrics,
    Plan,
    Probed,
    ReadBack,
    Run,
    Session,
    Step,
    TrialResult,
    TrialSpec,
)

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
    return _plan(_parse(text))


def load_trial(text: str) -> TrialResult:
    """Return the trial that `dump` wrote. Raises Undecodable."""
    return _build(
        TrialResult,
        _parse(text),
        {
            "spec": _spec,
            "metrics": lambda obj: _build(Metrics, obj, {"errors": _counts}),
            "missing": dict,
            "histogram_us": lambda obj: {int(us): int(n) for us, n in obj.items()},
            "read_backs": _each(ReadBack),
            "notes": tuple,
            "steps": _each(Step),
            "counters": _numbers,
            "probe": lambda obj: None if obj is None else _build(Probed, obj, {}),
        },
    )


def load_run(text: str) -> Run:
    """Return the run of a run.json, without its trials: they lie beside it. Raises Undecodable."""
    obj = load_mapping(text)
    converts: dict[str, Convert] = {"plan": _plan, "sessions": _each_session, "trials": lambda _: ()}
    return _build(Run, {**obj, "trials": ()}, converts)


def load_sessions(text: str) -> tuple[Session, ...]:
    """Return the sessions of a JSON list. Raises Undecodable."""
    return _each_session(_parse(text))


def load_mapping(text: str) -> dict[str, object]:
    """Return a JSON object such as the host facts. Raises Undecodable."""
    obj = _parse(text)
    if not isinstance(obj, dict):
        raise Undecodable(f"expected an object, found {type(obj).__name__}")
    return obj


def _plan(obj: Any) -> Plan:
    return _build(Plan, obj, {"trials": lambda items: tuple(map(_spec, items)), "left_out": _each(LeftOut)})


def _each_session(items: Any) -> tuple[Session, ...]:
    return tuple(_build(Session, item, {"owner": dict, "changes": tuple}) for item in items)


def _spec(obj: Any) -> TrialSpec:
    return _build(TrialSpec, obj, {"bounds": _each(Bound), "predicted": _numbers})


def _counts(obj: Any) -> dict[str, int]:
    return {str(kind): int(n) for kind, n in obj.items()}


def _numbers(obj: Any) -> dict[str, float]:
    return {str(name): float(value) for name, value in obj.items()}


def _each(cls: type[T]) -> Convert:
    return lambda items: tuple(_build(cls, item, {}) for item in items)


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, TypeError, RecursionError) as exc:
        raise Undecodable(f"not JSON: {exc}") from exc


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # NaN, Infinity, 1e999: Python's own JSON takes all of them
        raise ValueError(f"{text} is no number")
    return value


def _build(cls: type[T], obj: Any, converts: Mapping[str, Convert]) -> T:
    if not isinstance(obj, dict):
        raise Undecodable(f"{cls.__name__}: expected an object, found {type(obj).__name__}")
    values: dict[str, Any] = {}
    hints = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
    for field in fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        if field.name in obj:
            try:
                values[field.name] = converts.get(field.name, _unchanged)(obj[field.name])
                if not _fits(values[field.name], hints[field.name]):
                    raise Undecodable(f"{cls.__name__}.{field.name}: not such a value: {str(obj[field.name])[:40]!r}")
            except Undecodable:
                raise
            except (TypeError, ValueError, AttributeError, OverflowError) as exc:
                raise Undecodable(f"{cls.__name__}.{field.name}: {exc}") from exc
        elif field.default is MISSING and field.default_factory is MISSING:
            raise Undecodable(f"{cls.__name__} lacks {field.name!r}")
    return cls(**values)


def _unchanged(value: Any) -> Any:
    return value


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of the kind that a field is annotated with, but for what lies inside of mappings.

    A run that was carried here from elsewhere is believed no further than this.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    kind = origin or hint
    if kind in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)
