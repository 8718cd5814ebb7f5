"""Prompts as vLLM takes them, and how differences in what it makes of them are told; without vLLM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.rollout.handover import PromptView, differences, hand_over, videos_per_clip
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_policy


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_are_handed_over_and_not_copied(family: Family, tmp_path: Path) -> None:
    _, encoder = tiny_policy(family)
    prompt = encoder.prompt(frame_list_sample(tmp_path))
    handed = hand_over(encoder, prompt)
    [(frames, times)] = handed["multi_modal_data"]["video"]
    assert frames is prompt.clip.frames
    assert (times["fps"], len(times["frames_indices"])) == ((1.0 if family == "qwen2_5_vl" else 1000.0), 8)
    assert frames.dtype == torch.uint8
    assert handed["prompt_token_ids"].count(encoder.processor.video_token_id) == 1
    assert videos_per_clip(encoder) == 1


def test_a_clip_with_written_timestamps_is_a_video_a_grid(tmp_path: Path) -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    encoder = policy.encoder(replace(tiny_sampling(), timestamps="text"))
    prompt = encoder.prompt(frame_list_sample(tmp_path))
    handed = hand_over(encoder, prompt)
    videos = handed["multi_modal_data"]["video"]
    assert len(videos) == handed["prompt_token_ids"].count(encoder.processor.video_token_id) == 4
    assert videos_per_clip(encoder) == 8
    storage = prompt.clip.frames.untyped_storage().data_ptr()
    assert all(frames.untyped_storage().data_ptr() == storage for frames, _ in videos)
    assert torch.equal(torch.cat([frames for frames, _ in videos]), prompt.clip.frames)


def test_every_difference_is_named(tmp_path: Path) -> None:
    _, encoder = tiny_policy("qwen2_5_vl")
    prompt = encoder.prompt(frame_list_sample(tmp_path))
    same = PromptView(prompt.ids, prompt.positions, prompt.next_position, np.array([prompt.clip.grid]))
    assert differences(encoder, prompt, same) == []
    ids = prompt.ids.copy()
    ids[4] += 1
    assert differences(encoder, prompt, replace(same, ids=ids)) == [
        f"prompt token ids (from token 4: {ids[4] - 1} here, {ids[4]} there)"
    ]
    assert differences(encoder, prompt, replace(same, ids=ids[1:])) == [
        f"prompt token ids ({len(ids)} tokens here, {len(ids) - 1} there)"
    ]
    late = prompt.positions.copy()
    late[0, 9] += 3
    assert (
        "M-RoPE positions (from token 9: " in differences(encoder, prompt, replace(same, positions=late))[0]
    )
    assert differences(encoder, prompt, replace(same, next_position=1, grids=np.array([[1, 2, 2]]))) == [
        f"position of the first answer token ({prompt.next_position} here, 1 there)",
        f"video grid ({[list(prompt.clip.grid)]} here, [[1, 2, 2]] there)",
    ]
