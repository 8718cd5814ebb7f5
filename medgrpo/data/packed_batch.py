"""Groups of answers behind their prompts, each prompt once: what the shared-prefix forward takes.

The G answers of a group have one prompt. Stacked as rows, prompt and video would be there G times; packed,
they are one sequence ``[prompt, answer 1, ..., answer G]`` a group, and those of several groups follow each
other. Who may attend to whom is in the lengths; nothing is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch

from medgrpo.data.batch import PolicyBatch

if TYPE_CHECKING:
    from medgrpo.data.encode import EncodedPrompt, Encoder

__all__ = ["AnswerBatch", "GroupLayout", "GroupLengths", "PackedBatch", "pack_groups"]

GroupLayout = Literal["packed", "rows"]
"""``packed``: the prompt of a group once, its answers behind it. ``rows``: the prompt with each answer."""


@dataclass(frozen=True, slots=True)
class GroupLengths:
    """One group in a packed sequence.

    Attributes:
        prompt: Tokens of the prompt.
        answers: Tokens of each answer.
    """

    prompt: int
    answers: tuple[int, ...]

    @property
    def total(self) -> int:
        """Tokens of the group."""
        return self.prompt + sum(self.answers)


@dataclass(frozen=True)
class PackedBatch:
    """B answers to M prompts in one sequence of N tokens.

    Attributes:
        input_ids: ``[1, N]`` int64.
        position_ids: ``[3, 1, N]`` int64; answers restart behind their prompt.
        groups: The M groups in order.
        completion_mask: ``[B, C]`` bool, True up to each answer's length.
        predictors: ``[T]`` int64, where in the sequence each answer token is predicted; the tokens of an
            answer follow each other, as the answers do.
        targets: ``[T]`` int64, the ids of those tokens.
        clip_index: ``[M]`` int64, prompt -> clip.
        pixel_values_videos: ``[patches, D]`` float32, the patches of all clips one after the other.
        video_grid_thw: ``[U, 3]`` int64, patches of each clip by (time, height, width).
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    groups: tuple[GroupLengths, ...]
    completion_mask: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    clip_index: torch.Tensor
    pixel_values_videos: torch.Tensor
    video_grid_thw: torch.Tensor

    def __len__(self) -> int:
        return len(self.completion_mask)

    @property
    def completion_tokens(self) -> int:
        """Number of answer tokens."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on another device."""
        names = (f.name for f in fields(self) if f.name != "groups")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


AnswerBatch = PolicyBatch | PackedBatch
"""Answers behind their prompts, in either layout."""


def pack_groups(
    encoder: Encoder, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[Sequence[int]]]
) -> PackedBatch:
    """Pack groups.

    Args:
        encoder: Makes the patches of the distinct clips.
        prompts: One a group; prompts with the same ``clip`` object share its patches.
        answers: Token ids of each answer of each group, end token included.

    Returns:
        The batch, on the CPU.

    Raises:
        ValueError: If an answer is empty: there is nothing in it to learn from.
    """
    ids: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    predictors: list[np.ndarray] = []
    groups = []
    start = 0
    for prompt, group in zip(prompts, answers, strict=True):
        lengths = GroupLengths(len(prompt.ids), tuple(len(answer) for answer in group))
        if 0 in lengths.answers:
            raise ValueError(f"answer {lengths.answers.index(0)} to row {prompt.sample.row} is empty")
        ids += [prompt.ids, *(np.asarray(answer, dtype=np.int64) for answer in group)]
        positions.append(prompt.positions)
        last, first = start + lengths.prompt - 1, start + lengths.prompt
        for length in lengths.answers:
            steps = np.arange(length)
            positions.append(np.broadcast_to(prompt.next_position + steps, (3, length)))
            predictors.append(np.where(steps == 0, last, first + steps - 1))
            first += length
        groups.append(lengths)
        start = first
    sizes = torch.tensor([length for group in groups for length in group.answers])
    clips = {id(prompt.clip): prompt.clip for prompt in prompts}
    order = {key: index for index, key in enumerate(clips)}
    pixels, grids = encoder.patches(list(clips.values()))
    return PackedBatch(
        input_ids=torch.from_numpy(np.concatenate(ids))[None],
        position_ids=torch.from_numpy(np.concatenate(positions, axis=1))[:, None],
        groups=tuple(groups),
        completion_mask=torch.arange(int(sizes.max())) < sizes[:, None],
        predictors=torch.from_numpy(np.concatenate(predictors)),
        targets=torch.tensor([token for group in answers for answer in group for token in answer]),
        clip_index=torch.tensor([order[id(prompt.clip)] for prompt in prompts]),
        pixel_values_videos=pixels,
        video_grid_thw=grids,
    )
