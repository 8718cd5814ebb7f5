"""M-RoPE position ids of Qwen-VL prompts, computed here and passed to every forward.

Text after a video starts at the largest position so far + 1, as the released checkpoints were trained and as
vLLM computes it. transformers 5.19-5.23 starts it at ``max(h, w) // merge`` after the video's first position
for Qwen2.5-VL, so its own positions put every question and answer token elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["mrope_positions"]


def mrope_positions(
    input_ids: np.ndarray,
    *,
    video_token_id: int,
    grid: tuple[int, int, int] | None,
    merge_size: int,
    temporal_step: float,
) -> np.ndarray:
    """Compute three-axis positions (time, height, width) of one prompt with at most one video.

    A run of video tokens holds one or more grids of ``h * w`` tokens: Qwen2.5-VL has the whole video in one
    run, Qwen3-VL one run a grid with a textual timestamp in front of each. Both follow the same rule.

    Args:
        input_ids: Token ids, shape ``[P]``, with all video tokens of the clip.
        video_token_id: Id of ``<|video_pad|>``.
        grid: ``(t, h, w)`` of the video in patches; None for a prompt without video.
        merge_size: Spatial merge of the vision tower (2).
        temporal_step: Positions between two grids of one run: tokens_per_second * seconds between grids for
            Qwen2.5-VL; irrelevant for Qwen3-VL, whose runs hold a single grid.

    Returns:
        int64 positions, shape ``[3, P]``.

    Raises:
        ValueError: If the video tokens are not exactly those of ``grid``.
    """
    is_video = np.asarray(input_ids) == video_token_id
    expected = 0 if grid is None else grid[0] * (grid[1] // merge_size) * (grid[2] // merge_size)
    if int(is_video.sum()) != expected:
        raise ValueError(
            f"{int(is_video.sum())} video tokens in the prompt, but the grid {grid} has {expected}"
        )
    positions = np.empty((3, len(input_ids)), dtype=np.int64)
    cursor = 0
    for start, stop, video in _runs(is_video):
        if video:
            assert grid is not None
            block = _grid_positions(
                stop - start, (grid[1] // merge_size, grid[2] // merge_size), temporal_step
            )
        else:
            block = np.broadcast_to(np.arange(stop - start), (3, stop - start))
        positions[:, start:stop] = block + cursor
        cursor = int(positions[:, start:stop].max()) + 1
    return positions


def _runs(flags: np.ndarray) -> Sequence[tuple[int, int, bool]]:
    """Maximal runs of equal flags as (start, stop, flag)."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8))) + 1
    bounds = [0, *edges.tolist(), len(flags)]
    return [(a, b, bool(flags[a])) for a, b in pairwise(bounds) if b > a]


def _grid_positions(tokens: int, spatial: tuple[int, int], temporal_step: float) -> np.ndarray:
    """Positions within one run of video tokens, relative to its start, shape ``[3, tokens]``."""
    height, width = spatial
    grids = tokens // (height * width)
    # float32, as transformers multiplies; vLLM uses float64. Sampled intervals are snapped to 1/1024 s, where
    # both give the same integers (data/sampling.py).
    time = np.floor(np.arange(grids, dtype=np.float32) * np.float32(temporal_step)).astype(np.int64)
    t, h, w = np.meshgrid(time, np.arange(height), np.arange(width), indexing="ij")
    return np.stack([t.ravel(), h.ravel(), w.ravel()])
