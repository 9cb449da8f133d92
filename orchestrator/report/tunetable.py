"""Draw what `lab tune` would change, what it holds, and what became of it; the same as plain values for --json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.planning.hostsettings import Change
from orchestrator.report.text import plain_table

_WORDS = {"same": "so already", "higher": "more already: stays", "absent": "not on this kernel"}


def changes_table(profile: str, changes: Sequence[Change]) -> RenderableType:
    """Each host setting of a profile: what it is, what is wanted, what it would become, and what it bounds."""
    title = f"Host settings of profile {profile}: they hold for every process on this machine"
    table = plain_table(title, "setting", "now", "wanted", "becomes")
    for change in changes:
        becomes = change.becomes if change.action == "set" else _WORDS[change.action]
        table.add_row(*map(Text, (change.name, change.now or "-", change.wanted, becomes)))
    reasons = [Text(f"{change.name}: {change.reason}", style="dim") for change in changes]
    return Group(table, Text(), *reasons)


def held_table(rows: Iterable[tuple[str, str, str, str, str, str]]) -> RenderableType:
    """Each journalled setting: name, what it was, what was set, what it is, how it stands, for which profile."""
    headers = ("setting", "was", "set to", "now", "state", "for")
    table = plain_table("Host settings that lab tune made", *headers, wrap={"for"})
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def ending_line(name: str, old: str, new: str, seen: str | None, fate: str) -> str:
    """Return what became of one journalled setting, as a line."""
    match fate:
        case "restored":
            return f"{name}: {old} again, was {seen}"
        case "never made":
            return f"{name}: {old} already"
        case "restarted":
            return f"{name}: left at {seen or 'absent'}; the machine was restarted since, and {new} went with it"
        case _:
            return f"{name}: left at {seen or 'absent'}; lab tune had made it {new} of {old}"


def changes_document(profile: str, changes: Sequence[Change], *, applied: bool) -> dict[str, object]:
    """Return the same as plain values."""
    return {
        "profile": profile,
        "applied": applied,
        "changes": [
            {
                "name": c.name,
                "now": c.now,
                "wanted": c.wanted,
                "becomes": c.becomes if c.action == "set" else c.now,
                "action": c.action,
                "reason": c.reason,
            }
            for c in changes
        ],
    }
