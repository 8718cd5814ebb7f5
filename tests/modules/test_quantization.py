"""QLoRA on a tiny policy: four bits under adapters that train, and what is made of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from medgrpo.errors import MissingExtraError
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import tiny_sampling
from tests.tiny_models import frame_list_sample, tiny_directory


def _policy() -> QwenVLPolicy:
    return QwenVLPolicy(
        str(tiny_directory("qwen2_5_vl")),
        lora=LoRA(rank=4, alpha=8),
        freeze_vision=True,
        dtype="bfloat16",
        gradient_checkpointing=True,
        quantize="nf4",
    )


def test_adapters_train_on_four_bits_and_merge_into_plain_weights(tmp_path: Path) -> None:
    policy = _policy()
    policy.setup()
    kinds = {
        name: parameter.dtype for name, parameter in policy.named_parameters() if "base_layer.weight" in name
    }
    assert kinds
    assert all("language_model" in name for name in kinds)
    assert set(kinds.values()) == {torch.uint8}
    trained = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trained.items())
    assert all(p.dtype == torch.bfloat16 for name, p in policy.named_parameters() if "visual" in name)

    encoder = policy.encoder(tiny_sampling("qwen2_5_vl"))
    answer = encoder.answer("The grasper retracts.")
    batch = encoder.collate_groups([encoder.prompt(frame_list_sample(tmp_path))], [[answer]])
    optimizer = torch.optim.SGD(trained.values(), lr=0.05)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = -policy.logps(batch).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5

    # What vLLM is handed and what is exported is the model that was trained, in bfloat16.
    policy.eval()
    policy.save_hf(tmp_path / "merged")
    merged = QwenVLPolicy(str(tmp_path / "merged"), dtype="bfloat16")
    merged.setup()
    merged.eval()
    assert getattr(merged.qwen.config, "quantization_config", None) is None
    saved = merged.qwen.state_dict()
    handed = dict(policy.merged_weights())
    assert handed.keys() == saved.keys()
    assert all(torch.equal(weight, saved[name]) for name, weight in handed.items())
    with torch.no_grad():
        torch.testing.assert_close(merged.logps(batch), policy.logps(batch), atol=0.1, rtol=0)


def test_what_is_needed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"policy\.lora"):
        QwenVLPolicy("base", quantize="nf4")
    monkeypatch.setattr(
        "medgrpo.modules.quantization.find_spec",
        lambda name: None if name == "bitsandbytes" else importlib.util.find_spec(name),
    )
    with pytest.raises(MissingExtraError, match=r"bitsandbytes .*medgrpo\[qlora\]"):
        _policy().setup()
