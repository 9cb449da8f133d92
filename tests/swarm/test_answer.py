"""The engine's parser: right and wrong answers in every segmentation, beside the swarm's parser in Python.

c/answer_drive.c and swarm/engine/answer*.c are compiled here and fed through ctypes; swarm/http1.py is fed the same.
"""

from __future__ import annotations

import ctypes
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from swarm.http1 import MOST_BODY_BYTES, MOST_HEAD_BYTES, AnswerReader, ClosedEarly, Malformed
from tests.swarm.answers import CHUNKED, CUT_OFF, HELLO, OK, RIGHT, WRONG, Right
from tests.swarm.compiler import HERE, PARSER, compile_c

WHOLE, MALFORMED, CLOSED_EARLY = "whole", "malformed", "closed early"
VERDICTS = (WHOLE, MALFORMED, CLOSED_EARLY, "confused")


@dataclass(frozen=True)
class Outcome:
    """What became of some bytes and the close after them; all but the verdict only of a whole answer."""

    verdict: str
    status: int = 0
    body_len: int = 0
    keeps_alive: bool = False
    used: int = 0
    needed_close: bool = False
    differs: bool = False


class COutcome(ctypes.Structure):
    """struct outcome of answer_drive.c."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("verdict", "status", "keeps_alive", "differs", "needed_close")),
        ("body_len", ctypes.c_uint),
        ("used", ctypes.c_size_t),
    )


Drive = Callable[..., Outcome]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("answer") / "answer.so"
    flags = ("-O2", "-shared", "-fPIC", "-fno-semantic-interposition")
    return ctypes.CDLL(str(compile_c(out, HERE / "answer_drive.c", *PARSER, flags=flags)))


@pytest.fixture(scope="module")
def drive(library: ctypes.CDLL) -> Drive:
    """Return a function that feeds the C parser the pieces between the cuts, then closes."""

    def run(wire: bytes, cuts: Sequence[int] = (), expected: bytes | None = None) -> Outcome:
        seen = COutcome()
        places = (ctypes.c_size_t * len(cuts))(*cuts)
        library.drive(
            wire, ctypes.c_size_t(len(wire)), places, ctypes.c_size_t(len(cuts)), expected,
            ctypes.c_size_t(len(expected or b"")), ctypes.byref(seen),
        )  # fmt: skip
        verdict = VERDICTS[seen.verdict]
        if verdict != WHOLE:
            return Outcome(verdict)
        return Outcome(
            verdict,
            seen.status,
            seen.body_len,
            bool(seen.keeps_alive),
            seen.used,
            bool(seen.needed_close),
            bool(seen.differs),
        )

    return run


def read(wire: bytes, cuts: Sequence[int] = (), expected: bytes | None = None) -> Outcome:
    """Feed swarm/http1.py the pieces between the cuts, then close."""
    reader = AnswerReader()
    answer, needs_close = None, False
    places = [0, *cuts, len(wire)]
    try:
        for start, end in itertools.pairwise(places):
            answer = reader.feed(wire[start:end])
            if answer:
                used = end - len(reader.rest)
                break
        if not answer:
            answer, needs_close, used = reader.end(), True, len(wire)
    except Malformed:
        return Outcome(MALFORMED)
    except ClosedEarly:
        return Outcome(CLOSED_EARLY)
    common = min(len(answer.body), len(expected or b""))
    differs = answer.body[:common] != (expected or b"")[:common]
    return Outcome(WHOLE, answer.status, len(answer.body), answer.keeps_alive, used, needs_close, differs)


def segmentations(wire: bytes) -> Iterator[list[int]]:
    """Yield no cut, one at every place, every byte alone, and threes and sevens."""
    yield []
    yield from ([cut] for cut in range(len(wire) + 1))
    for step in (1, 3, 7):
        yield list(range(step, len(wire), step))


def assert_agreed(drive: Drive, wire: bytes, cuts: Sequence[int]) -> Outcome:
    """Both parsers say the same of the bytes and the close after them; the C parser's outcome.

    http1.py looks at whole heads, so that of a head that is cut off it may say "closed early" where the C parser has
    seen what no further byte can mend: then http1.py has to refuse the bytes once the line and the head are ended.
    """
    c, python = drive(wire, cuts, HELLO), read(wire, cuts, HELLO)
    if (c.verdict, python.verdict) == (MALFORMED, CLOSED_EARLY):
        python = read(wire + b"\r\n\r\n")
    assert python == c, (wire, cuts)
    return c


@pytest.mark.parametrize("case", RIGHT, ids=[case[0] for case in RIGHT])
def test_a_right_answer_is_read_in_every_segmentation(drive: Drive, case: Right) -> None:
    """Both parsers tell the status, the length, whether the connection stays, and where the answer ends."""
    wire, used, needs_close = case.wire, len(case.wire) - len(case.rest), case.name.startswith("until the close")
    right = Outcome(WHOLE, case.status, len(case.body), case.keeps_alive, used, needs_close)

    for cuts in segmentations(wire):
        assert right == drive(wire, cuts, case.body), cuts
        assert right == read(wire, cuts, case.body), cuts


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_answer_is_refused_in_every_segmentation(drive: Drive, case: tuple[str, bytes]) -> None:
    """Both parsers call it malformed; neither waits for more bytes, or takes the close for the fault."""
    _, wire = case

    for cuts in segmentations(wire):
        assert MALFORMED == drive(wire, cuts).verdict, cuts
        assert MALFORMED == read(wire, cuts).verdict, cuts


@pytest.mark.parametrize("case", CUT_OFF, ids=[case[0] for case in CUT_OFF])
def test_an_answer_cut_off_is_closed_early(drive: Drive, case: tuple[str, bytes]) -> None:
    """What was right so far is not malformed, and not whole."""
    _, wire = case

    for cuts in segmentations(wire):
        assert CLOSED_EARLY == drive(wire, cuts).verdict, cuts
        assert CLOSED_EARLY == read(wire, cuts).verdict, cuts


def test_the_parsers_agree_about_every_prefix(drive: Drive) -> None:
    """Wherever a connection ends inside of an answer, both give the same verdict; of a right one, never malformed."""
    for right in RIGHT:
        for end in range(len(right.wire)):
            assert MALFORMED != assert_agreed(drive, right.wire[:end], ()).verdict, right.wire[:end]
    for _, wire in WRONG:
        for end in range(min(len(wire), 400)):
            assert_agreed(drive, wire[:end], ())


def test_the_parsers_agree_about_made_up_answers(drive: Drive) -> None:
    """Answers put together from right and wrong parts, some bytes changed, cut anywhere: one verdict; seeded."""
    dice = random.Random(20261123)
    seen = dict.fromkeys(VERDICTS, 0)
    for _ in range(12_000):
        wire = make_up(dice)
        cuts = sorted(dice.randrange(len(wire) + 1) for _ in range(dice.randrange(4)))
        seen[assert_agreed(drive, wire, cuts).verdict] += 1

    assert all(seen[verdict] > 200 for verdict in (WHOLE, MALFORMED, CLOSED_EARLY)), seen


def make_up(dice: random.Random) -> bytes:
    """Return something like an answer: any fields, any body, perhaps with a few bytes changed."""
    version = dice.choice([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2"])
    status = dice.choice([b"200 OK", b"200", b"404 ?", b"204 No Content", b"304 -", b"100 C", b"101 S", b"20 x"])
    names = [b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection", b"X-Y", b" ", b""]
    values = [
        *(b"13", b"13", b"0", b"5", b"013", b"13, 13", b"13,\r\n 13", b"1 3", b"", b",", b"x"),
        *(b"chunked", b"gzip, chunked", b"Chunked,", b"chunked;a=b", b'gzip;a="b,c"', b'gzip;a="b', b"chunked, gzip"),
        *(b"close", b"keep-alive", b"Keep-Alive, x", b"close x", b"a\tb", b"a\r\n\tb", b"a\0b"),
    ]
    likely = [b"Content-Length: 13\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Date: now\r\n"]
    fields = [
        dice.choice(likely) if dice.random() < 0.7 else b"%b: %b\r\n" % (dice.choice(names), dice.choice(values))
        for _ in range(dice.randrange(4))
    ]
    bodies = [
        HELLO,
        b"",
        b"Hello",
        HELLO * 2,
        b"d\r\n" + HELLO + b"\r\n0\r\n\r\n",
        b"5;x\r\nHello\r\n0\r\nA: b\r\n\r\n",
    ]
    wire = bytearray(b"%b %b\r\n%b\r\n%b" % (version, status, b"".join(fields), dice.choice(bodies)))
    for _ in range(dice.choice([0, 0, 0, 1, 2])):
        place = dice.randrange(len(wire))
        wire[place : place + dice.randrange(2)] = dice.choice([b"", b"\r", b"\n", b" ", b"\0", b",", b";", b":", b"9"])
    return bytes(wire)


def test_limits_hold_to_the_byte_in_every_segmentation(drive: Drive) -> None:
    """Head, chunk-size line and trailers of 64 KiB are taken, one more byte is not, whole or cut."""
    for before, after in (
        (OK + b"Content-Length: 2\r\nX: ", b"\r\n\r\nab"),
        (b"HTTP/1.1 100 C\r\nX: ", b"\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nab"),
        (CHUNKED + b"2;", b"\r\nab\r\n0\r\n\r\n"),
        (CHUNKED + b"2\r\nab\r\n0\r\nX: ", b"\r\n\r\n"),
    ):
        limited = before.split(b"\r\n0\r\n")[-1].removeprefix(CHUNKED)
        ending = b"\r\n" if limited == b"2;" else b"\r\n\r\n"
        fill = MOST_HEAD_BYTES - len(limited) - len(ending)
        for extra, verdict in ((0, WHOLE), (1, MALFORMED)):
            wire = before + b"x" * (fill + extra) + after
            last = len(wire) - len(after)
            cuttings: list[list[int]] = [
                [],
                [last],
                [last + 1],
                [last + len(ending)],
                [5],
                list(range(1000, last, 1000)),
            ]
            for cuts in cuttings:
                assert verdict == drive(wire, cuts).verdict, (before, cuts)
                assert verdict == read(wire, cuts).verdict, (before, cuts)


def test_a_body_of_16_mib_is_taken_and_no_more(drive: Drive) -> None:
    """By Content-Length, in chunks and until the close; what is too long is refused as soon as that is known."""
    most, size = MOST_BODY_BYTES, b"%x" % (MOST_BODY_BYTES - 1)
    body = b"x" * most
    for wire, verdict in (
        (OK + b"Content-Length: %d\r\n\r\n" % most + body, WHOLE),
        (OK + b"Content-Length: %d\r\n\r\n" % (most + 1), MALFORMED),
        (CHUNKED + size + b"\r\n" + body[1:] + b"\r\n1\r\nx\r\n0\r\n\r\n", WHOLE),
        (CHUNKED + size + b"\r\n" + body[1:] + b"\r\n2\r\n", MALFORMED),
        (OK + b"\r\n" + body, WHOLE),
        (OK + b"\r\n" + body + b"x", MALFORMED),
    ):
        for cuts in ([], [len(wire) // 2], [len(wire) - 1]):
            outcome = drive(wire, cuts)

            assert (verdict, most if verdict == WHOLE else 0) == (outcome.verdict, outcome.body_len)
        assert verdict == read(wire).verdict


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_one_wrong_byte_in_a_sampled_body_is_seen(drive: Drive, framing: str) -> None:
    """Every byte of the body is compared, wherever it is cut; a body of another length is no matter of this."""
    frames: dict[str, Callable[[bytes], bytes]] = {
        "length": lambda body: OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        "chunked": lambda body: CHUNKED + b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]),
        "until close": lambda body: OK + b"\r\n" + body,
    }
    frame = frames[framing]
    for place in range(len(HELLO)):
        wrong = HELLO[:place] + b"_" + HELLO[place + 1 :]
        for cuts in segmentations(frame(wrong)):
            assert drive(frame(wrong), cuts, HELLO).differs
    for right in (HELLO, HELLO + b" and more", HELLO[:7]):
        for cuts in segmentations(frame(right)):
            assert not drive(frame(right), cuts, HELLO).differs
    assert not drive(frame(b"_" * 13), [], None).differs


def test_one_connection_costs_little(library: ctypes.CDLL) -> None:
    """A million connections have one parser each: at most 96 bytes."""
    assert 0 < library.size_of_answer() <= 96
