"""What commands take from a training config without training: its reward and its engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo.commands.grpo_config import GRPOConfig
from medgrpo.errors import UserError
from medgrpo.rewards import IdentityNormalizer, JudgeReward
from medgrpo.rollout import VLLMEngine, VLLMServerEngine

GRPO = "configs/grpo.yaml"


def overlay(folder: Path, module: dict[str, Any]) -> str:
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"model": {"init_args": module}}))
    return str(path)


def test_the_reward_needs_no_statistics() -> None:
    reward = GRPOConfig([GRPO]).reward()
    assert isinstance(reward.normalizer, IdentityNormalizer)
    assert isinstance(reward.components["judge"], JudgeReward)


def test_the_engine_is_the_one_that_trains() -> None:
    assert GRPOConfig([GRPO]).engine() is None
    vllm = GRPOConfig([GRPO, "configs/rollout/vllm.yaml"]).engine()
    assert isinstance(vllm, VLLMEngine)
    assert vllm.max_model_len == 16384
    server = GRPOConfig([GRPO, "configs/rollout/vllm_server.yaml"]).engine()
    assert isinstance(server, VLLMServerEngine)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    engine = {"class_path": "medgrpo.rollout.VLLMEngine", "init_args": {"tone": "kind"}}
    with pytest.raises(UserError, match=r"^.*overlay\.yaml: [^\n]*VLLMEngine has no argument tone$"):
        GRPOConfig([GRPO, overlay(tmp_path, {"engine": engine})]).engine()
    components = {"judge": {"init_args": {"tone": "kind"}}}
    reward = {"init_args": {"components": components}}
    with pytest.raises(UserError, match=r"^.*overlay\.yaml: [^\n]*JudgeReward has no argument tone$"):
        GRPOConfig([GRPO, overlay(tmp_path, {"reward": reward})]).reward()
    with pytest.raises(UserError, match=r"no model\.init_args\.reward with components"):
        GRPOConfig(["configs/sft.yaml"])
