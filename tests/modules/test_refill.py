"""Dynamic sampling: flat groups make room for other prompts, within a bound, alike in every run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.data.refill import choose_refill
from medgrpo.rollout.store import read_rollouts
from tests.modules import grpo_scene as scenes


class MoodyReward(scenes.VowelReward):
    """The same score for all answers to every other prompt row."""

    def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
        scores = super().score(samples, texts, parsed)
        return [
            scenes.RawScore(0.5) if sample.row % 2 else score
            for sample, score in zip(samples, scores, strict=True)
        ]


class FlatReward(scenes.VowelReward):
    def score(self, samples: Any, texts: Any, parsed: Any) -> Any:
        return [scenes.RawScore(0.5) for _ in texts]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("refill"))


def _play(scene: Path, out: Path, reward: Any, rounds: Sequence[int] = (2,), **data: Any) -> Any:
    for count in rounds:
        trainer, module, rows = scenes.make_run(
            scene, out, rounds=count, module={"reward": scenes.make_reward(reward)}, data=data
        )
        last = out / "checkpoints" / "last.ckpt"
        trainer.fit(module, rows, ckpt_path=str(last) if last.is_file() else None)
    stored = read_rollouts(out, "t").drop_columns(["attempt", "wall_time"]).to_pylist()
    return trainer, scenes.weights(module), stored


def test_choice_is_of_the_pair_new_and_exhausted_at_last() -> None:
    pairs = [("a", "tal")] * 4 + [("b", "stg")] * 3
    chosen = [choose_refill(pairs, [0, 4], 0, k, seed=7, round_index=2) for k in range(4)]
    assert sorted(row for row in chosen[:3] if row is not None) == [1, 2, 3]
    assert chosen[3] is None
    assert chosen == [choose_refill(pairs, [0, 4], 0, k, seed=7, round_index=2) for k in range(4)]


def test_flat_groups_make_room_and_are_kept_on_record(scene: Path, tmp_path: Path) -> None:
    _, _, plain = _play(scene, tmp_path / "plain", MoodyReward)
    trainer, _, rows = _play(scene, tmp_path / "refill", MoodyReward, refill_attempts=3)
    shares = []
    for stored in (plain, rows):
        learned = [row for row in stored if row["skip_reason"] != "refilled"]
        assert len(learned) == 2 * 4 * 4
        shares.append(sum(row["skip_reason"] == "zero_variance" for row in learned))
    assert shares[1] < shares[0]
    out = [row for row in rows if row["skip_reason"] == "refilled"]
    assert out
    assert all("." in row["group_id"] and not row["kept"] and row["reward"] == 0.5 for row in out)
    for row in out:
        slot = row["group_id"].partition(".")[0]
        final = next(other for other in rows if other["group_id"] == slot)
        assert (final["dataset"], final["task"]) == (row["dataset"], row["task"])
        assert final["sample_key"] != row["sample_key"]
    assert any(name.endswith("/refilled_share") for name in trainer.callback_metrics)


def test_refilling_is_bounded_and_ends_with_the_flat_group(scene: Path, tmp_path: Path) -> None:
    _, _, rows = _play(scene, tmp_path, FlatReward, (1,), refill_attempts=2)
    asked = {row["group_id"] for row in rows}
    assert len(asked) <= 4 * 3
    assert {row["skip_reason"] for row in rows if "." not in row["group_id"]} == {"zero_variance"}


def test_a_resumed_run_refills_alike(scene: Path, tmp_path: Path) -> None:
    _, whole, rows = _play(scene, tmp_path / "whole", MoodyReward, (3,), refill_attempts=2)
    _, parts, again = _play(scene, tmp_path / "parts", MoodyReward, (1, 3), refill_attempts=2)
    assert again == rows
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
