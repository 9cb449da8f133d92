"""The CPUs of a machine become a server's set and a load side's set."""

from __future__ import annotations

import pytest

from orchestrator.errors import BadInput
from orchestrator.planning.cpus import format_cpu_list, split_cpus


def split(available: str, server: str, load: str) -> tuple[str, str, str]:
    """Return the two sets and the note for CPUs given as single digits."""
    sets = split_cpus(frozenset(int(cpu) for cpu in available), server, load)
    return format_cpu_list(sets.server), format_cpu_list(sets.load), sets.note


@pytest.mark.parametrize(
    ("available", "server", "load"),
    [("01", "1", "0"), ("012", "2", "0-1"), ("0123", "2-3", "0-1"), ("13579", "7,9", "1,3,5")],
)
def test_auto_gives_the_server_the_higher_half(available: str, server: str, load: str) -> None:
    """Rounded down, at least one; whatever numbers the machine has."""
    assert (server, load, "") == split(available, "auto", "auto")


def test_one_cpu_is_shared_with_a_note() -> None:
    """A reader of the numbers must know."""
    assert ("5", "5", "server and load share CPU 5, the only one") == split("5", "auto", "auto")


def test_shared_is_every_cpu_for_both_with_a_note() -> None:
    """Asked for in so many words, on both sides."""
    assert ("0-3", "0-3", "server and load share CPU 0-3") == split("0123", "shared", "shared")


@pytest.mark.parametrize(
    ("server", "load", "expected"),
    [("3", "0-1", ("3", "0-1", "")), ("3", "auto", ("3", "0-2", "")), ("auto", "0", ("1-3", "0", ""))],
)
def test_explicit_cpus_are_taken_and_auto_gets_the_rest(server: str, load: str, expected: tuple[str, str, str]) -> None:
    """Two explicit lists may leave CPUs unused."""
    assert expected == split("0123", server, load)


@pytest.mark.parametrize(
    ("server", "load", "text"),
    [
        ("4", "auto", "server_cpus: CPU 4 is not available here, 0-3 is; write 'auto' or a list of these"),
        ("auto", "3-5", "load_cpus: CPU 4-5 is not available here, 0-3 is; write 'auto' or a list of these"),
        (
            "0-2",
            "2-3",
            "load_cpus: expected CPUs that server_cpus leaves free, saw 2 in both; "
            "write disjoint lists, or 'shared' for both",
        ),
        (
            "0-3",
            "auto",
            "server_cpus: 0-3 is every CPU there is; leave one for the other side, or write 'shared' for both",
        ),
        (
            "shared",
            "0",
            "load_cpus: expected 'shared' on both sides or on none, saw 'shared' and '0'; write it for both",
        ),
        (
            "auto",
            "shared",
            "load_cpus: expected 'shared' on both sides or on none, saw 'auto' and 'shared'; write it for both",
        ),
        ("two", "auto", "server_cpus: 'two' is not a CPU list; write numbers and ranges, as in '0,2-3'"),
    ],
)
def test_cpus_that_cannot_be_had_are_refused(server: str, load: str, text: str) -> None:
    """One line names the key, what is there and what to write."""
    with pytest.raises(BadInput) as caught:
        split("0123", server, load)

    assert text == str(caught.value)
