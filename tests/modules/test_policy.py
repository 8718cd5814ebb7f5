"""The policy against transformers' own forward, and what travels with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from medgrpo.errors import UserError
from medgrpo.modules.callbacks import ExportHF
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import Family, tiny_sampling
from medgrpo.types import Clip
from tests.tiny_models import (
    FAMILIES,
    frame_list_sample,
    full_logits,
    tiny_directory,
    tiny_policy,
)

ANSWERS = ["The grasper retracts.", "1.0-3.0 seconds.", "gallbladder"]


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_logps_equal_transformers_row_by_row(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    policy.eval()
    long = encoder.prompt(
        frame_list_sample(tmp_path, row=0, frames=12, question="Which instrument retracts?")
    )
    short = encoder.prompt(frame_list_sample(tmp_path, row=1, frames=4, fps=0.5, question="Which?"))
    prompts = [long, short, long]
    answers = [encoder.answer(text) for text in ANSWERS]
    batch = encoder.collate(prompts, answers)
    assert len(batch.video_grid_thw) == 2  # the clip of rows 0 and 2 stands once
    with torch.no_grad():
        logps, entropy = policy.logps_and_entropy(batch, temperature=0.7)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            logits = full_logits(policy, encoder, prompt, answer) / 0.7
            logits[:, policy.banned_ids] = -torch.inf
            expected = logits.log_softmax(-1)
            chosen = expected.gather(-1, torch.tensor(answer)[:, None]).squeeze(-1)
            mask = batch.completion_mask[row]
            torch.testing.assert_close(logps[row][mask], chosen, atol=2e-6, rtol=0)
            spread = torch.distributions.Categorical(logits=logits).entropy()
            torch.testing.assert_close(entropy[row][mask], spread, atol=1e-5, rtol=0)
            assert not logps[row][~mask].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_the_vision_tower_and_do_not_depend_on_sharing(
    family: Family, tmp_path: Path
) -> None:
    policy, encoder = tiny_policy(family)
    sample = frame_list_sample(tmp_path, row=0)
    shared = encoder.prompt(sample)
    answers = [encoder.answer(text) for text in ANSWERS]

    def gradients(batches: list[object]) -> dict[str, torch.Tensor]:
        policy.zero_grad()
        for batch in batches:
            policy.logps(batch).sum().backward()  # type: ignore[arg-type]
        return {n: p.grad.clone() for n, p in policy.named_parameters() if p.grad is not None}

    together = gradients([encoder.collate([shared] * 3, answers)])
    apart = gradients([encoder.collate([shared], [answer]) for answer in answers])
    assert any("visual" in name and gradient.abs().sum() > 0 for name, gradient in together.items())
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, apart[name], atol=1e-4, rtol=1e-4, msg=name)


def test_chunks_of_logits_change_nothing(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    batch = encoder.collate(
        [encoder.prompt(frame_list_sample(tmp_path))] * 3, [encoder.answer(text) for text in ANSWERS]
    )
    whole = policy.logps(batch)
    policy.logit_chunk = 2
    torch.testing.assert_close(policy.logps(batch), whole)


def test_a_wrong_rate_changes_the_log_probabilities(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    answer = [encoder.answer(ANSWERS[0])]
    frames = frame_list_sample(tmp_path, frames=8, fps=1.0)
    slow = frame_list_sample(tmp_path, frames=8, fps=0.25)
    with torch.no_grad():
        right = policy.logps(encoder.collate([encoder.prompt(frames)], answer))
        wrong = policy.logps(encoder.collate([encoder.prompt(slow)], answer))
    assert (right - wrong).abs().max() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_a_list_and_a_video_file_share_a_batch_with_an_empty_answer(
    family: Family, tmp_path: Path
) -> None:
    policy, encoder = tiny_policy(family)
    policy.eval()
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for shade in range(6):
            picture = np.full((64, 96, 3), 40 * shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    samples = [frame_list_sample(tmp_path, row=row, frames=frames) for row, frames in enumerate((1, 9, 2))]
    samples[2] = replace(samples[2], clip=Clip(video=tmp_path / "clip.mp4", fps=2.0))
    prompts = [encoder.prompt(sample) for sample in samples]
    answers = [encoder.answer(text) for text in ("", *ANSWERS[:2])]
    assert len(answers[0]) == 1  # its end alone
    together = encoder.collate(prompts, answers)
    with torch.no_grad():
        logps = policy.logps(together)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            alone = encoder.collate([prompt], [answer])
            of_row = logps[row][together.completion_mask[row]]
            assert len(of_row) == len(answer)
            expected = policy.logps(alone)[alone.completion_mask]
            torch.testing.assert_close(of_row, expected, atol=2e-6, rtol=0)
        packed = encoder.collate_groups(prompts, [[answer] for answer in answers])
        torch.testing.assert_close(policy.logps(packed).sum(), logps.sum(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_adapters_and_merges_into_a_directory_that_loads(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family, LoRA(rank=4, alpha=8))
    batch = encoder.collate([encoder.prompt(frame_list_sample(tmp_path))], [encoder.answer(ANSWERS[0])])
    language = [n for n, p in policy.named_parameters() if p.requires_grad and "visual" not in n]
    assert language
    assert all("lora_" in name for name in language)
    optimizer = torch.optim.SGD([p for p in policy.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (-policy.logps(batch).sum()).backward()
        optimizer.step()
    policy.eval()
    policy.save_hf(tmp_path / "merged")
    merged = QwenVLPolicy(str(tmp_path / "merged"))
    merged.setup()
    merged.eval()
    with torch.no_grad():
        torch.testing.assert_close(merged.logps(batch), policy.logps(batch), atol=1e-5, rtol=0)
    handed, saved = dict(policy.merged_weights()), merged.qwen.state_dict()
    assert handed.keys() == saved.keys()
    for name, weight in handed.items():
        torch.testing.assert_close(weight, saved[name], atol=1e-6, rtol=0)


def test_an_adapter_alone_is_what_peft_loads(tmp_path: Path) -> None:
    from peft import PeftModel

    policy = QwenVLPolicy(str(tiny_directory("qwen2_5_vl")), LoRA(rank=4, alpha=8), freeze_vision=True)
    policy.setup()
    encoder = policy.encoder(tiny_sampling("qwen2_5_vl"))
    batch = encoder.collate([encoder.prompt(frame_list_sample(tmp_path))], [encoder.answer(ANSWERS[0])])
    before = policy.logps(batch).detach()
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    policy.eval()
    policy.save_hf(tmp_path / "adapter", merge=False)
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    other = QwenVLPolicy(policy.path)
    other.setup()
    other.model = PeftModel.from_pretrained(other.model, tmp_path / "adapter")
    other.eval()
    with torch.no_grad():
        torch.testing.assert_close(other.logps(batch), policy.logps(batch), atol=1e-6, rtol=0)
        assert (policy.logps(batch) - before).abs().max() > 1e-3


def test_an_adapter_alone_may_not_leave_trained_weights_out(tmp_path: Path) -> None:
    policy, _ = tiny_policy("qwen2_5_vl", LoRA(rank=4))
    with pytest.raises(UserError, match="leaves out the vision tower"):
        policy.save_hf(tmp_path / "adapter", merge=False)
    with pytest.raises(UserError, match="leaves out the vision tower"):
        ExportHF(str(tmp_path), merge=False).on_fit_start(Trainer(), SimpleNamespace(policy=policy))
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_leaves_a_frozen_vision_tower_alone(family: Family, tmp_path: Path) -> None:
    policy = QwenVLPolicy(
        str(tiny_directory(family)), lora=LoRA(rank=4), freeze_vision=True, gradient_checkpointing=True
    )
    policy.setup()
    encoder = policy.encoder(tiny_sampling(family))
    batch = encoder.collate([encoder.prompt(frame_list_sample(tmp_path))], [encoder.answer(ANSWERS[0])])
    seen = []
    block = policy.qwen.model.visual.blocks[0]
    block.attn.register_forward_hook(lambda *_: seen.append(True))
    policy.logps(batch).sum().backward()
    # A tower that gradients flow into would be forwarded again in the backward pass.
    assert len(seen) == 1
    assert any(parameter.grad is not None for parameter in policy.parameters())


def test_setup_happens_once_and_the_fingerprint_follows_the_weights() -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    model = policy.model
    policy.setup()
    assert policy.model is model
    before = policy.fingerprint()
    assert before == tiny_policy("qwen2_5_vl")[0].fingerprint()
    with torch.no_grad():
        next(iter(policy.parameters())).add_(1.0)
    assert policy.fingerprint() != before


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a model directory"):
        QwenVLPolicy(str(tmp_path)).setup()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="holds a bert model"):
        QwenVLPolicy(str(tmp_path)).setup()
    policy = QwenVLPolicy(str(tiny_directory("qwen3_vl")))
    policy.setup()
    with pytest.raises(UserError, match="needs 32"):
        policy.encoder(tiny_sampling("qwen2_5_vl"))
