"""Which frames of a clip the model sees, when it is told they were, and at which size: pure NumPy.

A policy picks one rate a clip, between ``f_min`` and ``f_max``, within a frame and a token budget. Target
times are regular, in steps of a multiple of 1/1024 s, on which float32 and float64 arithmetic give the same
temporal positions. Frames are chosen by their true times, never by index over an average rate, which is wrong
for ragged lists and variable frame rate. Qwen2.5-VL knows one interval a video, so it is told the targets; a
model that reads timestamps is told the true times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from medgrpo.data.frame_size import FrameLayout, fit_frame
from medgrpo.errors import ClipError, UserError

__all__ = ["FramePlan", "SamplingPolicy", "Timestamps"]

Timestamps = Literal["regular", "text"]
"""How a model is told when frames were: by one interval a video, or by a time in front of each pair."""

TICKS = 1024
"""Told intervals are whole numbers of 1/1024 s."""

TOLERANCE = 1e-6
"""Frames: rounding of ``duration * rate`` must not cost a frame."""


@dataclass(frozen=True, eq=False)
class FramePlan:
    """What a policy decided for one clip.

    Attributes:
        indices: Frames to read, int64 ``[n]``, n even; increasing but for a repeated last frame.
        times: Seconds that the model is told, float64 ``[n]``: regular, or the true ones.
        true_times: Seconds at which the frames were, float64 ``[n]``; a padding frame has that of its source.
        fps_effective: Target frames a second, ``1 / step``.
        layout: Size of the frames and where the picture lies in them.
        padded: Whether the last frame is a repetition that makes the count even.
    """

    indices: np.ndarray
    times: np.ndarray
    true_times: np.ndarray
    fps_effective: float
    layout: FrameLayout
    padded: bool

    @property
    def height(self) -> int:
        """Of the frames in pixels, a multiple of the policy's factor."""
        return self.layout.height

    @property
    def width(self) -> int:
        """Of the frames in pixels, a multiple of the policy's factor."""
        return self.layout.width

    @property
    def residual(self) -> float:
        """Largest ``|told - true|`` in seconds, padding left out."""
        n = len(self.indices) - int(self.padded)
        return float(np.abs(self.times[:n] - self.true_times[:n]).max())


