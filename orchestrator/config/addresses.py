"""Judge a web address as a person writes it into lab.yaml."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from orchestrator.units import shown


def _web_address(text: str) -> str:
    if "@" in text:  # who and perhaps a password: what stands in a lab file is not secret, so it is not shown either
        raise ValueError("names a user in the address; remove it, and write token_env: NAME or token_file: PATH")
    complaint = f"{shown(text)} is not a web address; write it as in 'http://127.0.0.1:3000'"
    if not re.fullmatch(r"[!-~]{1,500}", text):
        raise ValueError(complaint)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(complaint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise ValueError(complaint)
    return text.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]
