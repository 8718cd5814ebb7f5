"""Which stretches of a source video questions are about, and which of its frames are listed.

MedVidBench's clips last 20 to 1800 seconds, most of them under 375, at rates from 0.1 to 3 frames a second.
The rule by which its authors cut and sampled is not published. Here a video is cut into stretches one after
the other, of lengths drawn between those bounds and ended where an event ends, if one ends nearby; a rated
trial is one clip, and so is each stretch in which the critical view of safety was scored.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medgrpo.data.build.items import BuildClip
from medgrpo.data.build.seeds import generator_of
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError

__all__ = ["ClipPolicy", "plan_clips", "rate_of"]

Span = tuple[float, float]

PUBLISHED_RATES = (3.0, 2.0, 1.0, 0.5, 0.2, 0.1)
"""Rates of the published frame lists, frames a second."""


@dataclass(frozen=True)
class ClipPolicy:
    """How videos are cut into clips.

    Attributes:
        min_seconds: Shortest clip; a whole video may be shorter.
        usual_seconds: Longest ordinary clip.
        max_seconds: Longest clip.
        long_share: Share of clips that may be longer than ``usual_seconds``.
        snap: A clip ends where an event ends, if that changes its length by no more than this share.
        per_video: Most clips of a video, spread over it; None takes all.
        rates: Rates of frame lists to choose from, frames a second.
        goal_frames: The highest rate is chosen at which a clip has no more frames than this.
        min_frames: Fewest frames, which may raise the rate as far as the source has frames.
        seed: Another seed cuts elsewhere.

    Raises:
        UserError: If the constants contradict each other.
    """

    min_seconds: float = 20.0
    usual_seconds: float = 375.0
    max_seconds: float = 1800.0
    long_share: float = 0.03
    snap: float = 0.25
    per_video: int | None = 12
    rates: tuple[float, ...] = PUBLISHED_RATES
    goal_frames: int = 128
    min_frames: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        def check(ok: bool, what: str) -> None:
            if not ok:
                raise UserError(f"clips: {what}, got {self}")

        check(
            0 < self.min_seconds <= self.usual_seconds <= self.max_seconds < math.inf,
            "need 0 < min_seconds <= usual_seconds <= max_seconds",
        )
        check(0 <= self.long_share <= 1 and 0 <= self.snap < 1, "long_share and snap are shares")
        check(self.per_video is None or self.per_video >= 1, "per_video must be at least 1")
        check(bool(self.rates) and all(0 < rate < math.inf for rate in self.rates), "rates must be positive")
        check(2 <= self.min_frames <= self.goal_frames, "need 2 <= min_frames <= goal_frames")


def plan_clips(video: SourceVideo, policy: ClipPolicy) -> tuple[BuildClip, ...]:
    """The clips of a video, in the order of time; none where it has too few frames.

    Args:
        video: With its annotations, whose ends attract the ends of clips.
        policy: How.
    """
    if video.skill is not None:
        spans = [(0.0, min(video.duration, policy.max_seconds))]
    elif video.criteria:
        spans = [(one.start, min(one.end, one.start + policy.max_seconds)) for one in video.criteria]
    else:
        spans = list(_stretches(video, policy))
    clips = [clip for span in spans if (clip := _clip(video, span, policy)) is not None]
    if policy.per_video is not None and len(clips) > policy.per_video:
        spread = np.linspace(0, len(clips) - 1, policy.per_video).round().astype(int)
        clips = [clips[k] for k in spread]
    return tuple(clips)


def rate_of(duration: float, own: float, policy: ClipPolicy, whole_steps: bool = False) -> float:
    """The rate of a clip's frame list.

    Args:
        duration: Of the clip, seconds.
        own: Frames a second that the source has.
        policy: With the rates to choose from.
        whole_steps: Whether only every n-th frame can be taken, as there are none between those of a list:
            rates that would need some are left out, unless no other is left.

    Returns:
        The highest rate at which neither the source has too few frames nor the clip too many; the lowest rate
        where none does. A clip that would have fewer than ``min_frames`` gets the next higher rate that the
        source has, or the source's own.
    """
    usable = sorted(rate for rate in policy.rates if rate <= own * 1.001) or [own]
    if whole_steps:
        usable = [rate for rate in usable if abs(own / rate - round(own / rate)) < 0.01] or usable
    fitting = [rate for rate in usable if duration * rate <= policy.goal_frames]
    rate = fitting[-1] if fitting else usable[0]
    enough = [r for r in usable if r >= rate and duration * r >= policy.min_frames]
    return enough[0] if enough else max(rate, own if duration * own <= policy.goal_frames else rate)


def _stretches(video: SourceVideo, policy: ClipPolicy) -> Iterator[Span]:
    """Spans one after the other, the last as long as what is left, if that is long enough."""
    grid = max(1.0, 1.0 / video.clock)
    ends = sorted({event.end for event in video.events})
    generator = generator_of(policy.seed, video.source, video.video_id, "clips")
    first = math.ceil(video.footage.start / grid) * grid if video.footage.video else 0.0
    start = _next_frame(video, first)
    cut = False
    while video.duration - start >= policy.min_seconds:
        highest = policy.max_seconds if generator.random() < policy.long_share else policy.usual_seconds
        drawn = float(np.exp(generator.uniform(math.log(policy.min_seconds), math.log(highest))))
        end = start + max(math.ceil(policy.min_seconds / grid), round(drawn / grid)) * grid
        end = _snapped(start, end, ends, policy)
        if video.duration - end < policy.min_seconds:
            end = video.duration
        if end - start > policy.max_seconds:
            end = start + policy.max_seconds
        yield start, end
        start = _next_frame(video, math.ceil(end / grid - 1e-9) * grid)
        cut = True
    if not cut and start < video.duration:
        yield start, video.duration


def _next_frame(video: SourceVideo, time: float) -> float:
    """The time of the first listed frame from a time on; the time itself in a film."""
    listed = video.footage.times
    if not video.footage.frames:
        return time
    place = bisect_left(listed, time - 1e-6)
    return listed[place] if place < len(listed) else video.duration


def _snapped(start: float, end: float, ends: Sequence[float], policy: ClipPolicy) -> float:
    """The end of the nearest event, if it is near enough."""
    reach = policy.snap * (end - start)
    near = [one for one in ends if abs(one - end) <= reach and one - start >= policy.min_seconds]
    return min(near, key=lambda one: (abs(one - end), one)) if near else end


def _clip(video: SourceVideo, span: Span, policy: ClipPolicy) -> BuildClip | None:
    """A span with its listed frames; None where there are fewer than two."""
    start, end = span[0], min(span[1], video.duration)
    listed = np.asarray(video.footage.times, dtype=float)
    inside = listed[(listed >= start - 1e-6) & (listed < end - 1e-6)]
    own = min(video.footage.fps, video.clock)  # frames between two ticks of the clock would share an id
    if video.footage.frames:
        if len(inside) < 2:
            return None
        start = float(inside[0])  # a list of frames begins with its first frame
        own = min(own, (len(inside) - 1) / float(inside[-1] - inside[0])) if inside[-1] > inside[0] else own
    rate = rate_of(end - start, own, policy, whole_steps=bool(video.footage.frames))
    targets = start + np.arange(math.floor((end - start) * rate - 1e-9) + 1) / rate
    if video.footage.frames:
        nearest = inside[_nearest(inside, targets)]
        times = nearest[np.abs(nearest - targets) <= 0.5 / rate + 1e-6]
        times = np.unique(times)
    else:
        times = targets[targets < end - 1e-6]
    if len(times) < 2:
        return None
    return BuildClip(
        source=video.source,
        video_id=video.video_id,
        canonical_id=video.canonical_id,
        start=round(start, 3),
        end=round(end, 3),
        fps=rate,
        times=tuple(round(float(time) - start, 3) for time in times),
        frame_ids=tuple(video.frame_id(float(time)) for time in times),
        last_id=max(video.frame_id(end) - 1, video.frame_id(float(times[-1]))),
    )


def _nearest(sorted_times: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Index of the time nearest to each target; the earlier of two equally near ones."""
    right = np.clip(np.searchsorted(sorted_times, targets), 1, max(1, len(sorted_times) - 1))
    closer_left = targets - sorted_times[right - 1] <= sorted_times[right] - targets
    return np.where(closer_left, right - 1, right)
