"""What lab tune would do to a host setting: nothing sinks unasked, and every setting has its reason."""

from __future__ import annotations

import pytest

from orchestrator.config.sysctls import HOST
from orchestrator.errors import BadInput
from orchestrator.planning.hostsettings import REASONS, UNORDERED, decide


def decided(name: str, now: str | None, wanted: str, *, lower: bool = False) -> tuple[str, str]:
    change = decide({name: wanted}, {name: now}, lower)[0]
    return change.action, change.becomes


@pytest.mark.parametrize(
    ("now", "wanted", "lower", "expected"),
    [
        ("65530", "262144", False, ("set", "262144")),
        ("262144", "65530", False, ("higher", "262144")),
        ("262144", "65530", True, ("set", "65530")),
        ("262144", "262144", False, ("same", "262144")),
        ("9223372036854775807", "1048576", False, ("higher", "9223372036854775807")),
        ("100", "99", False, ("higher", "100")),  # as text, 99 would be more
    ],
)
def test_a_higher_value_stays_unless_asked(now: str, wanted: str, lower: bool, expected: tuple[str, str]) -> None:
    """Numbers are compared as numbers, whatever their length."""
    assert expected == decided("vm.max_map_count", now, wanted, lower=lower)


def test_of_several_numbers_each_is_the_larger() -> None:
    """tcp_mem keeps what is higher, number by number, and takes the rest."""
    assert ("set", "500 600 900") == decided("net.ipv4.tcp_mem", "500 550 560", "100\t600 900")
    assert ("higher", "500 600 900") == decided("net.ipv4.tcp_mem", "500 600 900", "1 2 3")
    assert ("set", "1 2 3") == decided("net.ipv4.tcp_mem", "500 600 900", "1 2 3", lower=True)


def test_words_and_modes_are_taken_as_asked() -> None:
    """Of a queue's name, or of a mode, none is higher."""
    assert ("set", "fq") == decided("net.core.default_qdisc", "pfifo_fast", "fq")
    assert ("set", "0") == decided("vm.overcommit_memory", "1", "0")


def test_what_this_kernel_lacks_is_told_from_what_is_so() -> None:
    """An absent setting is neither the same nor set."""
    assert ("absent", "") == decided("net.netfilter.nf_conntrack_max", None, "1")


@pytest.mark.parametrize("wanted", ["many", "1 2", "-1", "", "0x10", "1.5"])
def test_what_is_no_number_is_refused(wanted: str) -> None:
    """The line names the setting, what stands there, and where to mend it."""
    with pytest.raises(BadInput, match=r"^vm\.max_map_count: expected a whole number such as '65530', saw "):
        decided("vm.max_map_count", "65530", wanted)


def test_every_setting_has_its_reason() -> None:
    """What a profile may name, lab tune can explain, and nothing else."""
    assert set(REASONS) == HOST
    assert UNORDERED < HOST
