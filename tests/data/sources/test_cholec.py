"""Conversions that the importers of the Cholec datasets share, over all numbers that may stand in a file."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.annotations import Provenance
from medgrpo.data.sources.cholec import (
    INSTRUMENTS,
    PHASES,
    STEPS,
    TARGETS,
    VERBS,
    coded,
    is_cut,
    pixel_box,
    share_box,
)
from medgrpo.data.sources.cholectrack20 import first_number
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonNode
from medgrpo.data.sources.numbered_frames import FrameNumbers, label_runs
from medgrpo.types import Box, Canvas

SIDES = st.tuples(st.integers(1, 2000), st.integers(1, 2000)).map(lambda size: Canvas(*size))
SHARES = st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True).map(sorted)


def node(value: object) -> JsonNode:
    return JsonNode(value, "file.json", ("annotations", "5", "phase"))


@given(SHARES, SHARES, SIDES)
def test_left_top_width_height_become_corners_and_back(x: list[int], y: list[int], canvas: Canvas) -> None:
    shares = (x[0] / 1000, y[0] / 1000, (x[1] - x[0]) / 1000, (y[1] - y[0]) / 1000)
    box = pixel_box(shares, canvas, "box")
    corners = (x[0] * canvas.width, y[0] * canvas.height, x[1] * canvas.width, y[1] * canvas.height)
    assert box.xyxy == pytest.approx([corner / 1000 for corner in corners], abs=1e-6)
    assert share_box(box, canvas) == pytest.approx(shares, abs=1e-9)
    assert not is_cut(shares)
    assert 0 <= box.x1 < box.x2 <= canvas.width
    assert 0 <= box.y1 < box.y2 <= canvas.height


@given(st.lists(st.floats(-3, 1000), min_size=4, max_size=4), SIDES)
def test_a_box_lies_in_the_picture_or_is_refused(shares: list[float], canvas: Canvas) -> None:
    left, top, width, height = shares
    outside = max(-left, -top, left + width - 1, top + height - 1)
    box = None
    with suppress(CellError):
        box = pixel_box(shares, canvas, "box")
    if box is None:
        assert outside >= 0 or min(width, height) < 1e-12
        return
    assert outside <= 0.0100001
    assert min(width, height) > 0
    assert 0 <= box.x1 <= box.x2 <= canvas.width
    assert 0 <= box.y1 <= box.y2 <= canvas.height


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_pixels_are_never_taken_for_shares(left: int, width: int) -> None:
    with pytest.raises(CellError, match="is not left, top, width and height as shares from 0 to 1"):
        pixel_box((left + 1, 1, width + 1, 2), Canvas(854, 480), "box")


def test_a_box_of_nothing_is_refused() -> None:
    with pytest.raises(CellError, match=r"the box \[0\.1, 0\.1, 0, 0\.2\] has no area"):
        pixel_box((0.1, 0.1, 0.0, 0.2), Canvas(854, 480), "box")
    assert pixel_box((0, 0, 1, 1), Canvas(854, 480), "box") == Box(0, 0, 854, 480)


@given(st.integers(0, 10**7), st.sampled_from((0, 1)), st.sampled_from((0.5, 1.0, 15.0, 25.0, 29.97, 30.0)))
def test_frame_numbers_are_seconds_and_back(number: int, first: int, clock: float) -> None:
    numbers = FrameNumbers(clock, first)
    time = numbers.time(number + first)
    assert time == pytest.approx(number / clock)
    assert first + round(time * clock) == number + first
    assert numbers.time(number + first + 1) - time == pytest.approx(1 / clock)


@given(st.integers(0, 5000), st.sampled_from((0, 1)), st.integers(1, 20))
def test_the_first_number_follows_from_the_grid(start: int, first: int, count: int) -> None:
    keys = [25 * (start + k) + first for k in range(count)]
    assert first_number(keys) == first
    assert FrameNumbers(25.0, first_number(keys)).time(keys[0]) == start


@given(st.lists(st.sampled_from("ab-"), max_size=40), st.sampled_from((1, 25)), st.sampled_from((0, 1)))
def test_runs_of_labels_tell_the_same_as_the_frames(labels: list[str], step: int, first: int) -> None:
    numbers = FrameNumbers(25.0, first, step)
    told = {first + step * k: (label, Provenance("f")) for k, label in enumerate(labels) if label != "-"}
    events = label_runs("phase", told, numbers)
    for k, label in enumerate(labels):
        time = numbers.time(first + step * k)
        assert [e.label for e in events if e.start - 1e-9 <= time < e.end - 1e-9] == (
            [] if label == "-" else [label]
        )
    for a, b in itertools.pairwise(events):
        assert a.end < b.start - 1e-9 or a.label != b.label


def test_codes_are_the_published_ones() -> None:
    assert PHASES.labels == STEPS
    assert STEPS[1] == "carlot-triangle-dissection"
    assert [INSTRUMENTS.labels.index(tool) for tool in ("grasper", "hook", "specimen bag")] == [0, 2, 6]
    assert [VERBS.labels.index(verb) for verb in ("grasp", "pack", "")] == [0, 8, 9]
    assert [TARGETS.labels.index(target) for target in ("gallbladder", "cystic plate", "")] == [0, 1, 14]


def test_codes_and_words_are_looked_up_and_others_are_refused() -> None:
    assert coded(node(6), PHASES) == coded(node("GallbladderRetraction"), PHASES) == "gallbladder-extraction"
    assert coded(node(-1), PHASES) is coded(node(None), PHASES) is None
    for value, problem in (
        (7, "7 is the code of no phase; codes go from 0 to 6"),
        (-2, "-2 is the code of no phase"),
        (0.5, "0.5 is not a whole number"),
        (True, "true is not a number"),
        ("Calot", "'Calot' is not a known phase"),
        ([1], r"\[1\] is not a number"),
    ):
        with pytest.raises(CellError, match=problem) as caught:
            coded(node(value), PHASES)
        assert caught.value.column == "phase"
