"""Captions of timed events: SODA against brute force, labels and judged events."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medgrpo.evaluation import evaluate
from medgrpo.evaluation.official import CaptionPair
from medgrpo.evaluation.strict.captions import mentions
from medgrpo.evaluation.strict.events import ordered_total, soda
from medgrpo.rewards.judges.vocabulary import load_vocabulary
from tests.evaluation.test_strict import BagOfLetters
from tests.tasks.samples import make_sample

SHAPES = st.tuples(st.integers(0, 4), st.integers(0, 4))
GAINS = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1)))


@given(GAINS)
def test_the_order_preserving_assignment_is_the_best_of_all(gains: np.ndarray) -> None:
    true, answered = gains.shape
    best = 0.0
    for size in range(1, min(true, answered) + 1):
        for rows in itertools.combinations(range(true), size):
            for columns in itertools.combinations(range(answered), size):
                best = max(best, sum(gains[i, j] for i, j in zip(rows, columns, strict=True)))
    assert ordered_total(gains) == pytest.approx(best)
    if true + answered:
        assert 0.0 <= soda(gains, np.ones_like(gains)) <= 1.0 + 1e-12


def test_a_perfect_answer_has_one_and_a_surplus_event_costs() -> None:
    text = "0.0-4.0 seconds: cutting: the knife cuts.\n5.0-9.0 seconds: tying: the driver ties."
    sample = make_sample("dense_captioning_gpt", text)
    perfect = _scores(sample, text)
    assert (perfect["soda"], perfect["label_accuracy"]) == (pytest.approx(1.0), 1.0)
    surplus = _scores(sample, text + "\n10.0-12.0 seconds: cutting: more.")
    assert surplus["soda"] == pytest.approx(2 * 2 / 5)
    swapped = _scores(sample, text.replace("cutting", "tying"))
    assert swapped["label_accuracy"] == 0.5
    assert _scores(sample, "")["soda"] == 0.0


def _scores(sample, text, judge=None):  # noqa: ANN001, ANN202
    scores = evaluate([sample], [text], "strict", judge, encoder=BagOfLetters())
    return scores.by_dataset["AVOS"]["dense_captioning"]


def test_events_without_a_partner_have_the_judges_minimum() -> None:
    def judge(pairs: Sequence[CaptionPair]) -> list[Mapping[str, float]]:
        return [{"a": 5.0 if p.candidate == p.reference else 3.0} for p in pairs]

    sample = make_sample("dense_captioning_gpt", "0.0-4.0 seconds: one\n5.0-9.0 seconds: two")
    assert _scores(sample, "0.0-4.0 seconds: one\n5.0-9.0 seconds: two", judge)["judge"] == 5.0
    assert _scores(sample, "0.0-4.0 seconds: one", judge)["judge"] == 3.0
    # IoU 0.5 counts at 0.3 and 0.5: (5 + 5 + 1) / 3 for the first event, 1 for the second.
    assert _scores(sample, "0.0-2.0 seconds: one", judge)["judge"] == pytest.approx((11 / 3 + 1) / 2)
    # One answer for all does not pay: the surplus has the minimum too.
    sprayed = "\n".join(f"{k}.0-{k + 1}.0 seconds: one" for k in range(10))
    assert _scores(sample, sprayed, judge)["judge"] == 1.0


WORDS = st.lists(
    st.sampled_from(
        ["grasper", "forceps", "hook", "cuts", "holds", "the", "gallbladder", "slowly", "zebra", "."]
    ),
    max_size=8,
).map(" ".join)


@given(WORDS, WORDS)
def test_captions_agree_by_what_they_say(first: str, second: str) -> None:
    words = load_vocabulary()
    a, b = words.read(first), words.read(second)
    assert words.agreement(a, b) == pytest.approx(words.agreement(b, a))
    assert 0.0 <= words.agreement(a, b) <= 1.0
    assert words.agreement(a, a) == 1.0


def test_synonyms_agree_more_than_other_things() -> None:
    words = load_vocabulary()

    def agreement(first: str, second: str) -> float:
        return words.agreement(words.read(first), words.read(second))

    reference = "the grasper holds the gallbladder"
    assert agreement(reference, "The gallbladder is being held by a grasper.") == 1.0
    kind = agreement(reference, "an instrument holds the gallbladder")
    assert agreement(reference, "the scissors cut the liver") < kind < 1.0


def test_what_is_named_without_being_there() -> None:
    counts = mentions("The grasper holds the gallbladder.", "The scissors cut the gallbladder and the liver.")
    assert (counts["instruments:said"], counts["instruments:unfounded"]) == (1, 1)
    assert (counts["instruments:true"], counts["instruments:unsaid"]) == (1, 1)
    assert (counts["anatomy:said"], counts["anatomy:unfounded"]) == (2, 1)
    assert (counts["anatomy:true"], counts["anatomy:unsaid"]) == (1, 0)
    sample = make_sample("video_summary_gpt", "The grasper holds the gallbladder.")
    text = "The scissors cut the gallbladder and the liver."
    table = evaluate([sample], [text], "strict", encoder=BagOfLetters()).by_task["video_summary"]
    assert (table["hallucinated_instruments"], table["missed_instruments"]) == (1.0, 1.0)
    assert (table["hallucinated_anatomy"], table["missed_anatomy"]) == (0.5, 0.0)
