"""The policy at the start: without adapters the same as a copy of it, and no copy is held."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.modules.objectives import Objective
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.reference import StartPolicy
from tests.modules import grpo_scene as scenes
from tests.tiny_models import frame_list_sample, tiny_directory, tiny_policy

ADAPTERS: dict[str, Any] = {"lora": LoRA(rank=4, alpha=8.0), "freeze_vision": True}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("reference"))


def _moved(policy: QwenVLPolicy) -> None:
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_switched_off_adapters_are_the_copy(family: Any, tmp_path: Path) -> None:
    policy = QwenVLPolicy(str(tiny_directory(family)), **ADAPTERS)
    policy.setup()
    start, copied = StartPolicy(policy), copy.deepcopy(policy)
    assert start.copy is None
    assert not list(start.parameters())
    torch.manual_seed(0)
    _moved(policy)
    trained = [name for name, p in policy.named_parameters() if p.requires_grad]
    _, encoder = tiny_policy(family)
    batch = encoder.collate_groups([encoder.prompt(frame_list_sample(tmp_path))], [[[50, 60], [70]]])
    with torch.no_grad():
        with start.of(policy) as found:
            values = found.logps(batch)
        assert torch.equal(values, copied.logps(batch))
        assert (policy.logps(batch) - values).abs().max() > 1e-3
    assert trained == [name for name, p in policy.named_parameters() if p.requires_grad]


@pytest.mark.parametrize("options", [{}, {"lora": LoRA(rank=4)}, {"freeze_vision": True}])
def test_trained_weights_are_copied(options: dict[str, Any]) -> None:
    policy = QwenVLPolicy(str(tiny_directory("qwen2_5_vl")), **options)
    policy.setup()
    start = StartPolicy(policy)
    with start.of(policy) as found:
        assert found is start.copy
        assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_divergence_from_the_start_is_measured_without_a_term_for_it(scene: Path, tmp_path: Path) -> None:
    """Measuring changes no weight, and with a KL term both name the same start."""
    runs = {}
    for name, kl_weight, start_kl in (("plain", 0.0, False), ("seen", 0.0, True), ("term", 1e-9, False)):
        trainer, module, data = scenes.make_run(
            scene,
            tmp_path / name,
            module={
                "objective": Objective(kl_weight=kl_weight),
                "start_kl": start_kl,
                "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.5),
            },
        )
        module.policy = QwenVLPolicy(str(scene / "model"), **ADAPTERS)
        torch.manual_seed(0)  # of the adapters
        trainer.fit(module, data)
        runs[name] = (scenes.weights(module), trainer.callback_metrics)
    assert "train/start_kl" not in runs["plain"][1]
    assert all(torch.equal(value, runs["seen"][0][name]) for name, value in runs["plain"][0].items())
    assert runs["seen"][1]["train/start_kl"] > 0
    torch.testing.assert_close(
        runs["seen"][1]["train/start_kl"], runs["term"][1]["train/ref_kl"], rtol=1e-3, atol=1e-9
    )
    assert any(name.count("/") == 3 and name.endswith("/start_kl") for name in runs["seen"][1])
