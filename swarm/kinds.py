"""Name what went wrong with an exchange: the few words under which errors are counted.

Pure. The phase is named (connect, send, first byte, body, close), because the same errno means different things in
each. Locust users and the engine use the same words. A reset that has come by the time a connect's end is looked at is
"in connect", although the kernel had done the handshake (docs/architecture.md).
"""

from __future__ import annotations

import errno
import re

from swarm.http1 import Answer

BODY = b"Hello, world!"
MALFORMED = "malformed answer"
CLOSED = "closed before the answer"
WRONG_BODY = "wrong body"
WRONG_LENGTH = "wrong length"
UNANSWERED = "no answer before the end"
DROPPED = "dropped: no connection was free in time"
REFUSED = "target refused"  # followed by a colon and why
OTHERS_ANSWER = "another client's answer"
RAW_FORM = re.compile(rb"\d{12}\n")


def name_errno(code: int | None, phase: str) -> str:
    """Return "ECONNRESET in first byte" and the like."""
    return f"{errno.errorcode.get(code or 0, f'errno {code}')} in {phase}"


def judge_answer(answer: Answer, rest: bytes, body: bytes = BODY) -> str:
    """Return the kind of error an HTTP answer is, or an empty string for the right one.

    rest: what came after it; nothing may, because nothing more was asked for. body: what the answer must be.
    """
    if rest:
        return MALFORMED
    if answer.status != 200:
        return f"status {answer.status}"
    if len(answer.body) != len(body):
        return WRONG_LENGTH
    return "" if answer.body == body else WRONG_BODY


def judge_echo(message: bytes, got: bytes, *, has_ended: bool) -> str:
    """Return the kind of error the bytes received so far are, or an empty string when they are ours and complete.

    has_ended: the peer closed. Thirteen bytes of a message's form that we did not send are another client's.
    """
    if has_ended and len(got) < len(message):
        return CLOSED if message.startswith(got) else WRONG_BODY
    if got == message:
        return ""
    return OTHERS_ANSWER if RAW_FORM.fullmatch(got) else WRONG_BODY
