"""What a model is told of time: prompts against the processors' own, ragged lists, timestamps as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.video_text import grid_times
from medgrpo.errors import UserError
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.types import Clip, Sample
from tests.tiny_models import FAMILIES, frame_list_sample, full_logits, tiny_directory, tiny_policy

RAGGED = (0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.5, 12.0)


def ragged(folder: Path) -> Sample:
    sample = frame_list_sample(folder, frames=len(RAGGED))
    return replace(sample, clip=replace(sample.clip, times=RAGGED))


def with_timestamps(family: Family = "qwen2_5_vl") -> tuple[QwenVLPolicy, Encoder]:
    policy = QwenVLPolicy(str(tiny_directory(family)))
    policy.setup()
    policy.eval()
    return policy, policy.encoder(replace(tiny_sampling(family), timestamps="text"))


def written(encoder: Encoder, prompt: EncodedPrompt) -> list[str]:
    return re.findall(r"<(\d+\.\d) seconds>", encoder.tokenizer.decode(prompt.ids.tolist()))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fps", [0.2, 0.5, 1.0, 3.0])
def test_prompt_ids_are_those_of_the_processor(family: Family, fps: float, tmp_path: Path) -> None:
    policy, _ = tiny_policy(family)
    encoder = policy.encoder(replace(tiny_sampling(family), f_goal=3.0))
    prompt = encoder.prompt(frame_list_sample(tmp_path, frames=8, fps=fps))
    text = prompt.text
    if family == "qwen3_vl":  # the released checkpoints have no markers round the markers of the grids
        marked = f"<|vision_start|>{encoder.processor.video_token}<|vision_end|>"
        text = text.replace(marked, encoder.processor.video_token)
    theirs = encoder.processor(
        text=[text],
        videos=[prompt.clip.frames],
        video_metadata=[metadata for _, metadata in encoder.clip_text.videos(prompt.clip)],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )
    assert theirs["input_ids"][0].tolist() == prompt.ids.tolist()
    assert tuple(theirs["video_grid_thw"][0].tolist()) == prompt.clip.grid
    if family == "qwen2_5_vl":
        step = float(theirs["second_per_grid_ts"][0])
        assert step == 2 / prompt.clip.fps
        assert step == pytest.approx(2 / fps, abs=2 / 1024)


def test_only_the_rate_moves_the_temporal_positions(tmp_path: Path) -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    encoder = policy.encoder(replace(tiny_sampling(), f_goal=3.0))
    sample = frame_list_sample(tmp_path, frames=8)
    steps, places = {}, []
    for fps in (0.5, 1.0, 2.0):
        clip = replace(sample.clip, fps=fps, times=tuple(k / fps for k in range(8)))
        prompt = encoder.prompt(replace(sample, clip=clip))
        video = prompt.ids == encoder.processor.video_token_id
        times = np.unique(prompt.positions[0, video])
        steps[fps] = np.diff(times).tolist()
        assert len(times) == prompt.clip.grid[0]
        places.append(prompt.positions[1:, video].tolist())
    # tokens_per_second of the released checkpoints is 2, and a grid covers two frames.
    assert steps == {0.5: [8, 8, 8], 1.0: [4, 4, 4], 2.0: [2, 2, 2]}
    assert places[0] == places[1] == places[2]


def test_ragged_lists_are_regular_to_one_model_and_true_to_the_other(tmp_path: Path) -> None:
    sample = ragged(tmp_path)
    _, regular = tiny_policy("qwen2_5_vl")
    clip = regular.prompt(sample).clip
    assert clip.true_times == RAGGED
    assert np.diff(clip.times) == pytest.approx(12 / 7, abs=1 / 1024)
    _, textual = tiny_policy("qwen3_vl")
    prompt = textual.prompt(sample)
    assert prompt.clip.times == prompt.clip.true_times == RAGGED
    assert written(textual, prompt) == ["0.5", "2.5", "6.5", "10.8"]


def test_a_bound_on_the_residual_names_the_row(tmp_path: Path) -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    bounded = policy.encoder(replace(tiny_sampling(), max_residual=0.5))
    with pytest.raises(UserError, match=r"row 0 .*up to 2\.855 s.*timestamps: text"):
        bounded.prompt(ragged(tmp_path))
    policy, _ = tiny_policy("qwen3_vl")
    policy.encoder(replace(tiny_sampling("qwen3_vl"), max_residual=0.5)).prompt(ragged(tmp_path))


def test_written_timestamps_have_the_form_of_qwen3(tmp_path: Path) -> None:
    sample = ragged(tmp_path)
    _, encoder = with_timestamps()
    prompt = encoder.prompt(sample)
    _, other = tiny_policy("qwen3_vl")
    theirs = other.prompt(sample)

    def form(encoder: Encoder, prompt: EncodedPrompt) -> str:
        text = encoder.tokenizer.decode(prompt.ids.tolist())
        return re.sub(r"(<\|video_pad\|>)+", "<|video_pad|>", text)

    assert form(encoder, prompt) == form(other, theirs)
    assert int((prompt.ids == encoder.processor.video_token_id).sum()) * 4 == np.prod(prompt.clip.grid)


def test_written_timestamps_are_videos_of_one_grid_to_transformers(tmp_path: Path) -> None:
    """Ids, positions and logits equal those of as many videos of two frames, by transformers' own rules."""
    policy, encoder = with_timestamps()
    prompt = encoder.prompt(ragged(tmp_path))
    answer = encoder.answer("The grasper retracts.")
    grids = torch.tensor([[1, *prompt.clip.grid[1:]]] * prompt.clip.grid[0])
    ids = torch.from_numpy(prompt.ids)[None]
    kinds = 2 * (ids == encoder.processor.video_token_id).int()
    theirs, _ = policy.qwen.model.get_rope_index(
        ids,
        mm_token_type_ids=kinds,
        video_grid_thw=grids,
        second_per_grid_ts=torch.ones(len(grids)),
        attention_mask=torch.ones_like(ids),
    )
    assert np.array_equal(theirs[-3:, 0].numpy(), prompt.positions)
    frames = prompt.clip.frames
    pairs = [frames[k : k + 2] for k in range(0, len(frames), 2)]
    pixels = encoder.processor.video_processor(
        videos=pairs, do_sample_frames=False, do_resize=False, return_tensors="pt"
    )
    assert torch.equal(pixels["pixel_values_videos"], encoder.patches([prompt.clip])[0])
    with torch.no_grad():
        tail = torch.arange(prompt.next_position, prompt.next_position + len(answer)).expand(3, -1)
        row = torch.tensor([[*prompt.ids, *answer]])
        logits = policy.qwen(
            input_ids=row,
            attention_mask=torch.ones_like(row),
            position_ids=torch.cat([torch.from_numpy(prompt.positions), tail], dim=1)[:, None],
            pixel_values_videos=pixels["pixel_values_videos"],
            video_grid_thw=pixels["video_grid_thw"],
        ).logits[0, len(prompt.ids) - 1 : -1]
        torch.testing.assert_close(logits, full_logits(policy, encoder, prompt, answer), atol=2e-6, rtol=0)
        batch = encoder.collate([prompt], [answer])
        ours = policy.logps(batch)[0][batch.completion_mask[0]]
        logits[:, policy.banned_ids] = -torch.inf
        expected = logits.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None]).squeeze(-1)
        torch.testing.assert_close(ours, expected, atol=2e-6, rtol=0)


def test_the_time_of_a_grid_is_the_mean_of_its_frames() -> None:
    assert grid_times([0.0, 1.0, 4.0, 9.0], 2) == [0.5, 6.5]
    assert grid_times([3.0, 3.0], 2) == [3.0]


def test_frames_between_borders_reach_the_model_with_their_own_grid(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "wide.png"
    Image.fromarray(np.full((480, 854, 3), 200, np.uint8)).save(path)
    sample = frame_list_sample(tmp_path)
    _, encoder = tiny_policy("qwen2_5_vl")
    prompt = encoder.prompt(replace(sample, clip=Clip(frames=(path,), times=(0.0,))))
    assert prompt.clip.grid == (1, 4, 8)
    assert prompt.clip.frames.shape == (2, 3, 56, 112)
    assert (prompt.clip.frames[..., :6] == 0).all()
    assert (prompt.clip.frames[..., 6:106] > 190).all()
