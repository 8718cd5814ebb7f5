"""Agreement measures and quantities against scikit-learn and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from medgrpo.tasks import agreement
from medgrpo.tasks.quantities import graded, mean, ratio

K = 4
PAIRS = st.lists(st.tuples(st.integers(0, K - 1), st.integers(0, K - 1)), min_size=1, max_size=40)
OPTIONAL = st.lists(
    st.tuples(st.integers(0, K - 1), st.one_of(st.none(), st.integers(0, K - 1))), min_size=1, max_size=40
)


def table(pairs: list[tuple[int, int | None]]) -> np.ndarray:
    counts = np.zeros((K, K + 1))
    for true, answer in pairs:
        counts[true, K if answer is None else answer] += 1
    return counts


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(PAIRS)
def test_measures_against_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, answers = zip(*pairs, strict=True)
    counts = table(pairs)
    labels = sorted(set(truth))
    expected = f1_score(truth, answers, labels=labels, average="macro", zero_division=0)
    assert float(agreement.macro_f1(counts)) == pytest.approx(expected)
    recalls = [np.mean([a == t for t, a in pairs if t == label]) for label in labels]
    assert float(agreement.balanced_accuracy(counts)) == pytest.approx(np.mean(recalls))
    if set(answers) <= set(truth):
        expected = balanced_accuracy_score(truth, answers)
        assert float(agreement.balanced_accuracy(counts)) == pytest.approx(expected)
    assert float(agreement.accuracy(counts)) == pytest.approx(np.mean([a == t for t, a in pairs]))
    assert float(agreement.mean_absolute_error(counts)) == pytest.approx(
        np.mean([abs(a - t) for t, a in pairs])
    )
    with np.errstate(all="ignore"):
        kappa = cohen_kappa_score(truth, answers, weights="quadratic", labels=range(K))
    if not math.isnan(kappa):
        assert float(agreement.quadratic_kappa(counts)) == pytest.approx(kappa)


@given(OPTIONAL)
def test_an_unreadable_answer_is_never_better_than_any_other(pairs: list[tuple[int, int | None]]) -> None:
    best = [(t, t) for t, _ in pairs]
    readable = [(t, t if a is None else a) for t, a in pairs]
    for measure in (agreement.accuracy, agreement.balanced_accuracy, agreement.macro_f1):
        value = float(measure(table(pairs)))
        assert 0.0 <= value <= float(measure(table(readable))) + 1e-12
        assert float(measure(table(best))) == pytest.approx(1.0)
    assert float(agreement.mean_absolute_error(table(pairs))) >= float(
        agreement.mean_absolute_error(table(readable))
    )
    assert float(agreement.quadratic_kappa(table(best))) == pytest.approx(1.0)


def test_the_constant_answer_is_unmasked() -> None:
    pairs: list[tuple[int, int | None]] = [(0, 0)] * 9 + [(2, 0)]
    counts = table(pairs)
    assert float(agreement.accuracy(counts)) == float(agreement.majority_rate(counts)) == 0.9
    assert float(agreement.balanced_accuracy(counts)) == 0.5
    assert float(agreement.quadratic_kappa(counts)) == 0.0


def test_no_row_has_no_value() -> None:
    for name in agreement.__all__:
        assert np.isnan(getattr(agreement, name)(np.zeros((K, K + 1))))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_quantities_over_draws_equal_those_of_repeated_rows(values: list[float], data: st.DataObject) -> None:
    n = len(values)
    cluster = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.intp)
    weights = np.array([data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))], dtype=np.float64)
    under = [float(k % 3) for k in range(n)]
    truth, answers = [[k % 3, None] for k in range(n)], [[k % 2, 0] for k in range(n)]
    quantities = [
        mean("mean", values),
        ratio("ratio", values, under),
        *graded({"accuracy": agreement.accuracy}, truth, answers, 3),
    ]
    rows = [i for i in range(n) for _ in range(int(weights[0, cluster[i]]))]
    if not rows:
        return
    repeated = [
        mean("mean", [values[i] for i in rows]),
        ratio("ratio", [values[i] for i in rows], [under[i] for i in rows]),
        *graded({"accuracy": agreement.accuracy}, [truth[i] for i in rows], [answers[i] for i in rows], 3),
    ]
    for quantity, plain in zip(quantities, repeated, strict=True):
        assert quantity.values(cluster, weights)[0] == pytest.approx(plain.value())
