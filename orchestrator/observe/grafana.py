"""Talk to a Grafana over HTTP, through the package grafana-api, with patience and without showing the token.

The package's face is used as a raw passthrough: its own calls go by numeric ids, which Grafana 13 has switched off. It
fails on an empty body, and on an error page with the word "message" in it (1.0.3); the adapter here answers for both.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from grafana_api.grafana_face import GrafanaFace
from requests.adapters import HTTPAdapter

from orchestrator.errors import BadInput, EnvironmentMissing, NotReady
from orchestrator.model import Grafana

Auth = str | tuple[str, str]  # a token, or a user and a password

CONNECT_S = 3.05  # a second SYN goes out after one second, a third after three
TIMEOUT_S = 10.0
TRIES = 4
PAUSE_S = 0.5  # before the second try; doubled before each further one
_BUSY = frozenset({429, 503})  # it did nothing
_UNSURE = frozenset({500, 502, 504})  # it, or a proxy before it, may have done it
_TOKEN = re.compile(r"[!-~]{1,4096}")


class _Answered(Exception):
    """A status of 400 or more, before the package makes a sentence of it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status)
        self.status = status
        self.text = text


class _Line(HTTPAdapter):
    """What the package's session sends through: a refusal is told by its status, whatever its text."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        answer = super().send(request, *args, **options)
        if answer.status_code >= 400:
            raise _Answered(answer.status_code, answer.text)
        if not answer.content:
            answer._content = b"null"  # Grafana answers some calls with nothing; the package insists on JSON
        return answer


class Server:
    """One Grafana by its base URL."""

    def __init__(self, url: str, auth: Auth, *, wait: Callable[[float], None] = time.sleep) -> None:
        """url: with a path where Grafana is served below one. auth: never shown. wait: between tries."""
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
        patience = (CONNECT_S, TIMEOUT_S)
        face = GrafanaFace(auth, host=parts.netloc, url_path_prefix=prefix, protocol=parts.scheme, timeout=patience)
        self._api: Any = face.api
        self._api.s.mount("http://", _Line())
        self._api.s.mount("https://", _Line())
        self._api.s.max_redirects = 0  # the token goes to the address that was written, and nowhere else
        self.wait = wait

    def get(self, path: str) -> Any:
        """Return the answer of GET /api<path>, None where there is no such thing. Raises NotReady and its like."""
        return self.ask("GET", path, none_for=frozenset({404}))

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        none_for: frozenset[int] = frozenset(),
        once: bool = False,
    ) -> Any:
        """Return an answer's JSON, None for an empty one or a status in none_for.

        once: doing it twice would not be doing it once; then it is tried again only where it certainly was not done.
        Raises NotReady when it does not answer or fails, EnvironmentMissing when the token may not, BadInput when the
        address is no Grafana's or a request is refused.
        """
        what = f"grafana: {method} {self.url}/api{path}"
        for attempt in range(1, TRIES + 1):
            try:
                return getattr(self._api, method)(path, json=body)
            except _Answered as refusal:
                if refusal.status in none_for:
                    return None
                is_done_with = attempt == TRIES or refusal.status not in (_BUSY if once else _BUSY | _UNSURE)
                if is_done_with:
                    raise _refused(what, refusal) from None
            except requests.TooManyRedirects:
                raise BadInput(f"{what}: answers with a redirect; write the address that it leads to") from None
            except requests.JSONDecodeError:
                raise BadInput(
                    f"{what}: expected JSON, saw something else: a login page or another server. "
                    "Check grafana.url, with its path where Grafana is served below one"
                ) from None
            except requests.RequestException as why:
                if attempt == TRIES or (once and not _was_never_sent(why)):
                    raise NotReady(
                        f"{what}: expected an answer within {TIMEOUT_S:.0f} s, saw {_brief(why)} "
                        f"({attempt} {'try' if attempt == 1 else 'tries'}). Check grafana.url, and that it is reachable"
                    ) from None
            self.wait(PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until it says that its database is well. Raises NotReady after `deadline_s` seconds."""
        ends_s = time.monotonic() + deadline_s
        while True:
            seen: object = "no answer"
            with contextlib.suppress(requests.RequestException, _Answered):
                seen = self._api.GET("/health")
            if isinstance(seen, dict) and seen.get("database") == "ok":
                return
            if time.monotonic() >= ends_s:
                raise NotReady(
                    f"grafana: expected {self.url}/api/health to say that its database is ok within "
                    f"{deadline_s:.0f} s, saw {str(seen)[:200]}. "
                    "Try: docker logs of the container with the label io.netpoll-lab.role=grafana"
                )
            self.wait(PAUSE_S)


def read_token(grafana: Grafana) -> str:
    """Return the token from where lab.yaml says it is. Raises EnvironmentMissing; the text never holds any of it."""
    if grafana.token_file is not None:
        where = f"{grafana.token_file} (grafana.token_file)"
        try:
            token = grafana.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as why:
            reason = why.strerror if isinstance(why, OSError) else "it is not text"
            raise EnvironmentMissing(f"{where}: expected Grafana's token, but {reason}. Write it there") from None
    else:
        where = f"the environment variable {grafana.token_env} (grafana.token_env)"
        token = os.environ.get(grafana.token_env, "").strip()
    if not token:
        raise EnvironmentMissing(f"{where}: expected Grafana's token, saw nothing. Put a service account's token there")
    if not _TOKEN.fullmatch(token):
        raise EnvironmentMissing(f"{where}: expected one word, saw spaces or other signs. Put the token alone there")
    return token


def _refused(what: str, refusal: _Answered) -> NotReady | EnvironmentMissing | BadInput:
    said = " ".join(refusal.text.split())[:200]
    if refusal.status == 401:
        return EnvironmentMissing(
            f"{what}: the token is not accepted (401). Make a new one: Administration, Service accounts"
        )
    if refusal.status == 403:
        return EnvironmentMissing(
            f"{what}: the token may not do this (403: {said}). Give its service account the role Admin, or Editor "
            "and the permission to write data sources"
        )
    if refusal.status >= 500 or refusal.status == 429:
        return NotReady(f"{what}: expected 200, saw {refusal.status}: {said} ({TRIES} tries). Look into Grafana's log")
    return BadInput(f"{what}: refused with {refusal.status}: {said}")


def _was_never_sent(why: requests.RequestException) -> bool:
    """Tell whether no connection came about; a request that timed out was perhaps done."""
    reason = getattr(why.args[0], "reason", None) if why.args else None
    is_unreached = type(reason).__name__ in ("NewConnectionError", "NameResolutionError")
    return is_unreached or isinstance(why, requests.ConnectTimeout)


def _brief(why: requests.RequestException) -> str:
    reason = getattr(why.args[0], "reason", None) if why.args else None
    return type(why).__name__ + (f": {str(reason).rpartition('>: ')[2] or reason}" if reason else "")
