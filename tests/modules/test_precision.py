"""Steps reach the weights: float32 keeps what bfloat16 loses, and precisions that lose it are refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import DeepSpeedPrecision, MixedPrecision, Precision
from torch import nn

from medgrpo.errors import UserError
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.precision import (
    ZeROPrecision,
    refuse_casting_plugin,
    refuse_lost_steps,
    share_unchanged,
)
from tests.modules import grpo_scene as scenes
from tests.tiny_models import tiny_directory

PAPER_RATE = 5e-7


def _changed_by_a_step(parameters: list[nn.Parameter]) -> float:
    """Share of weights that one step of AdamW at the paper's rate changes."""
    before = [parameter.detach().clone() for parameter in parameters]
    for parameter in parameters:
        generator = torch.Generator().manual_seed(parameter.numel())
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    torch.optim.AdamW(parameters, lr=PAPER_RATE, weight_decay=0.0).step()
    changed = sum(int((p.detach() != old).sum()) for p, old in zip(parameters, before, strict=True))
    return changed / sum(p.numel() for p in parameters)


def test_a_step_at_the_papers_rate_needs_float32() -> None:
    policy = QwenVLPolicy(str(tiny_directory("qwen2_5_vl")), dtype="bfloat16")
    policy.setup()
    named = list(policy.named_parameters())
    parameters = [parameter for _, parameter in named]
    refuse_lost_steps(named, PAPER_RATE)
    assert _changed_by_a_step(parameters) > 0.99
    policy.bfloat16()
    assert _changed_by_a_step(parameters) < 0.1
    with pytest.raises(UserError, match=r"learning rate 5e-07 is lost to rounding in .*% .*\(bfloat16\)"):
        refuse_lost_steps(named, PAPER_RATE)
    refuse_lost_steps(named, 1e-2)
    policy.requires_grad_(False)
    refuse_lost_steps(named, PAPER_RATE)


def test_share_of_weights_that_a_step_leaves_as_they_are() -> None:
    # Between 2^-6 and 2^-5 bfloat16 has a number every 2^-13: steps below half of that are lost.
    weights = torch.linspace(0.016, 0.031, 100).to(torch.bfloat16)
    assert share_unchanged(weights, 2**-14 * 0.99) == 1
    assert share_unchanged(weights, 2**-14 * 1.01) == 0
    assert share_unchanged(-weights, 2**-14 * 0.99) == 1
    assert share_unchanged(weights.float(), PAPER_RATE) == 0
    # An adapter begins at zero, which the smallest step leaves.
    assert share_unchanged(torch.zeros(4, dtype=torch.bfloat16), PAPER_RATE) == 0
    assert share_unchanged(torch.zeros(0), PAPER_RATE) == 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("precision"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_frozen_weights_in_bfloat16_and_trainable_ones_in_float32_train(
    scene: Path, tmp_path: Path, precision: str
) -> None:
    data = {"num_iterations": 1, "groups_per_batch": 4}
    trainer, module, rounds = scenes.make_run(
        scene,
        tmp_path,
        rounds=1,
        data=data,
        trainer={"precision": precision},
        module={"optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=PAPER_RATE)},
    )
    module.policy.dtype_name = "bfloat16" if precision == "bf16-mixed" else "float32"
    module.policy.freeze_vision = True
    module.configure_model()
    before = scenes.weights(module)
    trainer.fit(module, rounds)
    after = scenes.weights(module)
    for name, parameter in module.policy.named_parameters():
        assert torch.equal(after[name], before[name]) is not parameter.requires_grad, name
        trained = parameter.requires_grad or precision == "32-true"
        assert parameter.dtype is (torch.float32 if trained else torch.bfloat16)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_precisions_that_cast_trainable_weights_are_refused(
    scene: Path, tmp_path: Path, precision: str
) -> None:
    trainer, module, rounds = scenes.make_run(scene, tmp_path, trainer={"precision": precision})
    with pytest.raises(UserError, match=rf"trainer\.precision={precision} casts") as refused:
        trainer.fit(module, rounds)
    assert "\n" not in str(refused.value)


def test_deepspeed_trains_in_bfloat16_through_our_plugin_alone() -> None:
    for plugin in (
        ZeROPrecision(),
        DeepSpeedPrecision("32-true"),
        Precision(),
        MixedPrecision("bf16-mixed", "cpu"),
    ):
        refuse_casting_plugin(plugin)
    for name in ("bf16-mixed", "bf16-true", "16-mixed", "16-true"):
        with pytest.raises(UserError, match=r"deepspeed_zero2\.yaml"):
            refuse_casting_plugin(DeepSpeedPrecision(name))  # type: ignore[arg-type]


def test_our_plugin_leaves_batches_alone_and_scales_the_loss_once() -> None:
    batch = {"old_logps": torch.tensor([-1.2345678])}
    assert ZeROPrecision().convert_input(batch) is batch
    calls: list[Any] = []

    class Engine:
        def backward(self, loss: torch.Tensor, **options: Any) -> None:
            calls.append((loss, options))

    loss, module = torch.tensor(1.0), L.LightningModule()
    module._trainer = SimpleNamespace(model=Engine())  # type: ignore[assignment]
    ZeROPrecision().backward(loss, module, None)
    assert calls == [(loss, {"scale_wrt_gas": False})]
