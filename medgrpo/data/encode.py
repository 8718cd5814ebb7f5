"""From a sample to what a Qwen-VL model is fed: sampled frames, prompt ids, positions.

The processor gets a "virtual video": the sampled frames with their true rate as metadata and every resampling
switched off, so that what the policy decided is what the model sees, in training and at rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakValueDictionary

import numpy as np
import torch

from medgrpo.data.batch import PolicyBatch, collate
from medgrpo.data.clip_frames import DECODE_SECONDS, ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.packed_batch import AnswerBatch, GroupLayout, pack_groups
from medgrpo.data.positions import mrope_positions
from medgrpo.data.sampling import FramePlan, SamplingPolicy
from medgrpo.data.video_text import ClipForm, ClipText
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Clip, Region, Sample

__all__ = ["EncodedClip", "EncodedPrompt", "Encoder"]


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """The frames of a clip that the model sees.

    Attributes:
        frames: uint8, ``[T, 3, H, W]``, T even.
        grid: Patches by (time, height, width).
        fps: Effective sampling rate, frames a second.
        times: Seconds from the start of the clip of each frame, as the model is told.
        true_times: Seconds at which the frames were.
    """

    frames: torch.Tensor
    grid: tuple[int, int, int]
    fps: float
    times: tuple[float, ...]
    true_times: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A question ready for the model.

    Attributes:
        sample: Where it came from.
        text: The prompt after the chat template, in which one video token stands for the clip.
        ids: Token ids, with as many video tokens as the clip has, ``[P]`` int64.
        positions: M-RoPE positions, ``[3, P]`` int64.
        next_position: Position of the first answer token on all three axes.
        clip: The frames; the same object for prompts about the same clip.
    """

    sample: Sample
    text: str
    ids: np.ndarray
    positions: np.ndarray
    next_position: int
    clip: EncodedClip


class Encoder:
    """Encodes samples for one processor and one sampling policy.

    Args:
        processor: A Qwen2.5-VL or Qwen3-VL processor.
        sampling: Decides which frames are seen, at which size, and how their times are told.
        tokens_per_second: Temporal positions a second (``vision_config.tokens_per_second``) of Qwen2.5-VL;
            None for Qwen3-VL, which is told times as text.
        cache: Keeps resized frames between epochs.
        video_backend: Decoder of video files.
        decode_seconds: Most time that it may take for a clip; None is no limit.
        max_prompt_tokens: Longest prompt accepted, video tokens included.
        group_layout: How the answers of a group are laid out for a forward, see :meth:`collate_groups`.
    """

    def __init__(
        self,
        processor: Any,
        sampling: SamplingPolicy,
        *,
        tokens_per_second: float | None,
        cache: FrameCache | None = None,
        video_backend: str = "pyav",
        decode_seconds: float | None = DECODE_SECONDS,
        max_prompt_tokens: int = 32768,
        group_layout: GroupLayout = "packed",
    ) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.sampling = sampling
        self.tokens_per_second = tokens_per_second
        form: ClipForm = "written" if sampling.timestamps == "text" else "run"
        self.clip_text = ClipText(processor, "stamped" if tokens_per_second is None else form)
        self.frames = ClipFrames(sampling, cache, video_backend, decode_seconds)
        self.max_prompt_tokens = max_prompt_tokens
        self.group_layout = group_layout
        self.pad_token_id: int = self.tokenizer.pad_token_id
        self.eos_token_id: int = self.tokenizer.eos_token_id
        # Shared while a prompt is alive; what memory keeps beyond that is the cache's to bound.
        self._clips: WeakValueDictionary[tuple[Clip, Region | None], EncodedClip] = WeakValueDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_clips"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_clips": WeakValueDictionary()}

    def prompt(self, sample: Sample) -> EncodedPrompt:
        """Encode one question.

        Raises:
            ClipError: If the frames cannot be read; the message names the row, and the cause does not.
            UserError: If the prompt is too long.
        """
        try:
            clip = self._clip(sample)
        except ClipError as error:
            raise ClipError(f"row {sample.row} ({sample.id}): {error}") from error
        return self.assemble(sample, clip)

    def assemble(self, sample: Sample, clip: EncodedClip) -> EncodedPrompt:
        """Encode a question about frames that are there already.

        Raises:
            UserError: If the prompt is too long.
        """
        text = self.processor.apply_chat_template(
            [
                {
                    "role": "user",
                    "content": [{"type": "video"}, {"type": "text", "text": sample.question}],
                }
            ],
            tokenize=False,
            add_generation_prompt=True,
        )
        ids = np.asarray(self.tokenizer(self.clip_text.full(text, clip))["input_ids"], dtype=np.int64)
        if len(ids) > self.max_prompt_tokens:
            raise UserError(
                f"row {sample.row} ({sample.id}): the prompt has {len(ids)} tokens, more than "
                f"max_prompt_tokens={self.max_prompt_tokens}; lower the sampling policy's token budget"
            )
        video_processor = self.processor.video_processor
        step = (self.tokens_per_second or 0.0) * video_processor.temporal_patch_size / clip.fps
        positions = mrope_positions(
            ids,
            video_token_id=self.processor.video_token_id,
            grid=clip.grid,
            merge_size=video_processor.merge_size,
            temporal_step=step,
        )
        return EncodedPrompt(sample, text, ids, positions, int(positions.max()) + 1, clip)

    def clip_of(self, frames: np.ndarray, plan: FramePlan) -> EncodedClip:
        """Frames that a plan has chosen and sized, uint8 ``[T, 3, H, W]``, as a clip."""
        video_processor = self.processor.video_processor
        return EncodedClip(
            frames=torch.from_numpy(frames),
            grid=(
                len(frames) // video_processor.temporal_patch_size,
                plan.height // video_processor.patch_size,
                plan.width // video_processor.patch_size,
            ),
            fps=plan.fps_effective,
            times=tuple(plan.times.tolist()),
            true_times=tuple(plan.true_times.tolist()),
        )

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer, its end token included."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of an answer without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def collate(
        self,
        prompts: Sequence[EncodedPrompt],
        answers: Sequence[Sequence[int]] | None = None,
        *,
        pad: Literal["left", "right"] = "right",
    ) -> PolicyBatch:
        """Stack prompts, with or without answers, into tensors; see :func:`medgrpo.data.batch.collate`."""
        return collate(self, prompts, answers, pad=pad)

    def collate_groups(
        self, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[Sequence[int]]]
    ) -> AnswerBatch:
        """Groups of answers for one forward: packed behind one prompt each, or as a row an answer.

        Args:
            prompts: One a group.
            answers: Token ids of each answer of each group, end token included.
        """
        if self.group_layout == "packed":
            return pack_groups(self, prompts, answers)
        rows = [prompt for prompt, group in zip(prompts, answers, strict=True) for _ in group]
        return self.collate(rows, [answer for group in answers for answer in group])

    def patches(self, clips: Sequence[EncodedClip]) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised patches of clips and their grids.

        Returns:
            float32 ``[patches, D]`` in the order of the clips, and int64 ``[U, 3]``.
        """
        out = self.processor.video_processor(
            videos=[clip.frames for clip in clips],
            do_sample_frames=False,
            do_resize=False,
            cap_pixels_per_frame=False,
            return_tensors="pt",
        )
        return out["pixel_values_videos"], out["video_grid_thw"]

    def _clip(self, sample: Sample) -> EncodedClip:
        key = (sample.clip, sample.region)
        clip = self._clips.get(key)
        if clip is None:
            clip = self._clips[key] = self.clip_of(*self.frames.read(sample))
        return clip
