"""Seconds of a clip against seconds of the player that shows it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.shown_times import TICKS, ShownTimes, shown_frames
from medgrpo.errors import ClipError

gaps = st.lists(st.floats(0.0, 40.0), min_size=0, max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.floats(-10.0, 10_000.0), gaps, st.floats(0.1, 60.0), st.floats(0.0, 1.0))
def test_a_second_of_the_clip_comes_back_from_the_player(
    first: float, gaps: list[float], fps: float, share: float
) -> None:
    times = [first]
    for gap in gaps:
        times.append(times[-1] + gap)
    kept, shown = shown_frames(times, fps)
    assert kept[-1] == len(times) - 1
    assert shown.starts[0] == 0.0
    second = times[0] + share * (times[-1] - times[0])
    assert abs(shown.to_source(shown.to_player(second)) - second) <= 2 / TICKS
    for k, (time, start) in enumerate(zip(shown.times, shown.starts, strict=True)):
        assert abs(shown.to_player(time) - start) <= 1 / TICKS
        assert shown.frame_at(start) == k
        assert abs(start - (time - times[0])) <= 2 / TICKS  # held as long as it was
    assert ShownTimes.from_dict(shown.to_dict()) == shown


def test_the_ends_are_kept() -> None:
    _, shown = shown_frames([2.0, 2.5, 4.0], 2.0)
    assert shown.starts == (0.0, 0.5, 2.0)
    assert shown.duration == 3.0  # the last one as long as the median of the others
    assert shown.to_player(-5.0) == 0.0
    assert shown.to_player(99.0) == shown.duration
    assert shown.to_source(-1.0) == 2.0
    assert shown.to_source(99.0) == 5.0


def test_of_frames_at_one_moment_the_last_one_is_shown() -> None:
    kept, shown = shown_frames([0.0, 0.0, 1.0, 1.0 + 1e-7, 2.0], 1.0)
    assert kept == [1, 3, 4]
    assert shown.starts == (0.0, 1.0, 2.0)


def test_a_single_frame_is_held() -> None:
    kept, shown = shown_frames([7.0], 0.25)
    assert (kept, shown.duration) == ([0], 4.0)
    assert shown_frames([7.0], 30.0)[1].duration == 1.0


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([], "no frame"),
        ([0.0, 2.0, 1.5], "frame 2 of the clip is at 1.5 s, the one in front of it at 2 s"),
        ([0.0, math.nan], "frame 1 of the clip has no finite time"),
        ([math.inf], "frame 0 of the clip has no finite time"),
    ],
)
def test_times_that_make_no_film_are_told(times: list[float], words: str) -> None:
    with pytest.raises(ClipError, match=words):
        shown_frames(times, 1.0)
