"""Whose gradient it is: shares against backward passes of each dataset's loss by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from medgrpo.modules.gradient_shares import GradientShares
from tests.modules import grpo_scene as scenes

STEP = {"groups_per_batch": 3, "prompts_per_round": 12}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("shares"))


class _ByHand(Callback):
    """Takes the gradient of every step apart, with plain backward passes."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: Any) -> None:
        loader, policy = trainer.train_dataloader, pl_module.policy
        if trainer.fit_loop.batch_idx >= loader.accumulate:
            return
        trained = [p for p in policy.parameters() if p.requires_grad]
        whole = torch.cat([p.grad.flatten() for p in trained]).clone()
        parts = {}
        for dataset, batch in loader.first_step_by_dataset():
            policy.zero_grad()
            pl_module.share(batch)[0].backward()
            part = torch.cat([p.grad.flatten() for p in trained])
            parts[dataset] = parts.get(dataset, 0) + part
        start = 0
        for p in trained:
            p.grad = whole[start : start + p.numel()].view_as(p).clone()
            start += p.numel()
        self.steps.append({name: float(part @ whole / (whole @ whole)) for name, part in parts.items()})


def _shares(trainer: L.Trainer) -> dict[str, float]:
    prefix = "train/grad_share/"
    return {
        name.removeprefix(prefix): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(prefix)
    }


def _run(scene: Path, out: Path, callbacks: list[Callback], rounds: int = 1, **module: Any) -> Any:
    replay = {"replay_records": str(scene / "world" / "train.json")} if module.get("replay_weight") else {}
    trainer, grpo, data = scenes.make_run(
        scene,
        out,
        rounds=rounds,
        module=module,
        data=STEP | replay,
        trainer={"accumulate_grad_batches": 3},
        callbacks=callbacks,
    )
    trainer.fit(grpo, data)
    return trainer, grpo


def test_shares_are_those_of_separate_backward_passes(scene: Path, tmp_path: Path) -> None:
    by_hand = _ByHand()
    trainer, _ = _run(scene, tmp_path, [GradientShares(every=1), by_hand])
    shares = _shares(trainer)
    assert len(shares) > 1
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert shares == pytest.approx(by_hand.steps[0], abs=1e-4)


def test_replayed_rows_have_the_rest(scene: Path, tmp_path: Path) -> None:
    by_hand = _ByHand()
    trainer, _ = _run(scene, tmp_path, [GradientShares(every=1), by_hand], replay_weight=0.1)
    shares = _shares(trainer)
    assert shares.pop("replay") == pytest.approx(1 - math.fsum(by_hand.steps[0].values()), abs=1e-4)
    assert shares == pytest.approx(by_hand.steps[0], abs=1e-4)


def test_measuring_changes_nothing_and_waits_its_turn(scene: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            seen.append(len(_shares(trainer)))
            for name in [name for name in trainer.callback_metrics if "grad_share" in name]:
                del trainer._logger_connector._callback_metrics[name]

    plain = _run(scene, tmp_path / "plain", [], rounds=3)[1]
    measured = _run(scene, tmp_path / "seen", [GradientShares(every=2), Watch()], rounds=3)[1]
    for name, value in scenes.weights(plain).items():
        assert torch.equal(value, scenes.weights(measured)[name])
    assert [bool(count) for count in seen] == [True, False, True]


def test_sharded_gradients_are_left_alone_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    told: list[str] = []
    monkeypatch.setattr("medgrpo.modules.gradient_shares.rank_zero_warn", told.append)
    loop = SimpleNamespace(batch_idx=0)
    trainer: Any = SimpleNamespace(
        fit_loop=loop, accumulate_grad_batches=1, current_epoch=0, strategy=SimpleNamespace()
    )
    shares = GradientShares()
    shares.on_before_optimizer_step(trainer, None, None)  # type: ignore[arg-type]
    shares.on_before_optimizer_step(trainer, None, None)  # type: ignore[arg-type]
    assert told == ["gradient shares are not measured under SimpleNamespace, which shards gradients"]
    with pytest.raises(ValueError, match="at least 1"):
        GradientShares(every=0)
