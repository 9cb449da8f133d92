"""Hold requests and answers against the description of Grafana's HTTP API (tests/fixtures/grafana, its NOTICE).

The description forbids no key that it does not know, so that a misspelt one would pass: here every object whose keys
are listed may have those alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openapi_core import OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

FIXTURES = Path(__file__).parents[1] / "fixtures" / "grafana"
HOST = "http://grafana"


class NotAsDescribed(Exception):
    """A request or an answer that the description does not know; the text says why."""


def check_request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raise NotAsDescribed unless this is a request of the API. target: as in the request line, /api/..."""
    try:
        _description().validate_request(_request(method, target, headers, body))
    except OpenAPIError as why:
        raise NotAsDescribed(f"{method} {target}: {_all(why)}") from None


def check_answer(method: str, target: str, headers: Mapping[str, str], body: bytes, status: int, answer: bytes) -> None:
    """Raise NotAsDescribed unless this is an answer that the API may give to this request."""
    try:
        _description().validate_response(_request(method, target, headers, body), MockResponse(answer, status))
    except OpenAPIError as why:
        raise NotAsDescribed(f"{method} {target}, {status}: {_all(why)}") from None


def _request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> MockRequest:
    parts = urlsplit(target)
    arguments = dict(parse_qsl(parts.query))
    return MockRequest(HOST, method, parts.path, args=arguments, headers=dict(headers), data=body or None)


@cache
def _description() -> OpenAPI:
    document = json.loads((FIXTURES / "openapi-13.0.0-subset.json").read_text())
    for path, operations in json.loads((FIXTURES / "additions.json").read_text())["paths"].items():
        document["paths"].setdefault(path, {}).update(operations)
    _close(document)
    return OpenAPI.from_dict(document)


def _close(part: Any) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict) and part.get("type") == "object":
            part.setdefault("additionalProperties", False)
        for each in part.values():
            _close(each)
    elif isinstance(part, list):
        for each in part:
            _close(each)


def _all(why: BaseException) -> str:
    """Return an error with its causes: openapi-core keeps what was wrong in the last of them."""
    words = []
    one: BaseException | None = why
    while one is not None:
        errors = getattr(one, "schema_errors", None)
        words.append("; ".join(str(each.message) for each in errors) if errors else str(one))
        one = one.__cause__
    return ": ".join(words)
