"""Turn YAML text into plain data and a map from each value's path to its line.

A strict part of YAML: one document; keys are text and appear once; no tags, no merge keys, no empty values. Plain
words follow the YAML 1.2 core schema, so `no`, `0755`, `1:30` and `2024-01-01` stay text; of its booleans only `true`
and `false` are known. Anchors and aliases work within bounds, which are checked on the event stream, before
anything is built: PyYAML's parser is iterative, its composer is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from orchestrator.config.faults import Fault, Where, bad_input
from orchestrator.config.textfile import read_text
from orchestrator.errors import BadInput
from orchestrator.units import shown

Plain = str | int | float | bool | list["Plain"] | dict[str, "Plain"]

# A lab of a hundred variants and scenarios has some 3,000 nodes in 60 KB, at depth 5.
MOST_BYTES = 1 << 20
MOST_NODES = 10_000
MOST_DEPTH = 20

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?")

# PyYAML says what it met, not what to write; these are the slips people make.
_HINTS = (
    ("\\t", "indent with spaces, not tabs"),
    ("mapping values are not allowed", "check the indentation, and quote text that holds ': '"),
    ("could not find expected ':'", "write 'key: value'"),
    ("expected <block end>", "align this line with the ones above it"),
    ("expected ',' or", "write the ',' or the closing bracket"),
    ("unexpected end of stream", "write the closing quote"),
    ("cannot start any token", "quote this text"),
)


@dataclass(frozen=True, slots=True)
class YamlText:
    """A YAML file's data, and where each part of it is written."""

    data: Plain
    lines: dict[Where, int]  # from 1; a value in a mapping has the line of its key


def read_yaml(path: Path) -> YamlText:
    """Return what a lab file says.

    Raises BadInput with one line naming file, line, path and what to write.
    """
    text = read_text(path, what="a lab file", most_bytes=MOST_BYTES)
    composer = _Composer(path, text)
    root = composer.compose()
    lines: dict[Where, int] = {}
    _map_lines(root, (), root.line, lines)
    return YamlText(root.value, lines)


@dataclass(frozen=True, slots=True)
class _Node:
    value: Plain
    line: int
    size: int  # nodes in it, aliases expanded
    height: int  # collections on the longest way down, itself included
    children: tuple[tuple[str | int, int, _Node], ...] = ()  # (key or index, its line, node)


