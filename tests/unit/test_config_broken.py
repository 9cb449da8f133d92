"""Every way to break a lab file gives one line: file, line, path, and what to write."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from orchestrator.config.load import load_lab
from orchestrator.errors import BadInput
from orchestrator.model import Lab

BROKEN = Path(__file__).parent / "broken"

# File -> what must follow its name: the line, the path, what was seen, what to write.
EXPECTED = {
    "alias-of-itself": ":19 suites.quick.scenarios[1]: the alias '*loop' stands inside what it names; write",
    "alias-unknown": ":16 scenarios.wait.delay: the alias '*two' has no anchor above it; write the value",
    "bool-yes": ":7 profiles.default.best_effort: expected true or false, saw 'yes'; write true or false",
    "bracket-open": ":20: expected YAML, saw: expected ',' or ']', but got ':'; write the ',' or the closing bracket",
    "closed-without-measure": ":9 scenarios.plain.measure: missing; a closed scenario needs it: write 'measure: 6s'",
    "closed-without-users": ":9 scenarios.plain.connections: missing; a closed scenario needs it: write 'connections",
    "cpus-overlap": ":9 profiles.default.load_cpus: expected CPUs that server_cpus leaves free, saw 2 in both; write",
    "cpus-shared-once": ":9 profiles.default.load_cpus: expected 'shared' on both sides or on none, saw it beside '0'",
    "cpus-syntax": ":8 profiles.default.server_cpus: 'first two' is not a CPU list; write numbers and ranges, as in",
    "date": ":19 suites.quick.scenarios[0]: '2024-01-01' is not a name; write",
    "deep": ":19 suites.quick.scenarios: nested more than 20 deep; write it flatter",
    "deep-through-aliases": ":3 b[0][0]: nested more than 20 deep through '*a'; write it flatter",
    "delay-too-long": ":16 scenarios.wait.delay: expected 0 to 120 s, the contract's range, saw 180 s; write '120s'",
    "empty-value": ":16 scenarios.wait.delay: is empty; write a value, or remove the key",
    "escape-range": ":14: an escape or a directive is out of range",
    "fraction": ":15 scenarios.wait.connections: expected a whole number, saw 200.5; write it as in 50",
    "grafana-address": ":26 grafana.url: '127.0.0.1:3000' is not a web address; write it as in 'http://",
    "grafana-no-token": ":25 grafana.token_env: missing; Grafana lets nobody in without a token: write 'token_env:",
    "grafana-no-url": ":25 grafana.url: missing; use: url needs it: write 'url: http://127.0.0.1:3000'",
    "grafana-password": ":26 grafana.url: names a user in the address; remove it, and write token_env: NAME or",
    "grafana-port": ":27 grafana.port: 9090 is also observability.prometheus_port; write a port of its own, such as",
    "grafana-two-tokens": ":28 grafana.token_file: the token is in T already; remove one of the two",
    "grafana-word": ":25 grafana.use: expected 'auto', 'image', 'url' or 'off', saw 'somewhere'; write",
    "hold-with-measure": ":17 scenarios.wait.measure: a hold scenario's window ends with its last answer; remove it",
    "hold-without-delay": ":13 scenarios.wait.delay: missing; a hold scenario needs it: write 'delay: 5s'",
    "key-number": ":13 scenarios: the key 2 is not text; write a name, or quote it",
    "key-twice": ":13 scenarios.plain: written twice, first on line 9; write it once",
    "key-unknown": ":12 scenarios.plain.mesure: unknown key; write 'measure' (known: answer, arrivals, connections,",
    "key-unknown-top": ":17 suits: unknown key; write 'suites' (known: arena, gate, grafana, nightly, observability, ",
    "kind-unknown": ":14 scenarios.wait.kind: expected 'closed', 'open', 'hold', 'ramp' or 'storm', saw 'holds'; write",
    "laughs": ":5 a3[7]: more than 10,000 values, aliases expanded; write fewer",
    "list-expected": ":19 suites.quick.scenarios: expected a list, saw 'plain'; write [plain]",
    "merge-key": ":15 scenarios.wait: the merge key '<<' is not supported; write the keys out",
    "name-upper": ":13 scenarios.Wait_2k: 'Wait_2k' is not a name; write at most 40 lower-case letters, digits and "
    "hyphens, as in 'wait-2k'",
    "nightly-at": ":27 nightly.at: expected a time of day, saw '24:00'; write it as in \"02:30\"",
    "nightly-bytes": ":28 nightly.keep.bytes: expected a size, saw 20; write it as in '20GiB'",
    "nightly-control": ":27 nightly.control: 'c-threads' does not run in suite quick; write one of: c-epoll, seed-c",
    "nightly-suite": ":26 nightly.suite: 'quik' is not a suite; write 'quick' (known: quick)",
    "nightly-webhooks": ":29 nightly.notify.webhook_file: webhook_env names the webhook already; remove one of the two",
    "nofile-missing": ":3 profiles.default.nofile: missing; write 'nofile: 1048576'",
    "not-a-section": ":2: expected a section, saw a list; write 'key: value' lines",
    "octal": ":15 scenarios.wait.connections: expected a whole number, saw '0200'; write it as in 50",
    "port-low": ":23 observability.web_port: expected at least 1,024, saw 80; write 1024 or more",
    "port-twice": ":24 observability.prometheus_port: 8089 is also web_port; write a port of its own, such as 8090",
    "profile-unknown": ":22 suites.quick.profile: 'tuned' is not a profile; write one of: default",
    "scenario-unknown": ":19 suites.quick.scenarios[1]: 'hold' is not a scenario; write one of: plain, wait",
    "several": ":7 profiles.default.best-effort: unknown key; write 'best_effort' (known: ",
    "sexagesimal": ":15 scenarios.wait.connections: expected a whole number, saw '1:30'; write it as in 50",
    "surrogate": ":14 scenarios.wait.summary: '\\ud800' holds half a surrogate pair; write the character itself",
    "sysctl-fs": ":5 profiles.default.sysctls.fs.nr_open: belongs to the host and is not settable per container; write",
    "sysctl-host": ":5 profiles.default.sysctls.net.ipv4.tcp_mem: belongs to the host and is not settable per "
    "container; write it under 'host:', which lab tune applies",
    "sysctl-misspelt": ":5 profiles.default.sysctls.net.core.somaxcon: is not a sysctl known to belong to a network "
    "namespace; write 'net.core.somaxconn'",
    "tab": ":6: expected YAML, saw: found character '\\t' that cannot start any token; indent with spaces, not tabs",
    "tag-python": ":21 suites.quick.trials: the tag '!!python/object/apply:os.getpid' is not allowed; write the value",
    "tag-str": ":14 scenarios.wait.kind: the tag '!!str' is not allowed; write the value without a tag",
    "threshold-figure": ":27 thresholds.everywhere.throughputs: unknown key; write 'throughput' (known: brea",
    "threshold-scenario": ":27 thresholds.scenarios.plane: 'plane' is not a scenario; write 'plain' (known: plain,",
    "threshold-unit": ":27 thresholds.everywhere.throughput: expected a percentage, saw 3; write it as in '3%'",
    "threshold-zero": ":27 thresholds.everywhere.p99: expected more than 0% and at most 1000%, saw '0%'; write '3%'",
    "trials-many": ":21 suites.quick.trials: expected at most 1,000, saw 1001; write 1000 or less",
    "trials-none": ":21 suites.quick.trials: expected at least 1, saw 0; write 1 or more",
    "two-documents": ":22: a second document starts here; write one document, without '---' between",
    "unit-missing": ":12 scenarios.plain.measure: '6' has no unit; write '6s'",
    "unit-unknown": ":12 scenarios.plain.measure: '6sec' has the unknown unit 'sec'; write us, ms, s, m or h, as in",
    "variant-not-enabled": ":21 suites.quick.variants[0]: 'seed-c' is not a variant; write one of: c-epoll",
    "variant-path": ":9 variants[0]: no variant.toml in '../nowhere'; write a path to a variant's folder",
    "variant-unknown": ":20 suites.quick.variants[0]: 'c-epol' is not a variant; write 'c-epoll' (known: c-epoll,",
}


def complaint_about(path: Path) -> str:
    """Return the text of the BadInput that loading must raise."""
    with pytest.raises(BadInput) as caught:
        load_lab(path)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_broken_lab_file_is_refused_in_one_line(name: str) -> None:
    """The line starts with the file and says where and what to write."""
    path = BROKEN / f"{name}.yaml"

    complaint = complaint_about(path)

    assert f"{path}{EXPECTED[name]}" == complaint[: len(f"{path}{EXPECTED[name]}")]
    assert (True, 2) == (complaint.isprintable(), BadInput.exit_code)


def test_every_broken_file_is_in_the_table() -> None:
    """A file that nobody expects anything of would prove nothing."""
    files = {path.stem for path in BROKEN.glob("*.yaml")} - {"sound"}

    assert set(EXPECTED) == files


def test_the_file_all_others_were_broken_from_is_sound() -> None:
    """Otherwise the others might be refused for a common reason."""
    lab = load_lab(BROKEN / "sound.yaml")

    assert (["plain", "wait"], ["c-epoll", "seed-c"]) == (list(lab.scenarios), list(lab.variants))


def test_a_password_in_an_address_is_not_shown() -> None:
    """Whoever wrote it there by mistake does not find it in a log as well."""
    assert "secret" not in complaint_about(BROKEN / "grafana-password.yaml")


def test_several_faults_are_one_line_with_their_number() -> None:
    """The first in the file is shown, the other three are counted."""
    complaint = complaint_about(BROKEN / "several.yaml")

    assert "(and 3 more)" == complaint[-12:]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", ":1: the file is empty; write at least profiles, scenarios and suites"),
        (b"# nothing but words\n", ":1: the file is empty"),
        (b"---\n", ":1: the file is empty"),
        (b"a: 1\nb: \xff\n", ":2: expected UTF-8 text, saw the byte 0xff; save the file as UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00", ":1: the character '\\x7f' is not allowed in YAML; remove it"),
        (b"a: 1\nb: \x00\n", ":2: the character '\\x00' is not allowed in YAML; remove it"),
        (b"#" * ((1 << 20) + 1), ": expected a lab file of at most 1,048,576 bytes, saw more; write a shorter one"),
        (b"[" * 100_000, ":1 [0][0][0]: nested more than 20 deep; write it flatter"),
        (b"%YAML 1." + b"9" * 5000 + b"\n--- a", ":1: an escape or a directive is out of range"),
        (b"{[a]: 1}", ":1: a key must be plain text; write 'key: value'"),
        (b"true: 1", ":1: the key true is not text; write a name, or quote it"),
        (b"? \n: 1", ":1: a key is empty; write 'key: value'"),
        (b"!!map a: 1", ":1: the tag '!!map' is not allowed; write the key without a tag"),
        (b"'a\nb\x1b': 1", ":2: the character '\\x1b' is not allowed in YAML; remove it"),
        (b'"a\\nb": 1', ":1 'a\\nb': unknown key; write one of: arena,"),
    ],
)
def test_a_file_that_is_no_lab_file_is_refused_in_one_line(tmp_path: Path, content: bytes, fragment: str) -> None:
    """Whatever the bytes are."""
    path = tmp_path / "lab.yaml"
    path.write_bytes(content)

    complaint = complaint_about(path)

    assert (f"{path}{fragment}", True) == (complaint[: len(f"{path}{fragment}")], complaint.isprintable())


def test_a_missing_file_is_refused() -> None:
    """The line says what was expected there."""
    assert "nowhere/lab.yaml: expected a lab file, found nothing there; check the path" == complaint_about(
        Path("nowhere/lab.yaml")
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """Naming the clone instead of its file is a likely slip."""
    assert f"{tmp_path}: expected a lab file, saw a directory; name the file in it" == complaint_about(tmp_path)


def test_a_device_is_refused_without_reading_it() -> None:
    """/dev/zero never ends."""
    assert "/dev/zero: expected a lab file, saw a device or pipe; name a regular file" == complaint_about(
        Path("/dev/zero")
    )


def test_a_file_that_cannot_be_read_is_refused() -> None:
    """/proc/self/mem opens, and fails when read; this works as root too."""
    assert "/proc/self/mem: expected a lab file that can be read, saw: Input/output error; check its path and " in (
        complaint_about(Path("/proc/self/mem"))
    )


def test_any_damage_gives_one_line_or_a_lab(tmp_path: Path) -> None:
    """A thousand seeded mutations of a sound file meet no other exception than BadInput."""
    shutil.copytree(BROKEN / "servers", tmp_path / "servers")
    path = tmp_path / "lab.yaml"
    chance = random.Random(20)
    sound = (BROKEN / "sound.yaml").read_bytes()
    pieces = [
        b"\t",
        b"- ",
        b": ",
        b"\n",
        b"&a ",
        b"*a",
        b"!x ",
        b"'",
        b'"\\U9',
        b"{",
        b"]",
        b"---\n",
        b"\xff",
        b"|",
        b"?",
    ]
    outcomes = set()
    for _ in range(1000):
        damaged = bytearray(sound)
        place = chance.randrange(len(damaged))
        damaged[place : place + chance.randrange(6)] = chance.choice(pieces)
        path.write_bytes(damaged)
        outcomes.add(outcome_of(path))

    assert {"a lab", "one line"} == outcomes


def outcome_of(path: Path) -> str:
    """Return "a lab", "one line" or what else came of loading."""
    try:
        lab = load_lab(path)
    except BadInput as error:
        return "one line" if str(error).isprintable() else f"several lines: {error!r}"
    return "a lab" if isinstance(lab, Lab) else repr(lab)
