"""Shaping rewards: near misses against far ones, thresholds that tighten."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rewards import (
    ClosenessReward,
    CompositeReward,
    IdentityNormalizer,
    RewardComponent,
    TaskMetricReward,
    TighteningReward,
)
from medgrpo.tasks import boxes, get_task, intervals
from medgrpo.tasks.closeness import BoundaryDistance, Closeness, GeneralisedIoU
from medgrpo.types import Sample

MakeSample = Callable[..., Sample]
TENTHS = st.integers(0, 200).map(lambda k: k / 10)
SPANS = st.tuples(TENTHS, st.integers(1, 80)).map(lambda p: (p[0], p[0] + p[1] / 10))
PIXELS = st.integers(0, 60)
SIZES = st.integers(1, 40)
BOXES = st.tuples(PIXELS, PIXELS, SIZES, SIZES).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
MEASURES = (GeneralisedIoU(), BoundaryDistance())

TAL = "10.0-20.0 seconds."
STG = "1.0 seconds: [10, 10, 30, 30] 3.0 seconds: [12, 10, 32, 30]"
DVC = "10.0-20.0 seconds: the duct is clipped"
SHIFTED = ("10.0-20.0", "12.0-20.0", "22.0-30.0", "60.0-70.0")


def _values(component: RewardComponent, sample: Sample, texts: list[str]) -> list[float]:
    parsed = [get_task(sample.task).parse(text, sample) for text in texts]
    return [score.value for score in component.score([sample] * len(texts), texts, parsed)]


def _cells(box: tuple[int, ...]) -> np.ndarray:
    grid = np.zeros((100, 100), dtype=bool)
    grid[box[1] : box[3], box[0] : box[2]] = True
    return grid


@given(BOXES, BOXES)
def test_generalised_iou_of_boxes_counts_pixels(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    first, second = _cells(a), _cells(b)
    hull = _cells((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    union = (first | second).sum()
    expected = (first & second).sum() / union - (hull.sum() - union) / hull.sum()
    assert boxes.generalised_iou(a, b) == pytest.approx(expected)


@given(SPANS, SPANS)
def test_generalised_iou_of_spans_is_that_of_boxes_of_one_height(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    flat = boxes.generalised_iou((a[0], 0, a[1], 1), (b[0], 0, b[1], 1))
    assert intervals.generalised_iou(a, b) == pytest.approx(flat, abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
@given(a=BOXES, b=BOXES, factor=st.integers(2, 9), shift=st.integers(-50, 50))
def test_measures_are_bounded_and_do_not_depend_on_scale_or_place(
    measure: Closeness, a: tuple[int, ...], b: tuple[int, ...], factor: int, shift: int
) -> None:
    value = measure.boxes(a, b)
    assert 0.0 <= value <= 1.0
    assert (value == pytest.approx(1.0)) == (a == b)
    moved = [tuple(factor * v + shift for v in box) for box in (a, b)]
    assert measure.boxes(*moved) == pytest.approx(value)
    spans = [(box[0], box[2]) for box in (a, b)]
    assert 0.0 <= measure.spans(*spans) <= 1.0
    assert (measure.spans(*spans) == pytest.approx(1.0)) == (spans[0] == spans[1])


@pytest.mark.parametrize("measure", MEASURES)
def test_nearer_misses_are_worth_more(measure: Closeness, make_sample: MakeSample) -> None:
    component = ClosenessReward({"tal": 1.0, "stg": 1.0, "dense_captioning": 1.0}, measure)
    answers = {
        "tal": (
            TAL,
            ["10.0-20.0 seconds.", "12.0-20.0 seconds.", "22.0-30.0 seconds.", "60.0-70.0 seconds."],
        ),
        "stg": (
            STG,
            [
                STG,
                "1.0 seconds: [12, 10, 32, 30] 3.0 seconds: [12, 10, 32, 30]",
                "1.0 seconds: [40, 10, 60, 30] 3.0 seconds: [40, 10, 60, 30]",
                "1.0 seconds: [300, 300, 320, 320] 3.0 seconds: [300, 300, 320, 320]",
            ],
        ),
        "dense_captioning": (
            DVC,
            [DVC, *(DVC.replace("10.0-20.0", s) for s in ("12.0-20.0", "22.0-30.0", "60.0-70.0"))],
        ),
    }
    metric = TaskMetricReward({"tal": 1.0, "stg": 1.0, "dense_captioning": 1.0})
    for task, (truth, texts) in answers.items():
        sample = make_sample(task, truth)
        values = _values(component, sample, texts)
        assert values[0] == pytest.approx(1.0)
        assert sorted(values, reverse=True) == values
        assert len(set(values)) == len(values)
        assert _values(metric, sample, texts)[2:] == [0.0, 0.0]  # what the metric cannot tell apart


def test_missed_and_surplus_extents_cost(make_sample: MakeSample) -> None:
    component = ClosenessReward({"tal": 1.0, "stg": 1.0})
    one, both, more = _values(
        component,
        make_sample("tal", "10.0-20.0, 30.0-40.0 seconds."),
        ["10.0-20.0 seconds.", "10.0-20.0, 30.0-40.0 seconds.", "10.0-20.0, 30.0-40.0, 50.0-60.0 seconds."],
    )
    assert (one, both, more) == pytest.approx((0.5, 1.0, 2 / 3))
    assert _values(component, make_sample("stg", STG), [STG.split(" 3.0")[0]]) == pytest.approx([0.5])


def test_an_answer_without_a_structure_is_worth_the_floor(make_sample: MakeSample) -> None:
    composite = CompositeReward({"near": ClosenessReward({"tal": 1.0})}, IdentityNormalizer())
    good, bad = composite.score([make_sample("tal", TAL)] * 2, ["40.0-50.0 seconds.", "no idea"])
    assert good.value > bad.value == 0.0
    assert bad.components["near"].factors["format"] == 0.0
    assert good.components["near"].metric == "tal_giou@1"


def test_levels_rise_once_a_whole_window_is_ready(make_sample: MakeSample) -> None:
    component = TighteningReward({"tal": 1.0}, levels=(0.1, 0.5, 0.9), window=4, ready=0.5)
    sample = make_sample("tal", TAL)
    pair = sample.pair
    texts = ["10.0-12.0 seconds.", "10.0-16.0 seconds.", "50.0-60.0 seconds.", "nothing"]  # 0.2, 0.6, 0, 0
    assert _values(component, sample, texts) == [1.0, 1.0, 0.0, 0.0]
    component.observe([(pair, 1.0), (pair, 1.0), (pair, 0.0)])
    assert component.threshold(pair) == 0.1  # the window is not full
    component.observe([(pair, 0.0)])
    assert component.threshold(pair) == 0.5
    assert component.threshold(("AVOS", "tal")) == 0.1
    assert _values(component, sample, texts) == [0.0, 1.0, 0.0, 0.0]
    component.observe([(pair, 1.0), (pair, 0.0), (pair, 0.0), (pair, 0.0)])
    assert component.threshold(pair) == 0.5
    component.observe([(pair, 1.0)] * 4)
    component.observe([(pair, 1.0)] * 40)
    assert component.threshold(pair) == 0.9  # the last level stays


@given(rounds=st.lists(st.lists(st.booleans(), min_size=1, max_size=12), max_size=8), cut=st.integers(0, 8))
def test_a_restored_state_goes_on_alike(rounds: list[list[bool]], cut: int) -> None:
    pair = ("AVOS", "tal")

    def make() -> TighteningReward:
        return TighteningReward({"tal": 1.0}, levels=(0.1, 0.2, 0.3, 0.4), window=5, ready=0.6)

    whole, first, second = make(), make(), make()
    for scores in rounds:
        whole.observe([(pair, float(s)) for s in scores])
    for scores in rounds[:cut]:
        first.observe([(pair, float(s)) for s in scores])
    composites = [CompositeReward({"t": one}, IdentityNormalizer()) for one in (first, second)]
    composites[1].load_state_dict(composites[0].state_dict())
    for scores in rounds[cut:]:
        second.observe([(pair, float(s)) for s in scores])
    assert second.state_dict() == whole.state_dict()
    assert math.isfinite(second.threshold(pair))


def test_the_composite_shows_rounds_to_its_components(make_sample: MakeSample) -> None:
    component = TighteningReward({"tal": 1.0}, levels=(0.1, 0.5), window=2, ready=1.0)
    composite = CompositeReward({"reached": component}, IdentityNormalizer())
    sample = make_sample("tal", TAL)
    rewards = composite.score([sample] * 2, ["10.0-12.0 seconds.", "10.0-16.0 seconds."])
    assert [reward.value for reward in rewards] == [1.0, 1.0]
    composite.observe([sample.pair] * 2, rewards)
    assert component.threshold(sample.pair) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClosenessReward({"video_summary": 1.0}), "ClosenessReward.tasks: video_summary"),
        (lambda: TighteningReward({"next_action": 1.0}), "TighteningReward.tasks: next_action"),
        (lambda: TighteningReward({"tal": 1.0}, levels=(0.5, 0.3)), "levels must rise"),
        (lambda: TighteningReward({"tal": 1.0}, levels=(0.0, 0.3)), "levels must rise"),
        (lambda: TighteningReward({"tal": 1.0}, levels=()), "levels must rise"),
        (lambda: TighteningReward({"tal": 1.0}, window=0), "window must be at least 1"),
        (lambda: TighteningReward({"tal": 1.0}, ready=0.0), r"ready must be in \(0, 1\]"),
    ],
)
def test_wrong_values_are_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
