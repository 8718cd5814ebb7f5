"""Tensors of a batch of questions, with or without answers, in which each clip stands once.

Rows that ask about the same clip (the questions of a clip in SFT, the G answers of a group in GRPO) point to
it by index, so the vision tower runs once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from medgrpo.data.encode import EncodedPrompt, Encoder

__all__ = ["PolicyBatch", "collate"]


@dataclass(frozen=True)
class PolicyBatch:
    """B rows over U distinct clips.

    Attributes:
        input_ids: ``[B, L]`` int64; prompt, then answer, then padding.
        attention_mask: ``[B, L]`` int64, 1 at real tokens.
        position_ids: ``[3, B, L]`` int64 (time, height, width).
        completion_mask: ``[B, L]`` bool, True where a token belongs to an answer, its end token included.
        clip_index: ``[B]`` int64, row -> clip.
        pixel_values_videos: ``[patches, D]`` float32, the patches of all clips one after the other.
        video_grid_thw: ``[U, 3]`` int64, patches of each clip by (time, height, width).
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    completion_mask: torch.Tensor
    clip_index: torch.Tensor
    pixel_values_videos: torch.Tensor
    video_grid_thw: torch.Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def completion_tokens(self) -> int:
        """Number of answer tokens."""
        return int(self.completion_mask.sum())

    @property
    def predictors(self) -> torch.Tensor:
        """``[T]`` int64, where in the rows, one after the other, each answer token is predicted."""
        return self.completion_mask.flatten().nonzero().squeeze(-1) - 1

    @property
    def targets(self) -> torch.Tensor:
        """``[T]`` int64, the ids of the answer tokens."""
        return self.input_ids[self.completion_mask]

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def pin_memory(self) -> Self:
        """Return the same batch in page-locked memory (called by the DataLoader)."""
        return replace(self, **{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


def collate(
    encoder: Encoder,
    prompts: Sequence[EncodedPrompt],
    answers: Sequence[Sequence[int]] | None = None,
    *,
    pad: Literal["left", "right"] = "right",
) -> PolicyBatch:
    """Stack prompts and answers.

    Args:
        encoder: Makes the patches of the distinct clips.
        prompts: One a row; rows with the same ``clip`` object share its patches.
        answers: Token ids a row, end token included; None for prompts alone.
        pad: ``right`` for training, ``left`` for generation (all answers then start in the same column).

    Returns:
        The batch, on the CPU.
    """
    answers = answers if answers is not None else [()] * len(prompts)
    rows = len(prompts)
    length = max(len(p.ids) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = np.full((rows, length), encoder.pad_token_id, dtype=np.int64)
    attention = np.zeros((rows, length), dtype=np.int64)
    positions = np.zeros((3, rows, length), dtype=np.int64)
    completion = np.zeros((rows, length), dtype=bool)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        used = len(prompt.ids) + len(answer)
        start = length - used if pad == "left" else 0
        split, stop = start + len(prompt.ids), start + used
        ids[row, start:split] = prompt.ids
        ids[row, split:stop] = answer
        attention[row, start:stop] = 1
        positions[:, row, start:split] = prompt.positions
        positions[:, row, split:stop] = prompt.next_position + np.arange(len(answer))
        completion[row, split:stop] = True

    clips = {id(p.clip): p.clip for p in prompts}
    order = {key: index for index, key in enumerate(clips)}
    pixels, grids = encoder.patches(list(clips.values()))
    return PolicyBatch(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(attention),
        position_ids=torch.from_numpy(positions),
        completion_mask=torch.from_numpy(completion),
        clip_index=torch.tensor([order[id(p.clip)] for p in prompts]),
        pixel_values_videos=pixels,
        video_grid_thw=grids,
    )
