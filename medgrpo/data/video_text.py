"""A clip in the text of a prompt: its video tokens and, for models that read them, its timestamps.

Qwen2.5-VL was trained with all grids of a video in one run of tokens, whose spacing in time its positions
tell. Qwen3-VL writes ``<12.5 seconds>`` in front of every grid, each between markers of its own. With written
timestamps Qwen2.5-VL gets that form too, so that ragged frame lists keep their true times; to its processor,
and to an engine, every grid is then a video of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from medgrpo.data.encode import EncodedClip

__all__ = ["ClipForm", "ClipText", "grid_times"]

ClipForm = Literal["run", "stamped", "written"]
"""``run``: all grids in one run. ``stamped``: the processor (Qwen3-VL's) writes a timestamp in front of each.
``written``: we do, for a processor that does not (Qwen2.5-VL's)."""

START, END = "<|vision_start|>", "<|vision_end|>"

VIRTUAL_CLOCK = 1000
"""Ticks a second in which Qwen3-VL's processor is told each frame's time."""

Video = tuple[torch.Tensor, dict[str, Any]]
"""Frames, uint8 ``[T, 3, H, W]``, and the metadata under which a processor is handed them."""


@dataclass(frozen=True)
class ClipText:
    """How clips stand in the text of prompts.

    Attributes:
        processor: A Qwen2.5-VL or Qwen3-VL processor.
        form: See :data:`ClipForm`.
    """

    processor: Any
    form: ClipForm

    def videos(self, clip: EncodedClip) -> list[Video]:
        """The videos that a clip is to a processor or an engine, one for each token of :meth:`short`."""
        if self.form != "written":
            return [(clip.frames, self._metadata(clip.fps, clip.times))]
        size = self.processor.video_processor.temporal_patch_size
        starts = range(0, len(clip.frames), size)
        return [(clip.frames[k : k + size], self._metadata(clip.fps, clip.times[:size])) for k in starts]

    def grids(self, clip: EncodedClip) -> list[tuple[int, int, int]]:
        """Patches by (time, height, width) of each of :meth:`videos`."""
        return [clip.grid] if self.form != "written" else [(1, *clip.grid[1:])] * clip.grid[0]

    def short(self, text: str, clip: EncodedClip) -> str:
        """A prompt with one video token for each of :meth:`videos`.

        Args:
            text: A prompt with one video token for the clip, after the chat template.
            clip: The clip.
        """
        if self.form == "written":
            return self._written(text, clip, 1)
        return text.replace(self._slot(text), self.processor.video_token, 1)

    def full(self, text: str, clip: EncodedClip) -> str:
        """A prompt with all video tokens of a clip.

        Args:
            text: A prompt with one video token for the clip, after the chat template.
            clip: The clip.
        """
        if self.form == "written":
            merge = self.processor.video_processor.merge_size
            return self._written(text, clip, clip.grid[1] * clip.grid[2] // merge**2)
        from transformers.video_utils import VideoMetadata

        ((_, metadata),) = self.videos(clip)
        inputs = {"video_grid_thw": torch.tensor([clip.grid]), "video_metadata": [VideoMetadata(**metadata)]}
        return text.replace(self._slot(text), self.processor.replace_video_token(inputs, 0), 1)

    def _written(self, text: str, clip: EncodedClip, tokens: int) -> str:
        size = self.processor.video_processor.temporal_patch_size
        run = f"{START}{self.processor.video_token * tokens}{END}"
        grids = "".join(f"<{time:.1f} seconds>{run}" for time in grid_times(clip.times, size))
        return text.replace(f"{START}{self.processor.video_token}{END}", grids, 1)

    def _slot(self, text: str) -> str:
        """The part of a prompt whose place the tokens of a clip take."""
        token: str = self.processor.video_token
        framed = f"{START}{token}{END}"
        # Qwen3-VL writes its own markers round every grid. They replace the outer pair, as the released
        # checkpoints were trained; transformers 5.10 and later, and vLLM with them, leave it standing.
        return framed if self.form == "stamped" and framed in text else token

    def _metadata(self, fps: float, times: Sequence[float]) -> dict[str, Any]:
        if self.form != "stamped":
            count = len(times)
            return {"total_num_frames": count, "fps": fps, "frames_indices": list(range(count))}
        ticks = [round(time * VIRTUAL_CLOCK) for time in times]
        return {"total_num_frames": ticks[-1] + 1, "fps": float(VIRTUAL_CLOCK), "frames_indices": ticks}


def grid_times(times: Sequence[float], frames_per_grid: int) -> list[float]:
    """The mean time of the first and the last frame of each grid, as Qwen3-VL's processor takes it."""
    ends = np.asarray(times, dtype=np.float64).reshape(-1, frames_per_grid)[:, [0, -1]]
    return [float(time) for time in ends.mean(axis=1)]
