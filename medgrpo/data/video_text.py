"""A clip in the text of a prompt: its video tokens and, for models that read them, its timestamps.

Qwen3-VL writes ``<12.5 seconds>`` in front of every grid, each between markers of its own. Qwen2.5-VL was
trained with all grids in one run, whose spacing in time its positions tell; with textual timestamps it gets
the form of Qwen3-VL, so that ragged frame lists keep their true times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["expand_video", "grid_times", "timed_grids"]

START, END = "<|vision_start|>", "<|vision_end|>"


def expand_video(processor: Any, text: str, grid: tuple[int, int, int], metadata: Mapping[str, Any]) -> str:
    """Put as many video tokens as a clip has where the template put one, the processor's own way.

    Args:
        processor: A Qwen2.5-VL or Qwen3-VL processor.
        text: A prompt with one video token.
        grid: Patches of the clip by (time, height, width).
        metadata: Under which the processor is handed the frames.
    """
    from transformers.video_utils import VideoMetadata

    inputs = {
        "video_grid_thw": torch.tensor([grid]),
        "video_metadata": [VideoMetadata(**metadata)],
    }
    replacement = processor.replace_video_token(inputs, 0)
    # Qwen3-VL writes its own markers round every grid. vLLM replaces the outer pair with them, as the
    # released checkpoints were trained; transformers 5.19 leaves it standing.
    marked = f"{START}{processor.video_token}{END}"
    template = marked if START in replacement and marked in text else processor.video_token
    return text.replace(template, replacement, 1)


def timed_grids(text: str, video_token: str, tokens: int, times: Sequence[float]) -> str:
    """Put every grid of a clip between markers of its own with its time in front, as Qwen3-VL does.

    Args:
        text: A prompt with one video token between markers.
        video_token: Its text.
        tokens: Video tokens of a grid.
        times: Seconds of each grid.
    """
    grids = "".join(f"<{time:.1f} seconds>{START}{video_token * tokens}{END}" for time in times)
    return text.replace(f"{START}{video_token}{END}", grids, 1)


def grid_times(times: Sequence[float], frames_per_grid: int) -> list[float]:
    """The mean time of the frames of each grid, as Qwen3-VL's processor takes it."""
    first_last = np.asarray(times, dtype=np.float64).reshape(-1, frames_per_grid)[:, [0, -1]]
    return [float(time) for time in first_last.mean(axis=1)]
