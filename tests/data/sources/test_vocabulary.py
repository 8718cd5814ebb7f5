"""A label outside the closed list is refused, and the nearest one is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.vocabulary import Vocabulary, nearest_word

PHASES = Vocabulary("phase", {"closing": "closure", "closure": "closure", "incision": "incision"})


def test_a_spelling_of_the_source_becomes_the_benchmark_s_label() -> None:
    assert PHASES.read("closing", "Phase") == "closure"
    assert PHASES.labels == ("closure", "incision")
    assert Vocabulary.of("tool", ["hook"]).read("hook", "tool") == "hook"


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        (
            "Incison",
            "'Incison' is not a known phase; the nearest is 'incision'; known are: closing, closure, ",
        ),
        ("incision ", "'incision ' is not a known phase; the nearest is 'incision'"),
        ("zzzz", "'zzzz' is not a known phase; known are: closing, closure, incision"),
        (None, "None is not a known phase; known are"),
        (["incision"], "['incision'] is not a known phase; known are"),
    ],
)
def test_a_word_outside_the_list_is_named_with_the_nearest(word: object, problem: str) -> None:
    with pytest.raises(CellError) as caught:
        PHASES.read(word, "Phase")
    assert caught.value.column == "Phase"
    assert caught.value.problem.startswith(problem)


def test_a_long_list_is_not_told_as_a_whole() -> None:
    long = Vocabulary.of("label", [f"label number {k}" for k in range(200)])
    with pytest.raises(CellError) as caught:
        long.read("label numbr 7", "x")
    assert caught.value.problem == "'label numbr 7' is not a known label; the nearest is 'label number 7'"
    with pytest.raises(CellError) as caught:
        long.read("x" * 5000, "x")
    assert len(caught.value.problem) < 120


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=12), max_size=8))
def test_the_nearest_word_is_of_the_list_or_none(word: str, known: list[str]) -> None:
    near = nearest_word(word, known)
    assert near is None or near in known


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_a_known_word_reads_as_itself_and_nothing_else_does(known: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary.of("word", known)
    assert vocabulary.read(data.draw(st.sampled_from(known)), "x") in known
    other = data.draw(st.text(max_size=12).filter(lambda word: word not in known))
    with pytest.raises(CellError):
        vocabulary.read(other, "x")