@dataclass(frozen=True)
class SamplingPolicy:
    """Adaptive sampling of frames within a token budget.

    On short clips ``min_frames`` may push the rate above ``f_max``, and on very long ones ``max_frames`` or
    the token budget below ``f_min`` (768 frames at 0.1 a second are 2 h 8 min): the plan states the rate.

    Args:
        f_min: Lowest rate that is aimed at, frames a second.
        f_max: Highest rate that is aimed at, frames a second.
        f_goal: Rate to sample at where the budgets allow it, frames a second.
        goal_frames: Frames to aim at instead of a rate, which then adapts to the duration between ``f_min``
            and ``f_max``; None aims at ``f_goal``.
        min_frames: Fewest frames, even; clips that have fewer give all they have.
        max_frames: Most frames, even.
        max_tokens: Most visual tokens of a clip after merging; a pair of frames shares its tokens.
        frame_min_tokens: Fewest tokens of a pair of frames.
        frame_max_tokens: Most tokens of a pair of frames.
        factor: Sides are multiples of this: patch times merge, 28 for Qwen2.5-VL and 32 for Qwen3-VL.
        max_residual: Largest accepted difference between told and true time, seconds; None accepts any.
        aspect_tolerance: Largest change of a picture's width over height, as a share; where no grid of
            patches comes as close, the picture keeps its aspect between black borders.
        timestamps: ``regular`` tells one interval a video, as Qwen2.5-VL was trained; ``text`` writes the
            true time of each pair of frames in front of it, as Qwen3-VL was trained, which always gets them.

    Raises:
        UserError: If the constants contradict each other.
    """

    f_min: float = 0.1
    f_max: float = 3.0
    f_goal: float = 1.0
    min_frames: int = 4
    max_frames: int = 768
    max_tokens: int = 16384
    frame_min_tokens: int = 8
    frame_max_tokens: int = 48
    factor: int = 28
    max_residual: float | None = None
    goal_frames: int | None = None
    aspect_tolerance: float = 0.02
    timestamps: Timestamps = "regular"

    def __post_init__(self) -> None:
        def check(ok: bool, what: str) -> None:
            if not ok:
                raise UserError(f"sampling: {what}, got {self}")

        check(0 < self.f_min <= self.f_goal <= self.f_max < math.inf, "need 0 < f_min <= f_goal <= f_max")
        check(2 <= self.min_frames <= self.max_frames, "need 2 <= min_frames <= max_frames")
        check(self.min_frames % 2 == self.max_frames % 2 == 0, "min_frames and max_frames must be even")
        check(
            1 <= self.frame_min_tokens <= self.frame_max_tokens,
            "need 1 <= frame_min_tokens <= frame_max_tokens",
        )
        check(self.max_tokens >= self.frame_min_tokens, "need max_tokens >= frame_min_tokens")
        check(self.factor >= 1, "factor must be positive")
        check(self.goal_frames is None or self.goal_frames >= 2, "goal_frames must be at least 2")
        check(self.max_residual is None or self.max_residual >= 0, "max_residual must not be negative")
        check(0 <= self.aspect_tolerance < 1, "need 0 <= aspect_tolerance < 1")
        check(self.timestamps in get_args(Timestamps), "timestamps must be regular or text")

    def plan(self, times: np.ndarray, height: int, width: int, *, keep: int | None = None) -> FramePlan:
        """Choose frames and their size.

        Args:
            times: Seconds from the clip's start of each frame there is, ``[N]``, not decreasing. Of frames
                at the same time the first counts.
            height: Of the stored frames, pixels.
            width: Of the stored frames, pixels.
            keep: Index of a frame that must be among the chosen: the nearest chosen one gives way to it.

        Raises:
            ClipError: If there are no frames, times are not finite or decrease, the aspect ratio is beyond
                200, or told times miss the true ones by more than ``max_residual``.
        """
        times = np.asarray(times, dtype=np.float64)
        if times.size == 0:
            raise ClipError("the clip has no frames")
        if not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise ClipError("the clip's frame times are not finite or go backwards")
        distinct = np.concatenate(([0], 1 + np.flatnonzero(np.diff(times) > 0)))
        pts = times[distinct]
        picks, step, padded = self._pick(pts)
        if keep is not None:
            wanted = int(np.searchsorted(pts, times[keep]))
            picks[int(np.abs(picks - wanted).argmin())] = wanted
        if padded:
            picks = np.append(picks, picks[-1])
        n = len(picks)
        per_pair = min(self.frame_max_tokens, 2 * self.max_tokens // n)
        plan = FramePlan(
            indices=distinct[picks].astype(np.int64),
            times=pts[picks] if self.timestamps == "text" else pts[0] + step * np.arange(n),
            true_times=pts[picks],
            fps_effective=1.0 / step,
            layout=fit_frame(
                height,
                width,
                factor=self.factor,
                min_tokens=self.frame_min_tokens,
                max_tokens=per_pair,
                aspect_tolerance=self.aspect_tolerance,
            ),
            padded=padded,
        )
        if self.max_residual is not None and plan.residual > self.max_residual:
            raise ClipError(
                f"told times differ from true ones by up to {plan.residual:.3f} s, more than "
                f"max_residual={self.max_residual}; raise it, leave out the clip, or tell true times: "
                "timestamps: text"
            )
        return plan

    def _pick(self, pts: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """Choose among distinct frame times.

        Args:
            pts: Seconds, ``[N]``, strictly increasing.

        Returns:
            Indices into ``pts`` (odd in number when the last is to be repeated), the told interval in
            seconds, and whether the last is to be repeated.
        """
        count, duration = len(pts), float(pts[-1] - pts[0])
        cap = min(self.max_frames, 2 * (self.max_tokens // self.frame_min_tokens))
        rate = self.f_goal
        if self.goal_frames is not None and duration > 0:
            rate = min(max((self.goal_frames - 1) / duration, self.f_min), self.f_max)
        wanted = max(duration * rate + 1 + TOLERANCE, self.min_frames)
        even_count = count + count % 2
        if wanted >= count and even_count <= cap:
            # All frames are wanted: an odd count repeats its last frame rather than lose one.
            step = _snap(duration / (count - 1)) if count > 1 else 1.0 / self.f_max
            return np.arange(count), step, count % 2 == 1
        n = _even_floor(min(wanted, cap, count))
        step = _snap(duration / (n - 1))
        order = np.arange(n)
        picks = _nearest(pts, pts[0] + step * order)
        # Two targets may share their nearest frame: the later one moves to the next unused frame.
        picks = np.maximum.accumulate(picks - order) + order
        return np.minimum(picks, count - n + order), step, False


def _even_floor(value: float) -> int:
    return max(2, 2 * (int(value) // 2))


def _snap(step: float) -> float:
    """The largest multiple of 1/1024 s within ``step``; ``step`` itself where that is zero."""
    return math.floor(step * TICKS + TOLERANCE) / TICKS or step


def _nearest(pts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Index of the frame time nearest to each target; the earlier of two equally near ones."""
    right = np.clip(np.searchsorted(pts, targets), 1, len(pts) - 1)
    return np.where(targets - pts[right - 1] <= pts[right] - targets, right - 1, right)
