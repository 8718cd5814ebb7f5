"""Spans and boxes against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.tasks import boxes, intervals

TIMES = st.integers(0, 200).map(lambda k: k / 10)
SPANS = st.tuples(TIMES, TIMES).map(lambda p: (min(p), max(p)))
SETS = st.lists(SPANS, max_size=4)
EDGES = st.floats(-1e6, 1e6)
CORNERS = st.tuples(EDGES, EDGES, EDGES, EDGES).filter(boxes.proper)


def _grid_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    """IoU by counting cells of a tenth of a second."""
    cells = [set(range(round(s[0] * 10), round(s[1] * 10))) for s in (a, b)]
    union = cells[0] | cells[1]
    return len(cells[0] & cells[1]) / len(union) if union else 0.0


def _best_sum(matrix: np.ndarray) -> float:
    """Largest sum over one-to-one pairs, by trying all."""
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    rows, columns = matrix.shape
    return max(
        (sum(matrix[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(columns), rows)),
        default=0.0,
    )


@given(SPANS, SPANS)
def test_iou_counts_cells(a: tuple[float, float], b: tuple[float, float]) -> None:
    assert intervals.iou(a, b) == pytest.approx(_grid_iou(a, b), abs=1e-9)
    assert intervals.iou(a, b) == intervals.iou(b, a)


@given(SETS, SETS)
def test_matrix_agrees_with_pairs(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> None:
    matrix = intervals.iou_matrix(a, b)
    assert matrix.shape == (len(a), len(b))
    assert matrix.tolist() == [[intervals.iou(x, y) for y in b] for x in a]


@given(SETS, SETS)
def test_matching_is_optimal_and_one_to_one(
    a: list[tuple[float, float]], b: list[tuple[float, float]]
) -> None:
    matrix = intervals.iou_matrix(a, b)
    pairs = intervals.match(matrix)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert sum(matrix[i, j] for i, j in pairs) == pytest.approx(_best_sum(matrix) if matrix.size else 0.0)
    for t in (0.3, 0.5, 0.7):
        hits = (matrix >= t).astype(float)
        assert intervals.true_positives(matrix, t) == (_best_sum(hits) if hits.size else 0)


@given(SETS, SETS, st.sampled_from([0.3, 0.5, 0.7]))
def test_set_scores_are_symmetric_and_bounded(
    a: list[tuple[float, float]], b: list[tuple[float, float]], t: float
) -> None:
    for score in (intervals.set_miou, lambda x, y: intervals.f1_at(x, y, t), intervals.coverage_iou):
        assert score(a, b) == pytest.approx(score(b, a))
        assert 0.0 <= score(a, b) <= 1.0 + 1e-12


@given(st.lists(SPANS, min_size=1, max_size=4), st.sampled_from([0.2, 1.0, 2.0]))
def test_equal_sets_score_one(spans: list[tuple[float, float]], fps: float) -> None:
    wide = intervals.widened(spans, fps)
    assert intervals.set_miou(wide, wide[::-1]) == pytest.approx(1.0)
    assert intervals.f1_at(wide, wide[::-1], 0.7) == 1.0


def test_missed_and_surplus_spans_cost() -> None:
    truth = [(0.0, 1.0), (5.0, 6.0)]
    assert intervals.set_miou(truth, truth[:1]) == 0.5
    assert intervals.set_miou(truth[:1], truth) == 0.5
    assert intervals.set_miou(truth, []) == 0.0
    assert intervals.set_miou([], []) == 1.0


def test_the_greedy_trap_is_resolved() -> None:
    # Served in order, the first truth takes the answer that the second one needs.
    truth, answer = [(28.0, 38.0), (32.0, 42.0)], [(31.0, 41.0), (22.0, 32.0)]
    both = intervals.iou(truth[0], answer[1]) + intervals.iou(truth[1], answer[0])
    assert intervals.set_miou(truth, answer) == pytest.approx(both / 2)


@given(CORNERS, CORNERS)
def test_box_iou_is_symmetric_and_bounded(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    assert 0.0 <= boxes.iou(a, b) <= 1.0
    assert boxes.iou(a, b) == boxes.iou(b, a)


@given(st.lists(st.integers(0, 12), min_size=8, max_size=8))
def test_box_iou_counts_pixels(v: list[int]) -> None:
    a, b = [(min(q[0], q[2]), min(q[1], q[3]), max(q[0], q[2]), max(q[1], q[3])) for q in (v[:4], v[4:])]
    if not (boxes.proper(a) and boxes.proper(b)):
        return
    cells = [{(x, y) for x in range(q[0], q[2]) for y in range(q[1], q[3])} for q in (a, b)]
    assert boxes.iou(a, b) == pytest.approx(len(cells[0] & cells[1]) / len(cells[0] | cells[1]))


@pytest.mark.parametrize(
    "box",
    [(0, 0, float("nan"), 1), (0, 0, float("inf"), 1), (2, 0, 1, 1), (0, 0, 0, 5), (0, 0, 1), (0, 0, 1e9, 1)],
)
def test_improper_boxes(box: tuple[float, ...]) -> None:
    assert not boxes.proper(box)
