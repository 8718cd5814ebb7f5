"""The collapse alarm on numbers made by hand, and in a run that it stops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.modules.collapse import CollapseAlarm
from tests.modules import grpo_scene as scenes

REWARD = "train/AVOS/tal/reward_mean"
PARSED = "train/AVOS/tal/parse_rate"


def test_waits_as_long_as_it_is_told() -> None:
    alarm = CollapseAlarm(min_parse_rate=0.5, patience=2)
    assert alarm.judge({PARSED: 0.4}) == []
    assert alarm.judge({PARSED: 0.6}) == []
    assert alarm.judge({PARSED: 0.4}) == []
    assert alarm.judge({}) == []  # not in this round
    assert alarm.judge({PARSED: math.nan}) == []
    assert alarm.judge({PARSED: 0.3}) == [f"{PARSED} is 0.3, below 0.5"]
    assert alarm.alarmed


def test_rewards_are_compared_with_their_first_round_through_a_restart() -> None:
    alarm = CollapseAlarm(max_reward_drop=0.2, patience=1)
    assert alarm.judge({REWARD: math.nan}) == []
    assert alarm.judge({REWARD: 0.7, "train/CoPESD/stg/reward_mean": 0.1}) == []
    again = CollapseAlarm(max_reward_drop=0.2, patience=1)
    again.load_state_dict(alarm.state_dict())
    assert again.judge({REWARD: 0.55}) == []
    assert again.judge({REWARD: 0.45}) == [f"{REWARD} is 0.45, below 0.5"]


def test_looks_only_at_what_it_is_given() -> None:
    silent = CollapseAlarm(min_entropy=None, min_parse_rate=None, max_reward_drop=None, patience=1)
    assert silent.judge({PARSED: 0.0, REWARD: -9.0, "train/entropy": 0.0}) == []
    alarm = CollapseAlarm(min_entropy=0.1, patience=1)
    assert alarm.judge({"train/entropy": 0.05}) == ["train/entropy is 0.05, below 0.1"]
    judged = CollapseAlarm(min_canary_auc=0.8, patience=1)
    name = "train/reward/judge/canary_auc"
    assert judged.judge({name: 0.5}) == [f"{name} is 0.5, below 0.8"]
    with pytest.raises(ValueError, match="patience"):
        CollapseAlarm(patience=0)


@pytest.mark.parametrize("stop", [False, True])
def test_warns_and_stops_with_a_checkpoint_to_continue_from(tmp_path: Path, stop: bool) -> None:
    scene = scenes.make_scene(tmp_path / "scene")
    plain, reference, data = scenes.make_run(scene, tmp_path / "plain", rounds=3)
    plain.fit(reference, data)

    def alarm() -> Any:
        return CollapseAlarm(min_entropy=100.0, patience=2, stop=stop)

    trainer, module, data = scenes.make_run(scene, tmp_path / "run", rounds=3, callbacks=[alarm()])
    with pytest.warns(UserWarning, match=r"may be collapsing: .*train/entropy is"):
        trainer.fit(module, data)
    saved = tmp_path / "run" / "checkpoints" / "collapse.ckpt"
    assert (trainer.current_epoch, saved.is_file()) == ((2, True) if stop else (3, False))
    assert trainer.callback_metrics["train/grad_norm"] > 0
    if stop:
        trainer, module, data = scenes.make_run(scene, tmp_path / "run", rounds=3)
        trainer.fit(module, data, ckpt_path=str(saved))
    assert all(
        torch.equal(value, scenes.weights(reference)[name]) for name, value in scenes.weights(module).items()
    )
