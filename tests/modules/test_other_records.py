"""A run whose statistics come from other records than its own says so, once, and goes on."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from medgrpo.rewards.statistics import Provenance, Statistics
from medgrpo.services.files import file_hash
from tests.modules import grpo_scene as scenes


def play(folder: Path, records_hash: str) -> None:
    reward = scenes.make_adaptive_reward()
    assert isinstance(reward.statistics, Statistics)
    reward.statistics = replace(reward.statistics, provenance=Provenance(records_hash=records_hash))
    trainer, module, data = scenes.make_run(folder, folder, rounds=1, module={"reward": reward})
    trainer.fit(module, data)


def test_statistics_of_other_records_are_warned_about(tmp_path: Path) -> None:
    scenes.make_scene(tmp_path)
    own = file_hash(tmp_path / "world" / "train.json")
    with pytest.warns(UserWarning, match=f"made from other records \\(0123456789ab, these are {own[:12]}\\)"):
        play(tmp_path, "0123456789abcdef")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*other records.*")
        play(tmp_path, own)
        play(tmp_path, "")
