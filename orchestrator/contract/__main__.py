"""`python3 -m contract '{"host": "127.0.0.1", "port": 8080, "variant": "c-epoll"}'`, from inside or outside the lab.

Prints one JSON line per check and {"done": true} at the end; on a terminal, or with --text, lines for people.
Exit code: 0 nothing failed, 1 something did, 2 the question was not understood. --list shows every check.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from .run import run
from .table import ITEMS
from .told import EXAMPLE, BadQuestion, read_told


def main(arguments: list[str]) -> int:
    """Run one act. arguments: without the program's name."""
    if arguments == ["--list"]:
        for item in ITEMS:
            print(f"{item.act:7} {item.id:22} {item.title}")
        return 0
    as_text = sys.stdout.isatty() or "--text" in arguments
    rest = [argument for argument in arguments if argument != "--text"]
    if len(rest) != 1:
        print(f"expected one JSON argument, or --list. Try: {EXAMPLE}", file=sys.stderr)
        return 2
    try:
        told = read_told(rest[0])
    except BadQuestion as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    for line in run(told):
        failed = failed or line.get("outcome") == "failed"
        print(describe(line) if as_text else json.dumps(line), flush=True)
    if not as_text:
        print(json.dumps({"done": True}), flush=True)
    return 1 if failed else 0


def describe(line: dict[str, Any]) -> str:
    """Return a result for people: one line, and for a failure what was expected, seen, sent and received."""
    if "id" not in line:
        return json.dumps(line)
    text = f"{line['outcome']:9} {line['id']:22} {line['took_s']:6.1f} s  {line['seen']}"
    if line["outcome"] != "failed":
        return text
    text += f"\n          expected: {line['expected']}"
    for name in ("sent", "received"):
        if line[f"{name}_b64"] is not None:
            kept = base64.b64decode(line[f"{name}_b64"])
            text += f"\n          {name:8}: {kept[:300]!r}, {line[f'{name}_bytes']} bytes in all"
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
