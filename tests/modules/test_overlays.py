"""Every overlay of the advantage and the objective trains: two short rounds of a tiny policy."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from medgrpo.modules.objectives import Objective
from medgrpo.modules.overlong import SoftOverlong
from medgrpo.rollout.store import read_rollouts
from tests.modules import grpo_scene as scenes

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OVERLAYS = sorted([*CONFIGS.glob("advantage/*.yaml"), *CONFIGS.glob("objective/*.yaml")])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("overlays"))


def _options(*paths: Path) -> dict[str, Any]:
    """What the files set of the advantage, the objective and the penalty, the later over the earlier."""
    objective: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for path in paths:
        tree = yaml.safe_load(path.read_text())["model"]["init_args"]
        objective |= tree.get("objective", {})
        if "advantage" in tree:
            home, name = tree["advantage"]["class_path"].rsplit(".", 1)
            options["advantage"] = getattr(import_module(home), name)(**tree["advantage"]["init_args"])
        if tree.get("overlong"):
            options["overlong"] = SoftOverlong(**tree["overlong"])
    return options | {"objective": Objective(**objective)}


class _Losses(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize("path", OVERLAYS, ids=[f"{path.parent.name}-{path.stem}" for path in OVERLAYS])
def test_overlay_trains(scene: Path, tmp_path: Path, path: Path) -> None:
    watch = _Losses()
    options = _options(CONFIGS / "grpo.yaml", path)
    trainer, module, data = scenes.make_run(scene, tmp_path, module=options, callbacks=[watch])
    module.configure_model()
    before = scenes.weights(module)
    trainer.fit(module, data)
    assert len(watch.losses) == 2 * 4
    assert all(math.isfinite(loss) for loss in watch.losses)
    after = scenes.weights(module)
    assert all(torch.isfinite(value).all() for value in after.values())
    rows = read_rollouts(tmp_path, "t").to_pylist()
    assert any(row["advantage"] for row in rows)
    # The untrained policy runs into its limit with nearly every answer.
    heard = [row for row in rows if not (row["truncated"] and options["objective"].mask_truncated)]
    moved = any(not torch.equal(value, before[name]) for name, value in after.items())
    assert moved is any(row["advantage"] for row in heard)


def test_the_entry_and_the_code_have_one_default(scene: Path, tmp_path: Path) -> None:
    assert _options(CONFIGS / "grpo.yaml")["objective"] == Objective()
    weights = []
    for name, options in (("entry", _options(CONFIGS / "grpo.yaml")), ("code", {})):
        trainer, module, data = scenes.make_run(scene, tmp_path / name, module=options)
        trainer.fit(module, data)
        weights.append(scenes.weights(module))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_moving_std_resumes_exactly(scene: Path, tmp_path: Path) -> None:
    runs = []
    for out, rounds in (("whole", (3,)), ("parts", (1, 3))):
        for count in rounds:
            options = _options(CONFIGS / "advantage" / "moving_std.yaml")
            trainer, module, data = scenes.make_run(scene, tmp_path / out, rounds=count, module=options)
            last = tmp_path / out / "checkpoints" / "last.ckpt"
            trainer.fit(module, data, ckpt_path=str(last) if last.is_file() else None)
        runs.append((scenes.weights(module), module.advantage.state_dict()))
    assert runs[0][1] == runs[1][1]
    assert len(runs[0][1]["variances"]) > 1
    assert all(torch.equal(value, runs[1][0][name]) for name, value in runs[0][0].items())
