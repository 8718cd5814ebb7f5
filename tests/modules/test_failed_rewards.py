"""Rewards that fail in the middle of GRPO: never a number, and what happens is what the config says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.rewards import CompositeReward, IdentityNormalizer
from medgrpo.rollout.store import read_rollouts
from tests.modules import grpo_scene as scenes

TASKS = ("tal", "stg", "video_summary", "region_caption")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("grpo"))


def test_a_failed_reward_takes_its_group_out(scene: Path, tmp_path: Path) -> None:
    options = {"reward": scenes.make_reward(scenes.BrokenReward)}
    trainer, module, data = scenes.make_run(scene, tmp_path, module=options)
    trainer.fit(module, data)
    rows = read_rollouts(tmp_path, "t").to_pylist()
    out = [row for row in rows if row["skip_reason"] == "failed_reward"]
    assert {(row["step"], row["group_id"][-4:]) for row in out} == {(0, "0000"), (1, "0000")}
    assert len(out) == 2 * 4
    assert not any(row["kept"] or row["advantage"] for row in out)
    assert sum(math.isnan(row["reward"]) for row in out) == 2
    assert trainer.callback_metrics["train/kept_share"] == 0.75
    assert all(torch.isfinite(value).all() for value in scenes.weights(module).values())


def test_an_infinite_reward_is_a_failed_one(scene: Path, tmp_path: Path) -> None:
    """Squashed by a logistic it would be a perfect one."""

    class Infinite(scenes.VowelReward):
        def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
            scores = super().score(samples, texts, parsed)
            return [scenes.RawScore(math.inf), *scores[1:]]

    reward = scenes.make_adaptive_reward()
    reward.components = scenes.make_reward(Infinite).components
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module={"reward": reward})
    trainer.fit(module, data)
    rows = read_rollouts(tmp_path, "t").to_pylist()
    (bad,) = [row for row in rows if math.isnan(row["reward"])]
    assert bad["components"][0]["status"] == "not_finite"
    out = {row["group_id"] for row in rows if not row["kept"]}
    assert out == {bad["group_id"]}
    assert {row["skip_reason"] for row in rows if row["group_id"] in out} == {"failed_reward"}
    options = {"reward": scenes.make_reward(Infinite), "on_failed_reward": "stop"}
    trainer, module, data = scenes.make_run(scene, tmp_path / "stop", module=options)
    with pytest.raises(UserError, match=r"vowels \(not_finite\)"):
        trainer.fit(module, data)


def test_a_reward_that_raises_is_one_error_that_names_the_answer(scene: Path, tmp_path: Path) -> None:
    class Raising(scenes.VowelReward):
        def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
            if any(sample.task == "stg" for sample in samples):
                raise KeyError("boxes")
            return super().score(samples, texts, parsed)

    trainer, module, data = scenes.make_run(scene, tmp_path, module={"reward": scenes.make_reward(Raising)})
    message = (
        r"reward component 'vowels' \(Raising\) raised KeyError: 'boxes' \(test_failed_rewards.py:\d+\) "
        r"on row \d+ \(.+\), answer '"
    )
    with pytest.raises(UserError, match=message):
        trainer.fit(module, data)


def test_all_rewards_failed_leaves_the_policy_alone(scene: Path, tmp_path: Path) -> None:
    class Dead(scenes.VowelReward):
        def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
            return [scenes.RawScore(math.nan, status="http") for _ in texts]

    options = {"reward": scenes.make_reward(Dead), "optimizer": lambda p: torch.optim.SGD(p, lr=0.5)}
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module=options)
    module.configure_model()
    before = scenes.weights(module)
    trainer.fit(module, data)
    assert trainer.global_step == 4
    assert all(torch.equal(value, before[name]) for name, value in scenes.weights(module).items())


def test_a_failed_component_is_left_out_for_its_whole_group(scene: Path, tmp_path: Path) -> None:
    weights = dict.fromkeys(TASKS, 0.5)
    reward = CompositeReward(
        {"vowels": scenes.VowelReward(weights), "judge": scenes.BrokenReward(weights)}, IdentityNormalizer()
    )
    options = {"reward": reward, "on_failed_reward": "leave_out"}
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module=options)
    trainer.fit(module, data)
    rows = read_rollouts(tmp_path, "t").to_pylist()
    assert all(row["kept"] for row in rows)
    for row in rows:
        shares = {part["name"]: part["weight"] for part in row["components"]}
        hurt = row["group_id"].endswith("0000")
        assert shares == ({"vowels": 1.0, "judge": 0.0} if hurt else {"vowels": 0.5, "judge": 0.5})


def test_a_failed_component_stops_the_run_if_asked(scene: Path, tmp_path: Path) -> None:
    options = {"reward": scenes.make_reward(scenes.BrokenReward), "on_failed_reward": "stop"}
    trainer, module, data = scenes.make_run(scene, tmp_path, module=options)
    with pytest.raises(UserError, match=r"vowels \(timeout\)"):
        trainer.fit(module, data)
