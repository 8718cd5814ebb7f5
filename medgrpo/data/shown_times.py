"""When a player shows each frame of a clip: seconds of the source against seconds of the player.

A player starts at zero and knows nothing of a clip's own clock. Each frame is held until the next one was
taken, however irregular that is, so that the film runs as the operation did.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medgrpo.errors import ClipError

__all__ = ["TICKS", "ShownTimes", "shown_frames"]

TICKS = 90_000
"""Units in a second of the player's clock: that of MPEG."""

STILL_SECONDS = 1.0
"""How long the only frame of a clip is held."""


@dataclass(frozen=True, slots=True)
class ShownTimes:
    """The map between the two clocks, frame by frame.

    Attributes:
        times: Seconds from the clip's start at which each shown frame was taken, increasing.
        starts: Seconds of the player at which each is shown, increasing, the first 0.
        duration: Seconds of the player at which the last one ends.
    """

    times: tuple[float, ...]
    starts: tuple[float, ...]
    duration: float

    def frame_at(self, player: float) -> int:
        """The frame that the player shows at a second; the first or last one outside of the film."""
        return max(0, bisect_right(self.starts, player) - 1)

    def to_source(self, player: float) -> float:
        """The second of the clip that a second of the player shows; outside of the film its nearest end."""
        inside = min(max(player, 0.0), self.duration)
        frame = self.frame_at(inside)
        return self.times[frame] + inside - self.starts[frame]

    def to_player(self, source: float) -> float:
        """The second of the player that shows a second of the clip; outside of the clip its nearest end."""
        frame = max(0, bisect_right(self.times, source) - 1)
        held = max(0.0, source - self.times[frame])
        end = self.starts[frame + 1] if frame + 1 < len(self.starts) else self.duration
        return min(self.starts[frame] + held, end)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"times": list(self.times), "starts": list(self.starts), "duration": self.duration}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> ShownTimes:
        """What :meth:`to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: If it is something else.
        """
        times = tuple(float(value) for value in found["times"])
        return cls(times, tuple(float(value) for value in found["starts"]), float(found["duration"]))


def shown_frames(times: Sequence[float], fps: float) -> tuple[list[int], ShownTimes]:
    """Which frames of a clip a player can show, and when.

    Args:
        times: Seconds from the clip's start of each frame.
        fps: Rate of the clip, which tells how long the last of two frames is held.

    Returns:
        Positions in ``times``: of frames at the same moment the last one; and the map of those.

    Raises:
        ClipError: If there is no frame, or a time is not finite or before the time in front of it.
    """
    seconds = np.asarray(times, dtype=np.float64)
    if not seconds.size:
        raise ClipError("the clip has no frame")
    if not np.isfinite(seconds).all():
        raise ClipError(f"frame {int(np.argmin(np.isfinite(seconds)))} of the clip has no finite time")
    gaps = np.diff(seconds)
    if (gaps < 0).any():
        later = int(np.argmax(gaps < 0)) + 1
        raise ClipError(
            f"frame {later} of the clip is at {seconds[later]:g} s, the one in front of it at "
            f"{seconds[later - 1]:g} s: times must not go back"
        )
    ticks = np.rint((seconds - seconds[0]) * TICKS).astype(np.int64)
    kept = np.flatnonzero(np.append(np.diff(ticks) > 0, True))
    ticks = ticks[kept] - ticks[kept[0]]
    last = _last_hold(np.diff(ticks), fps)
    starts = tuple((ticks / TICKS).tolist())
    shown = ShownTimes(tuple(seconds[kept].tolist()), starts, (int(ticks[-1]) + last) / TICKS)
    return kept.tolist(), shown


def _last_hold(gaps: np.ndarray, fps: float) -> int:
    """Ticks for which the last frame is held: as long as a usual one."""
    if len(gaps):
        return max(1, round(float(np.median(gaps))))
    return round(max(STILL_SECONDS, 1.0 / fps) * TICKS)
