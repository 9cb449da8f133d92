"""Turn pydantic's list of errors into faults that say what was expected, what was seen and what to write."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.config.faults import Fault, Where, advise, line_of, nearest
from orchestrator.units import shown


def faults_from(error: ValidationError, model: type[BaseModel], file: Path, lines: Mapping[Where, int]) -> list[Fault]:
    """Return one fault for each error that validating a file's data against `model` met."""
    # What is written comes before what is missing: a missing key has no line of its own.
    errors = sorted(error.errors(include_url=False), key=lambda details: details["type"] == "missing")
    misspelt = {_meant(details["loc"], model) for details in errors if details["type"] == "extra_forbidden"}
    return [
        _fault(details, model, file, lines)
        for details in errors
        if details["type"] != "missing" or details["loc"] not in misspelt  # one slip of the pen is one fault
    ]


def _meant(where: Where, model: type[BaseModel]) -> Where:
    return (*where[:-1], nearest(str(where[-1]), _known_keys(model, where)) or "")


def _fault(details: ErrorDetails, model: type[BaseModel], file: Path, lines: Mapping[Where, int]) -> Fault:
    # "[key]" is pydantic's mark for "the key itself is wrong".
    where: Where = tuple(step for step in details["loc"] if step != "[key]")
    return Fault(file, line_of(lines, where), where, _text(details, model, where, file))


def _text(details: ErrorDetails, model: type[BaseModel], where: Where, file: Path) -> str:
    kind, seen, context = details["type"], details["input"], details.get("ctx", {})
    match kind:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return f"unknown key; {advise(str(where[-1]), _known_keys(model, where))}"
        case "missing":
            return _missing(model, where, " =" if file.suffix == ".toml" else ":")
        case "string_type":
            return f"expected text, saw {_describe(seen)}; {_quote(seen)}"
        case "bool_type":
            return f"expected true or false, saw {_describe(seen)}; write true or false"
        case "int_type" | "int_from_float" | "int_parsing":
            return f"expected a whole number, saw {_describe(seen)}; write it as in {_example(model, where) or '50'}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"expected a section, saw {_describe(seen)}; write 'key: value' lines under it"
        case "list_type":
            return f"expected a list, saw {_describe(seen)}; write [{_bare(seen)}]"
        case "literal_error":
            expected = str(context["expected"])
            known = expected.replace("'", "").replace(" or ", ", ").split(", ")
            return f"expected {expected}, saw {_describe(seen)}; write '{nearest(str(seen), known) or known[0]}'"
        case "greater_than_equal":
            return f"expected at least {context['ge']:,}, saw {_describe(seen)}; write {context['ge']} or more"
        case "less_than_equal":
            return f"expected at most {context['le']:,}, saw {_describe(seen)}; write {context['le']} or less"
        case "too_short":
            return "is empty; write at least one entry"
        case _:
            return f"{details['msg']}, saw {_describe(seen)}; write it as docs and lab.yaml show"


def _missing(model: type[BaseModel], where: Where, sign: str) -> str:
    key, example = where[-1], _example(model, where)
    return f"missing; write '{key}{sign} {example}'" if example else f"missing; write a section '{key}:'"


def _example(model: type[BaseModel], where: Where) -> str:
    owner = _owner(model, where)
    field = owner.model_fields.get(str(where[-1])) if owner and where else None
    return str(field.examples[0]) if field and field.examples else ""


def _known_keys(model: type[BaseModel], where: Where) -> list[str]:
    owner = _owner(model, where)
    return sorted(owner.model_fields) if owner else []


def _owner(model: type[BaseModel], where: Where) -> type[BaseModel] | None:
    """Return the model whose key the last step of `where` is."""
    current: object = model
    for step in where[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            current = _unwrapped(field.annotation) if field else None
        else:
            arguments = get_args(current)
            current = _unwrapped(arguments[-1]) if arguments else None
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _unwrapped(annotation: object) -> object:
    """Return the type inside Annotated[...] and `... | None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation


def _describe(seen: object) -> str:
    if isinstance(seen, dict):
        return "a section"
    return "a list" if isinstance(seen, list) else shown(seen)


def _quote(seen: object) -> str:
    return f'write "{_bare(seen)}"' if isinstance(seen, (bool, int, float)) else "write one line of text"


def _bare(seen: object) -> str:
    if isinstance(seen, (dict, list)):
        return "..."
    return shown(seen)[1:-1] if isinstance(seen, str) else shown(seen)
