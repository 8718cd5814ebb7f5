"""Clips: within the published bounds, on the source's own frames, the same in every run."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.build.clips import PUBLISHED_RATES, ClipPolicy, plan_clips, rate_of
from medgrpo.data.extents import frame_times
from medgrpo.errors import UserError
from tests.data.build.annotated import CLOCKS, video_of, without_frames

STRETCHED = ("AVOS", "CholecT50", "CholecTrack20", "CoPESD", "EgoSurgery", "NurViD")


@pytest.mark.parametrize("source", STRETCHED)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), duration=st.floats(25.0, 5000.0))
def test_clips_keep_the_published_bounds(source: str, seed: int, duration: float) -> None:
    video = video_of(source, seed, round(duration, 1))
    clips = plan_clips(video, ClipPolicy(seed=seed))
    assert 1 <= len(clips) <= 12
    for before, after in pairwise(clips):
        assert before.end <= after.start + 1e-6, "clips do not overlap"
    for clip in clips:
        assert 17.9 <= clip.duration <= 1800.0
        assert clip.fps in PUBLISHED_RATES
        assert 0.0 <= clip.start < clip.end <= video.duration
        assert all(0.0 <= time < clip.duration for time in clip.times)
        assert 2 <= len(clip.times) == len(clip.frame_ids)


@pytest.mark.parametrize("source", sorted(CLOCKS))
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), duration=st.floats(25.0, 3000.0))
def test_ids_are_on_the_sources_clock_and_tell_the_times(source: str, seed: int, duration: float) -> None:
    """What the reader of a record makes of its ids and rate is when the frames were."""
    video = video_of(source, seed, round(duration, 1))
    for clip in plan_clips(video, ClipPolicy(seed=seed)):
        expected = [round((clip.start + time) * video.clock) for time in clip.times]
        assert np.abs(np.subtract(clip.frame_ids, expected)).max() <= 1
        read = frame_times(clip.frame_ids, clip.fps)
        assert np.abs(read - np.asarray(clip.times)).max() <= 1.0 / video.clock + 1e-3


@pytest.mark.parametrize("source", ["CholecT50", "EgoSurgery"])
def test_listed_frames_are_frames_that_there_are(source: str) -> None:
    whole = video_of(source, duration=600.0)
    lost = frozenset(range(20, 60)) | {100, 101}
    video = without_frames(whole, lost)
    there = set(video.footage.times)
    clips = plan_clips(video, ClipPolicy())
    assert clips
    for clip in clips:
        assert {round(clip.start + time, 3) for time in clip.times} <= there


def test_a_clip_begins_with_its_first_frame_where_frames_are_missing() -> None:
    video = without_frames(video_of("CholecT50", duration=100.0), frozenset(range(7)))
    first = plan_clips(video, ClipPolicy())[0]
    assert (first.start, first.times[0], first.frame_ids[0]) == (7.0, 0.0, 7)


def test_the_same_video_has_the_same_clips_and_another_seed_others() -> None:
    video = video_of("AVOS", duration=2000.0)
    assert plan_clips(video, ClipPolicy()) == plan_clips(video, ClipPolicy())
    assert plan_clips(video, ClipPolicy()) != plan_clips(video, ClipPolicy(seed=1))


def test_a_trial_is_one_clip_and_each_scored_stretch_is_one() -> None:
    (trial,) = plan_clips(video_of("JIGSAWS", duration=90.0), ClipPolicy())
    assert (trial.start, trial.end, trial.frame_ids[0]) == (0.0, 90.0, 0)
    scored = plan_clips(video_of("Cholec80_CVS", duration=300.0), ClipPolicy())
    assert [(clip.start, clip.end) for clip in scored] == [(0.0, 100.0), (150.0, 300.0)]


def test_clips_end_where_events_end_if_those_are_near() -> None:
    video = video_of("AVOS", seed=3, duration=3000.0)
    ends = {event.end for event in video.events}
    snapped = [
        c for c in plan_clips(video, ClipPolicy(per_video=None)) if any(abs(c.end - e) < 1e-3 for e in ends)
    ]
    loose = plan_clips(video, ClipPolicy(per_video=None, snap=0.0))
    assert len(snapped) > sum(any(abs(c.end - e) < 1e-3 for e in ends) for c in loose)


@pytest.mark.parametrize(
    ("duration", "own", "rate"),
    [(30.0, 25.0, 3.0), (60.0, 25.0, 2.0), (100.0, 25.0, 1.0), (200.0, 25.0, 0.5), (600.0, 25.0, 0.2),
     (1800.0, 25.0, 0.1), (30.0, 0.5, 0.5), (30.0, 1.0, 1.0)],
)  # fmt: skip
def test_longer_clips_have_lower_rates(duration: float, own: float, rate: float) -> None:
    assert rate_of(duration, own, ClipPolicy()) == rate


def test_a_list_of_frames_is_thinned_in_whole_steps() -> None:
    assert rate_of(400.0, 0.5, ClipPolicy()) == 0.2
    assert rate_of(400.0, 0.5, ClipPolicy(), whole_steps=True) == 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {"min_seconds": 0},
        {"max_seconds": 10},
        {"long_share": 2},
        {"per_video": 0},
        {"rates": ()},
        {"min_frames": 1},
    ],
)
def test_contradicting_settings_are_refused(settings: dict) -> None:
    with pytest.raises(UserError, match="clips: "):
        ClipPolicy(**settings)
