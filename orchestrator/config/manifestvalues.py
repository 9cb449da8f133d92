"""Turn what a person writes for a key of a variant into the value it stands for, or into what to write instead.

One validator and one annotated type for each sort of value that only a variant.toml has, or a variant in lab.yaml;
the sorts that both have alike are in values.py.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from orchestrator.units import shown

MOST_ANSWER_BYTES = 16 << 10  # one receive buffer's worth: comparing more would be what is measured


def _package(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]{1,99}", text):  # Debian policy, 5.6.1
        raise ValueError(f"{shown(text)} is not a Debian package's name; write it as in 'python3-gevent'")
    return text


def _file_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", text):
        raise ValueError(f"{shown(text)} is not a file's name in the variant's folder; write it as in 'seccomp.json'")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,59}", text):
        raise ValueError(f"{shown(text)} is not a route's or check's name; write it as in 'hold' or 'echo-chunked'")
    return text


def _image(text: str) -> str:
    # Name, tag and digest as the engine takes them; it judges the rest itself.
    if not re.fullmatch(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}", text):
        raise ValueError(f"{shown(text)} is not an image's name; write it as in 'my/app:1.2'")
    return text


def _delay_route(text: str) -> str:
    if not re.fullmatch(r"/[!-~]{0,1000}", text) or text.count("{ms}") != 1:
        raise ValueError(f"expected a path with {{ms}} in it, saw {shown(text)}; write it as in '/sleep?ms={{ms}}'")
    return text


def _answer(text: str) -> str:
    if not 1 <= len(text.encode("utf-8", errors="replace")) <= MOST_ANSWER_BYTES:
        raise ValueError(f"expected 1 to {MOST_ANSWER_BYTES:,} bytes, saw {shown(text)}; write what the route answers")
    return text


def _part(text: str) -> str:
    if "\0" in text or len(text) > 4096:
        raise ValueError(f"expected at most 4,096 characters without NUL, saw {shown(text)}; write it shorter")
    return text


def _variable_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", text):
        raise ValueError(f"{shown(text)} is not a variable's name; write it as in 'PORT'")
    return text


Package = Annotated[str, AfterValidator(_package)]
FileName = Annotated[str, AfterValidator(_file_name)]
Word = Annotated[str, AfterValidator(_word)]
ImageName = Annotated[str, AfterValidator(_image)]
DelayRoute = Annotated[str, AfterValidator(_delay_route)]
Answer = Annotated[str, AfterValidator(_answer)]
Part = Annotated[str, AfterValidator(_part)]
Variable = Annotated[str, AfterValidator(_part)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
