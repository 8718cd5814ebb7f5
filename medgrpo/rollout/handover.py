"""A prompt as vLLM takes it, and whether vLLM makes of it what the trainer does; pure, without vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from medgrpo.data.encode import EncodedPrompt, Encoder

__all__ = ["AS_IS", "PromptView", "differences", "hand_over", "videos_per_clip"]

AS_IS = {"do_resize": False, "do_sample_frames": False, "cap_pixels_per_frame": False}
"""Arguments under which a video processor leaves number and size of the frames as the policy chose them."""


def videos_per_clip(encoder: Encoder) -> int:
    """Most videos that a clip is handed over as."""
    most = encoder.sampling.max_frames // encoder.processor.video_processor.temporal_patch_size
    return most if encoder.clip_text.form == "written" else 1


def hand_over(encoder: Encoder, prompt: EncodedPrompt) -> dict[str, Any]:
    """A prompt in the form that vLLM's ``generate`` takes.

    The ids hold one video token for each video, which vLLM replaces with as many as the video has: given the
    ids of the whole prompt it would replace the first of them again.
    """
    text = encoder.clip_text.short(prompt.text, prompt.clip)
    return {
        "prompt_token_ids": encoder.tokenizer(text)["input_ids"],
        "multi_modal_data": {"video": encoder.clip_text.videos(prompt.clip)},
        "mm_processor_kwargs": AS_IS,
    }


@dataclass(frozen=True, eq=False)
class PromptView:
    """What an engine computed of a prompt.

    Attributes:
        ids: Token ids with all video tokens, ``[P]``.
        positions: M-RoPE positions, ``[3, P]``.
        next_position: Position of the first answer token on all three axes.
        grids: Patches of each video by (time, height, width), ``[videos, 3]``.
    """

    ids: np.ndarray
    positions: np.ndarray
    next_position: int
    grids: np.ndarray


def differences(encoder: Encoder, prompt: EncodedPrompt, view: PromptView) -> list[str]:
    """What an engine computed otherwise than the trainer; empty if all is the same."""
    grids = np.array(encoder.clip_text.grids(prompt.clip))
    found = [
        _difference("prompt token ids", prompt.ids, view.ids),
        _difference("M-RoPE positions", prompt.positions, view.positions),
    ]
    if view.next_position != prompt.next_position:
        found.append(
            f"position of the first answer token ({prompt.next_position} here, {view.next_position} there)"
        )
    if not np.array_equal(grids, view.grids):
        found.append(f"video grid ({grids.tolist()} here, {view.grids.tolist()} there)")
    return [text for text in found if text]


def _difference(name: str, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Where two arrays over the tokens of a prompt differ first; empty if nowhere."""
    if ours.shape != theirs.shape:
        return f"{name} ({ours.shape[-1]} tokens here, {theirs.shape[-1]} there)"
    differ = (np.atleast_2d(ours) != np.atleast_2d(theirs)).any(axis=0)
    if not differ.any():
        return ""
    first = int(differ.argmax())
    return (
        f"{name} (from token {first}: {ours[..., first].tolist()} here, {theirs[..., first].tolist()} there)"
    )