class _Composer:
    """Builds nodes from events, counting as it goes; recursion is bounded by MOST_DEPTH."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._events = _parse(path, text)
        self._anchors: dict[str, _Node | None] = {}  # None: its node is still being read
        self._nodes = 0

    def compose(self) -> _Node:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise self._empty()
        event = self._next()
        if isinstance(event, yaml.ScalarEvent) and event.value == "" and event.style is None and event.tag is None:
            raise self._empty()
        root = self._node(event, (), 0)
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, (), "a second document starts here; write one document, without '---' between")
        return root

    def _node(self, event: yaml.Event, where: Where, depth: int) -> _Node:
        self._count(event, where, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, where, depth)
        if not isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self._refuse(event, where, "expected a value; write one")
        if event.tag is not None:
            self._refuse(event, where, f"the tag {_tag(event.tag)} is not allowed; write the value without a tag")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(self._scalar(event, where), _line(event), 1, 0)
        else:
            if depth >= MOST_DEPTH:
                self._refuse(event, where[:3], f"nested more than {MOST_DEPTH} deep; write it flatter")
            if isinstance(event, yaml.SequenceStartEvent):
                node = self._sequence(event, where, depth + 1)
            else:
                node = self._mapping(event, where, depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, where: Where, depth: int) -> _Node:
        name = shown(f"*{event.anchor}")
        if event.anchor not in self._anchors:
            self._refuse(event, where, f"the alias {name} has no anchor above it; write the value")
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse(event, where, f"the alias {name} stands inside what it names; write the value")
        if depth + node.height > MOST_DEPTH:
            self._refuse(event, where[:3], f"nested more than {MOST_DEPTH} deep through {name}; write it flatter")
        self._count(event, where, node.size - 1)
        return node

    def _sequence(self, start: yaml.Event, where: Where, depth: int) -> _Node:
        before = self._nodes
        children: list[tuple[str | int, int, _Node]] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            index = len(children)
            children.append((index, _line(event), self._node(event, (*where, index), depth)))
        return self._collection([child.value for _, _, child in children], start, children, before)

    def _mapping(self, start: yaml.Event, where: Where, depth: int) -> _Node:
        before = self._nodes
        data: dict[str, Plain] = {}
        key_lines: dict[str, int] = {}
        children: list[tuple[str | int, int, _Node]] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, where)
            if key in key_lines:
                self._refuse(event, (*where, key), f"written twice, first on line {key_lines[key]}; write it once")
            key_lines[key] = _line(event)
            node = self._node(self._next(), (*where, key), depth)
            data[key] = node.value
            children.append((key, key_lines[key], node))
        return self._collection(data, start, children, before)

    def _collection(
        self, value: Plain, start: yaml.Event, children: list[tuple[str | int, int, _Node]], before: int
    ) -> _Node:
        height = 1 + max((child.height for _, _, child in children), default=0)
        return _Node(value, _line(start), 1 + self._nodes - before, height, tuple(children))

    def _key(self, event: yaml.Event, where: Where) -> str:
        self._count(event, where, 1)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, where, "a key must be plain text; write 'key: value'")
        if event.tag is not None:
            self._refuse(event, where, f"the tag {_tag(event.tag)} is not allowed; write the key without a tag")
        if event.value == "<<":
            self._refuse(event, where, "the merge key '<<' is not supported; write the keys out")
        if event.value == "" and event.style is None:
            self._refuse(event, where, "a key is empty; write 'key: value'")
        key = self._scalar(event, where)
        if not isinstance(key, str):
            self._refuse(event, where, f"the key {shown(key)} is not text; write a name, or quote it")
        return key

    def _scalar(self, event: yaml.ScalarEvent, where: Where) -> Plain:
        text: str = event.value
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse(event, where, f"{shown(text)} holds half a surrogate pair; write the character itself")
        if event.style is not None:  # quoted or block text is text, whatever it looks like
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            self._refuse(event, where, "is empty; write a value, or remove the key")
        if text in ("true", "false"):
            return text == "true"
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _count(self, event: yaml.Event, where: Where, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MOST_NODES:
            text = f"more than {MOST_NODES:,} values, aliases expanded; write fewer, or without aliases"
            self._refuse(event, where[:3], text)

    def _next(self) -> yaml.Event:
        return next(self._events)

    def _empty(self) -> BadInput:
        text = "the file is empty; write at least profiles, scenarios and suites"
        return bad_input([Fault(self._path, 1, (), text)])

    def _refuse(self, event: yaml.Event, where: Where, text: str) -> NoReturn:
        raise bad_input([Fault(self._path, _line(event), where, text)])


def _parse(path: Path, text: str) -> Iterator[yaml.Event]:
    """Yield PyYAML's events, its failures as BadInput."""
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]  # its stub lacks the return type
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be parsed"
        hint = next((hint for sign, hint in _HINTS if sign in problem), "write this line differently")
        fault = Fault(path, mark.line + 1 if mark else None, (), f"expected YAML, saw: {problem}; {hint}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        fault = Fault(path, line, (), f"the character {text[error.position]!a} is not allowed in YAML; remove it")
    except (yaml.YAMLError, ValueError, OverflowError, IndexError) as error:
        # PyYAML lets chr() and int() fail on "\Uffffffff" and on a %YAML directive of 5,000 digits.
        line_before = loader.get_mark().line if loader else 0
        complaint = f"an escape or a directive is out of range ({error}); write it within the range"
        fault = Fault(path, line_before + 1, (), complaint)
    else:
        return
    raise bad_input([fault])


def _tag(tag: str) -> str:
    return shown(tag.replace("tag:yaml.org,2002:", "!!"))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1  # the parser marks every event; its stubs doubt it


def _map_lines(node: _Node, where: Where, line: int, lines: dict[Where, int]) -> None:
    lines[where] = line
    for step, child_line, child in node.children:
        _map_lines(child, (*where, step), child_line, lines)
