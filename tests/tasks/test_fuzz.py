"""A short run of the fuzzer, and whether it would find a slow pattern."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from tests.tasks.fuzz import check, check_time, pieces, seeds, texts
from tests.tasks.growth import is_slow


def test_no_text_breaks_a_parser() -> None:
    for text in seeds():
        check(text)
    for text in itertools.islice(texts(seeds(), seed=1), 1500):
        check(text)


def test_no_long_text_is_slow_to_read() -> None:
    for piece in pieces():
        check_time(piece)


@pytest.mark.parametrize(
    ("read", "piece", "slow"),
    [
        (re.compile(r"\s+x").search, " ", True),
        (re.compile(r"[0-9]+-").search, "1", True),
        (re.compile(r"\[[^\]]*\]").search, "[", True),
        (re.compile(r"[0-9]{1,9}-").search, "1", False),
        (lambda text: [ord(letter) for letter in text * 200], "1", False),  # slow, but evenly
    ],
)
def test_a_slow_pattern_is_found(read: Callable[[str], object], piece: str, slow: bool) -> None:
    assert is_slow(read, piece) == slow
