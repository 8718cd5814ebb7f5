"""M-RoPE positions against transformers where it is right, and the rule spelled out where it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.positions import mrope_positions
from medgrpo.modules.tiny import build_processor, build_tiny_policy, build_tokenizer

VIDEO = 6


@given(
    before=st.integers(0, 7),
    after=st.integers(1, 9),
    t=st.integers(1, 6),
    h=st.integers(1, 4),
    w=st.integers(1, 4),
    step=st.floats(0.25, 40.0),
)
def test_text_after_a_video_starts_at_the_largest_position_plus_one(
    before: int, after: int, t: int, h: int, w: int, step: float
) -> None:
    ids = np.array([1] * before + [VIDEO] * (t * h * w) + [2] * after)
    positions = mrope_positions(
        ids, video_token_id=VIDEO, grid=(t, 2 * h, 2 * w), merge_size=2, temporal_step=step
    )

    expected = [[], [], []]
    for i in range(before):
        for axis in expected:
            axis.append(i)
    for frame in range(t):
        for row in range(h):
            for column in range(w):
                expected[0].append(before + int(np.float32(frame) * np.float32(step)))
                expected[1].append(before + row)
                expected[2].append(before + column)
    start = max((max(axis) for axis in expected if axis), default=-1) + 1
    for i in range(after):
        for axis in expected:
            axis.append(start + i)
    np.testing.assert_array_equal(positions, np.array(expected))


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 3), h=st.integers(1, 2), w=st.integers(1, 3))
def test_qwen3_positions_equal_those_of_transformers(frames: int, h: int, w: int) -> None:
    tokenizer = build_tokenizer(["<0.5 seconds> what is seen"], 300)
    model = build_tiny_policy(tokenizer, "qwen3_vl")
    processor = build_processor(tokenizer, "qwen3_vl")
    video = torch.zeros(2 * frames, 3, 32 * h, 32 * w, dtype=torch.uint8)
    inputs = processor(
        text=["what <|vision_start|><|video_pad|><|vision_end|> is seen"],
        videos=[video],
        video_metadata=[
            {"total_num_frames": 2 * frames, "fps": 1.0, "frames_indices": list(range(2 * frames))}
        ],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )
    theirs, _ = model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
        attention_mask=inputs["attention_mask"],
    )
    ours = mrope_positions(
        inputs["input_ids"][0].numpy(),
        video_token_id=processor.video_token_id,
        grid=tuple(inputs["video_grid_thw"][0].tolist()),
        merge_size=2,
        temporal_step=0.0,
    )
    np.testing.assert_array_equal(ours, theirs[-3:, 0].numpy())


def test_video_tokens_must_match_the_grid() -> None:
    with pytest.raises(ValueError, match="3 video tokens"):
        mrope_positions(
            np.array([VIDEO] * 3), video_token_id=VIDEO, grid=(1, 4, 4), merge_size=2, temporal_step=1.0
        )
