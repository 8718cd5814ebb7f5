"""Answers are from the weights in training, or the run ends; without vLLM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.rollout.hf import HFEngine
from medgrpo.rollout.sync_check import check_sync, tolerance
from tests.tiny_models import frame_list_sample, tiny_policy


@pytest.mark.parametrize("layout", ["packed", "rows"])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_answers_of_other_weights_are_found(layout: Any, temperature: float, tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    encoder.group_layout = layout
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompts = [encoder.prompt(frame_list_sample(tmp_path, row=row, frames=8 - 2 * row)) for row in range(2)]
    groups = engine.generate(prompts, n=3, max_new_tokens=[6, 9], temperature=temperature, seeds=[0, 1])
    options: dict[str, Any] = {"engine": "E", "temperature": temperature, "limit": 1e-4}
    policy.train()
    check_sync(policy, encoder, prompts, groups, **options)
    assert policy.training
    # The shortest prompt stands for all.
    wrong = [[replace(answer, logps=tuple(logp - 0.5 for logp in answer.logps)) for answer in groups[0]]]
    check_sync(policy, encoder, prompts, [*wrong, groups[1]], **options)
    with torch.no_grad():
        policy.qwen.lm_head.weight.add_(torch.randn_like(policy.qwen.lm_head.weight), alpha=0.01)
    with pytest.raises(
        UserError, match=r"^E: .* row 1 \(1\) differ .* more than sync_tolerance=0\.0001: they"
    ):
        check_sync(policy, encoder, prompts, groups, **options)
    assert policy.training


def test_a_policy_that_is_not_a_number_does_not_pass(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    engine = HFEngine()
    engine.bind(policy, encoder)
    prompts = [encoder.prompt(frame_list_sample(tmp_path))]
    groups = engine.generate(prompts, n=2, max_new_tokens=3, temperature=1.0, seeds=[0])
    with torch.no_grad():
        policy.qwen.lm_head.weight.fill_(torch.nan)
    with pytest.raises(UserError, match=r"differ from the trainer's by nan a token"):
        check_sync(policy, encoder, prompts, groups, engine="E", temperature=1.0, limit=1.0)


def test_the_coarsest_arithmetic_of_both_sides_counts() -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    assert tolerance(policy, "float32") == 1e-4
    assert tolerance(policy, "bfloat16") == 0.1
    with torch.autocast("cpu", torch.bfloat16):
        assert tolerance(policy, "float32") == 0.1
    policy.dtype_name = "bfloat16"
    assert tolerance(policy, "float32") == 0.1
