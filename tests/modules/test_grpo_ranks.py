"""GRPO on two processes: one policy, and what a single process would have done."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgrpo.rollout.store import read_rollouts
from tests import forks
from tests.modules import grpo_scene as scenes


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("ranks"))


def _same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_two_processes_train_one_policy(scene: Path) -> None:
    for ended in forks.run(scenes.train_on_two_ranks, scene, ranks=2):
        assert ended.returncode == 0, ended.stderr[-2000:]
    out = scene / "ddp"
    assert _same_weights(*(torch.load(out / f"weights-{rank}.pt") for rank in (0, 1)))
    shares, others = (torch.load(out / f"shares-{rank}.pt") for rank in (0, 1))
    assert shares == others
    assert len(shares) > 1
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    rows = read_rollouts(out, "t").to_pylist()
    for step in (0, 1):
        slots = {
            rank: {row["group_id"] for row in rows if row["step"] == step and row["rank"] == rank}
            for rank in (0, 1)
        }
        assert slots[0] == {f"{step:06d}-0000", f"{step:06d}-0002"}
        assert slots[1] == {f"{step:06d}-0001", f"{step:06d}-0003"}
    lengths = {row["group_id"]: len(row["prompt_ids"]) for row in rows}
    for row in rows:
        lengths[row["group_id"]] += len(row["completion_ids"])
    tokens = [sum(n for name, n in lengths.items() if int(name[-4:]) % 2 == rank) / 2 for rank in (0, 1)]
    assert tokens[0] <= scenes.DDP_TOKENS < tokens[1]
    failed = {row["group_id"][-4:] for row in rows if row["skip_reason"] == "failed_reward"}
    assert failed == {"0001"}
    texts = {rank: [row["completion_text"] for row in rows if row["rank"] == rank] for rank in (0, 1)}
    assert texts[0] != texts[1]
    # The prompts, and the first round's answers, are those of a single process.
    trainer, module, data = scenes.make_run(scene, scene / "single")
    trainer.fit(module, data)
    alone = read_rollouts(scene / "single", "t").to_pylist()
    asked = [{row["group_id"]: row["sample_key"] for row in run} for run in (rows, alone)]
    assert asked[0] == asked[1]
    answered = [
        {(row["group_id"], row["sample_index"]): row["completion_ids"] for row in run if row["step"] == 0}
        for run in (rows, alone)
    ]
    assert answered[0] == answered[1]
    # With the same groups in every step, so is all that is trained and logged.
    trainer, module, data = scenes.one_step_rounds(scene, scene / "as-one", {})
    trainer.fit(module, data)
    assert trainer.global_step == 2
    for rank in (0, 1):
        weights, logged = torch.load(scene / "ddp-as-one" / f"result-{rank}.pt")
        for name, value in scenes.weights(module).items():
            torch.testing.assert_close(weights[name], value, atol=1e-6, rtol=1e-4, msg=name)
        assert logged == pytest.approx(scenes.metrics(trainer), rel=1e-4, abs=1e-6, nan_ok=True)
    rows = [
        read_rollouts(scene / name, "t")["completion_ids"].to_pylist() for name in ("ddp-as-one", "as-one")
    ]
    assert sorted(rows[0]) == sorted(rows[1])


def test_both_ranks_stop_when_a_reward_fails_on_one(scene: Path) -> None:
    ends = forks.run(scenes.stop_on_two_ranks, scene, ranks=2)
    assert [end.returncode for end in ends] == [2, 2], ends
    assert ends[0].stdout == ends[1].stdout
    assert "1 group(s) of this round have a failed reward, the first: vowels (timeout)" in ends[0].stdout
