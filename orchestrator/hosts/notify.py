"""Tell somebody how a night went: a webhook, or a command of the person's own.

The webhook's URL is a secret: whoever knows it may write to the channel behind it. It comes from the environment or
from a file, and no part of it is in anything that is said, kept or raised here.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import requests
import urllib3

from orchestrator.model import Notify

ATTEMPTS = 3
_PAUSE_S = (2.0, 8.0)  # a restarting receiver is back within seconds; longer, and a person should look at it
_CONNECT_S, _ANSWER_S = 5.0, 15.0
_COMMAND_S = 60.0  # mail and chat clients take seconds; a command that waits for input would hold the night up for ever
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Say = Callable[[str], None]


def notify(
    wanted: Notify, root: Path, told: Mapping[str, object], say: Say, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Tell all who are to be told, and return whether each was reached; what went wrong is said.

    root: the lab file's folder, where the command runs and a relative webhook_file lies. told: flat; "text" is what a
    chat shows. The webhook gets it as JSON, the command as LAB_NIGHTLY_<KEY> in its environment.
    """
    reached = True
    if wanted.webhook_env or wanted.webhook_file:
        trouble = _post(wanted, root, told, sleep)
        if trouble:
            say(f"the webhook was not told: {trouble}")
            reached = False
    if wanted.command:
        trouble = _run(wanted.command, root, told, hide=wanted.webhook_env)
        if trouble:
            say(f"nightly.notify.command {wanted.command[0]}: {trouble}")
            reached = False
    return reached


def _post(wanted: Notify, root: Path, told: Mapping[str, object], sleep: Callable[[float], None]) -> str:
    """Return what went wrong, or "". Retries what may pass: no connection, no answer in time, a busy receiver."""
    url = _url(wanted, root)
    source = wanted.webhook_env or wanted.webhook_file
    if not url:
        where = f"{source} is not set" if wanted.webhook_env else f"{source} cannot be read or is empty"
        return f"{where}; it holds the URL to post to"
    if not url.startswith(("https://", "http://")):
        return f"what {source} holds is no http:// or https:// URL"
    trouble = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(_PAUSE_S[attempt - 1])
        try:
            # Redirects are not followed: they would carry the secret, and a webhook has no reason to send one.
            answer = requests.post(url, json=dict(told), timeout=(_CONNECT_S, _ANSWER_S), allow_redirects=False)
        except (requests.ConnectionError, requests.Timeout) as error:
            trouble = _kind(error)
            continue
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:  # requests lets a bad name's through
            return f"{_kind(error)}; see what {source} holds"
        if answer.ok and not answer.is_redirect:
            return ""
        trouble = f"it answered {answer.status_code}"
        if answer.status_code not in _AGAIN:
            return f"{trouble}; see what {source} holds"
    return f"{trouble}, {ATTEMPTS} times"


def _url(wanted: Notify, root: Path) -> str:
    if wanted.webhook_env:
        return os.environ.get(wanted.webhook_env, "").strip()
    try:
        return (root / wanted.webhook_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _kind(error: Exception) -> str:
    """Return what went wrong without the exception's own text, which has the URL in it."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _run(command: Sequence[str], root: Path, told: Mapping[str, object], hide: str) -> str:
    """Return what went wrong, or "". hide: a variable that the command does not get."""
    own = {key: value for key, value in os.environ.items() if key != hide}
    own |= {f"LAB_NIGHTLY_{key.upper()}": str(value) for key, value in told.items()}
    # A file and no pipe: what the command leaves in the background may hold a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                list(command), cwd=root, env=own, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=_COMMAND_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"did not end within {_COMMAND_S:.0f} s, and was stopped"
        except OSError as error:
            return f"{error.strerror}; write a command that {root} knows"
        if done.returncode == 0:
            return ""
        output.seek(0)
        text = output.read().decode(errors="replace")
    last = [line for line in text.splitlines() if line.strip()][-1:]
    return f"ended with {done.returncode}" + (f": {last[0][:200]}" if last else "")
