"""What the policy keeps: held-out answers at the start and later, without a trace in the training."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from medgrpo.errors import UserError
from medgrpo.modules import retention
from medgrpo.modules.retention import Retention
from medgrpo.rewards import CompositeReward, IdentityNormalizer
from tests.modules import grpo_scene as scenes

A, B = ("AVOS", "tal"), ("NurViD", "stg")
RANGES = {"iou@1": (0.0, 1.0), "judge": (1.0, 5.0)}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("retention"))


def test_numbers_are_means_over_all_ranks_and_changes_since_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Retention()
    other = [(A, {"iou@1": 1.0}), (B, {"iou@1": 0.5, "judge": math.nan})]
    monkeypatch.setattr(retention, "gather_objects", lambda mine: [mine, other])
    kept.add([A, B], [{"iou@1": 0.0}, {"iou@1": 0.1, "judge": 4.0}])
    numbers = kept.close(RANGES)
    assert numbers == {
        "val/AVOS/tal/iou_1": 0.5,
        "val/AVOS/tal/failed_share": 0.0,
        "val/NurViD/stg/iou_1": 0.3,
        "val/NurViD/stg/judge": 4.0,
        "val/NurViD/stg/failed_share": 0.25,
        "val/score": pytest.approx((0.5 + (0.3 + 0.75) / 2) / 2),
    }
    kept.start = numbers
    kept.add([A], [{"iou@1": 0.5}])
    again = kept.close(RANGES)
    assert again["val/AVOS/tal/iou_1_change"] == pytest.approx(0.25)
    assert again["val/NurViD/stg/iou_1_change"] == pytest.approx(0.2)
    assert "val/AVOS/tal/failed_share_change" not in again
    assert again["val/score_change"] == pytest.approx(again["val/score"] - numbers["val/score"])


def _run(scene: Path, out: Path, rounds: int, validate: bool, resume: bool = False) -> Any:
    tasks = dict.fromkeys((*scenes.TASKS, "cvs_assessment"), 1.0)
    reward = CompositeReward({"vowels": scenes.VowelReward(tasks)}, IdentityNormalizer())
    held_out = {"val_records": str(scene / "world" / "train.json"), "val_rows": 8, "val_batch": 4}
    best = ModelCheckpoint(dirpath=out / "best", monitor="val/score", mode="max", every_n_epochs=2)
    trainer, module, data = scenes.make_run(
        scene,
        out,
        rounds=rounds,
        module={"reward": reward, "optimizer": lambda p: torch.optim.SGD(p, lr=2.0)},
        data=held_out | {"val_tasks": ("tal", "cvs_assessment")} if validate else {},
        trainer={"num_sanity_val_steps": -1, "check_val_every_n_epoch": 2} if validate else None,
        callbacks=[best] if validate else [],
    )
    for own in trainer.checkpoint_callbacks:
        own._save_on_train_epoch_end = True  # type: ignore[attr-defined]
    trainer.fit(module, data, ckpt_path=str(out / "checkpoints" / "last.ckpt") if resume else None)
    return trainer, module, data


def test_validation_tells_what_was_kept_and_changes_nothing(scene: Path, tmp_path: Path) -> None:
    plain = _run(scene, tmp_path / "plain", 4, validate=False)
    trainer, module, data = _run(scene, tmp_path / "seen", 4, validate=True)
    for name, value in scenes.weights(plain[1]).items():
        assert torch.equal(value, scenes.weights(module)[name]), name
    numbers, start = trainer.callback_metrics, module.retention.start
    tasks = {name.split("/")[2] for name in numbers if name.startswith("val/") and name.count("/") == 3}
    assert "cvs_assessment" in tasks  # which no round asks
    assert any(value != 0 for name, value in numbers.items() if name.endswith("_change"))
    for name, first in start.items():
        if not name.endswith("/failed_share"):
            assert float(numbers[f"{name}_change"]) == pytest.approx(float(numbers[name]) - first, abs=1e-6)
    with (tmp_path / "seen" / "csv" / "version_0" / "metrics.csv").open() as file:
        scores = [(row["step"], float(row["val/score"])) for row in csv.DictReader(file) if row["val/score"]]
    assert scores[0] == ("0", pytest.approx(start["val/score"]))
    assert len(scores) == 3
    (path,) = (tmp_path / "seen" / "best").iterdir()
    kept = torch.load(path, weights_only=False)["callbacks"].values()
    best = max(float(state["best_model_score"]) for state in kept if state.get("monitor") == "val/score")
    assert best == pytest.approx(max(score for _, score in scores[1:]))
    assert not data.held_out.rows.bad_clips.counts().get("bad_clips")


def test_a_resumed_run_compares_with_the_same_start(scene: Path, tmp_path: Path) -> None:
    whole = _run(scene, tmp_path / "whole", 4, validate=True)
    first = _run(scene, tmp_path / "parts", 2, validate=True)
    second = _run(scene, tmp_path / "parts", 4, validate=True, resume=True)
    assert first[1].retention.start == second[1].retention.start == whole[1].retention.start
    for name in ("val/score", "val/score_change"):
        assert second[0].callback_metrics[name] == whole[0].callback_metrics[name]
    told = second[0].validate(second[1], second[2], verbose=False)[0]
    assert told["val/score_change"] == pytest.approx(float(whole[0].callback_metrics["val/score_change"]))


def test_nothing_to_validate_on_is_told(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path)
    with pytest.raises(UserError, match=r"data\.val_records is not set"):
        trainer.validate(module, data)
    trainer, module, data = scenes.make_run(
        scene, tmp_path, data={"val_records": str(scene / "world" / "val.json")}
    )
    with pytest.raises(UserError, match=r"val\.json: no row of data\.val_tasks"):
        trainer.fit(module, data)


def test_a_task_without_a_score_is_told_before_training(scene: Path, tmp_path: Path) -> None:
    held_out = {"val_records": str(scene / "world" / "train.json"), "val_tasks": ("cvs_assessment",)}
    trainer, module, data = scenes.make_run(scene, tmp_path, data=held_out)
    with pytest.raises(UserError, match=r"no reward component is routed to cvs_assessment"):
        trainer.fit(module, data)
