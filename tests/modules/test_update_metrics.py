"""What the update tells by dataset and task: means over the tokens that take part, all ranks together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from medgrpo.modules import update_metrics
from medgrpo.modules.objectives import LossInputs, Objective
from medgrpo.modules.update_metrics import UpdateMetrics, token_values
from tests.modules import grpo_scene as scenes

A, B = ("AVOS", "tal"), ("NurViD", "stg")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("metrics"))


def test_means_are_over_the_tokens_of_a_pair_on_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    values = torch.tensor([[1.0, 3.0], [5.0, 100.0], [7.0, 7.0]])
    metrics = UpdateMetrics()
    metrics.add((A, B, B), {"x": values}, mask, tokens=30)
    metrics.add((A, A, B), {"x": values + 1}, mask, tokens=10)
    with monkeypatch.context() as patch:
        patch.setattr(
            update_metrics, "gather_objects", lambda mine: [mine, ({"train/AVOS/tal/x": [8.0, 1.0]}, 60, 1e9)]
        )
        numbers = metrics.close()
    assert numbers["train/AVOS/tal/x"] == pytest.approx((1 + 3 + 2 + 4 + 6 + 8) / 6)
    assert numbers["train/NurViD/stg/x"] == 5
    assert numbers["train/seconds/update"] == 1e9
    assert numbers["train/tokens_per_second/update"] == pytest.approx(100 / 1e9)
    assert not any("x" in name for name in metrics.close())


def test_values_are_those_of_the_loss() -> None:
    logps = torch.tensor([[-1.0, -2.0], [-1.0, -3.0]])
    old = logps - torch.tensor([[0.5, 0.0], [-0.5, 0.0]])
    inputs = LossInputs(logps, old, torch.tensor([1.0, -1.0]), torch.ones(2, 2).bool(), ref_logps=logps - 1.0)
    values = token_values(inputs, Objective(), old + 0.25)
    assert values["clip_high"].tolist() == [[1, 0], [0, 0]]
    assert values["clip_low"].tolist() == [[0, 0], [1, 0]]
    assert values["logp_diff"].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    torch.testing.assert_close(values["start_kl"], torch.full((2, 2), torch.tensor(-1.0).exp().item()))
    sequence = token_values(inputs, Objective(ratio="sequence", eps_low=0.1, eps_high=0.1), old)
    assert sequence["clip_high"].tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("passes", [1, 2])
def test_a_round_tells_its_update_by_pair(scene: Path, tmp_path: Path, passes: int) -> None:
    seen: list[dict[str, float]] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            seen.append(dict(pl_module.round_numbers))

    trainer, module, data = scenes.make_run(
        scene,
        tmp_path,
        rounds=1,
        module={"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=2.0)},
        data={"groups_per_batch": 4, "num_iterations": passes},
        callbacks=[Watch()],
    )
    trainer.fit(module, data)
    (numbers,) = seen
    pairs = {name.rsplit("/", 1)[0] for name in numbers if name.endswith("/reward_mean")}
    assert len(pairs) == 4
    for pair in pairs:
        assert numbers[f"{pair}/entropy"] > 0
        assert numbers[f"{pair}/logp_diff"] < 1e-4
        assert 0 <= numbers[f"{pair}/clip_low"] <= 1
        assert f"{pair}/start_kl" not in numbers
    assert numbers["train/seconds/update"] > 0
    assert min(numbers[f"train/tokens_per_second/{part}"] for part in ("generate", "update")) > 0
    assert set(numbers) <= set(trainer.callback_metrics)
