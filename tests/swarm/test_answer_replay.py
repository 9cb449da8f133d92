"""The engine's parser under ASan and UBSan: the fuzzer's corpus, and a fixed set of mutations of it.

What `make fuzz` searches with clang is kept in swarm/engine/fuzz/corpus/ and replayed here with gcc.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.swarm.compiler import ENGINE, PARSER, SANITIZED, compile_c

FUZZ = ENGINE / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())
MUTATIONS = 400


def replay(program: Path, mutations: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Run the corpus and the mutations of each of its inputs; sanitizers end the program at their first report."""
    options = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return subprocess.run(
        [str(program), str(mutations), str(seed), *map(str, CORPUS)],
        env=os.environ | options,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_no_sanitizer_reports_anything(tmp_path: Path) -> None:
    """Corpus and mutations: no read out of bounds, nothing undefined, no leak, one outcome however they are cut."""
    program = compile_c(tmp_path / "replay", FUZZ / "replay.c", FUZZ / "answer_fuzz.c", *PARSER, flags=SANITIZED)

    done = replay(program, MUTATIONS, seed=20261123)

    assert (0, "") == (done.returncode, done.stderr)
    assert f"{len(CORPUS) * (1 + MUTATIONS)} runs\n" == done.stdout


@pytest.mark.parametrize(
    ("file", "right", "wrong", "report"),
    [
        ("answer_parts.h", "while (end - p >= 8)", "while (end - p >= 7)", "heap-buffer-overflow"),
        ("answer_parts.h", "if (below)", "if (1)", "passing zero to ctz"),
        ("answer_fields.c", "a->word_len = 0;", ";", "answer_fuzz: broken"),
        ("answer_head.c", "if (p < end && a->word_len == 0)", "if (p < end)", "answer_fuzz: broken"),
    ],
    ids=["reads too far", "does what is undefined", "keeps a word too long", "forgets a cut name"],
)
def test_a_planted_fault_is_reported(tmp_path: Path, file: str, right: str, wrong: str, report: str) -> None:
    """The corpus reaches the code, and the harness tells: a fault put into a copy of the parser is found."""
    copy = tmp_path / "engine"
    (copy / "fuzz").mkdir(parents=True)
    for source in [*PARSER, *ENGINE.glob("answer*.h"), *FUZZ.glob("*.c")]:
        text = source.read_text()
        if source.name == file:
            assert right in text
            text = text.replace(right, wrong, 1)
        (copy / source.relative_to(ENGINE)).write_text(text)
    program = compile_c(
        tmp_path / "replay", *sorted(copy.glob("*.c")), *sorted(copy.glob("fuzz/*.c")), flags=(*SANITIZED, "-w")
    )

    done = replay(program, 20, seed=1)

    assert done.returncode != 0
    assert report in done.stderr


def test_the_corpus_stays_small_enough_to_replay() -> None:
    """A few hundred inputs, as many as cover the parser: a fuzzer left alone would keep thousands."""
    assert 100 <= len(CORPUS) < 300


@pytest.mark.parametrize("minutes", ["", "0", "2m", "-1"])
def test_make_fuzz_names_a_wrong_length_of_time(minutes: str) -> None:
    """One line, exit code 2, nothing compiled."""
    done = subprocess.run([str(FUZZ / "fuzz.sh"), minutes or " "], capture_output=True, text=True, check=False)

    assert 2 == done.returncode
    assert ["make fuzz: MINUTES is"] == [line[:21] for line in done.stderr.splitlines()]
