"""A short run of the fuzzer."""

from __future__ import annotations

import itertools

from tests.tasks.fuzz import check, seeds, texts


def test_no_text_breaks_a_parser() -> None:
    for text in seeds():
        check(text)
    for text in itertools.islice(texts(seeds(), seed=1), 1500):
        check(text)
