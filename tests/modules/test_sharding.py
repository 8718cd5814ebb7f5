"""Weights in pieces: FSDP2 on two CPU processes trains what one process does, and what cannot is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, Strategy

from medgrpo.errors import UserError
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.sharding import is_sharded, local_part, refuse_idle_rank, refuse_split_rollouts, whole
from medgrpo.rollout.hf import HFEngine
from medgrpo.rollout.store import read_rollouts
from medgrpo.rollout.vllm import VLLMEngine
from tests import forks
from tests.modules import grpo_scene, sharded_scene

SAME = (
    "train/loss",
    "train/policy_loss",
    "train/grad_norm",
    "train/logp_diff",
    "train/start_kl",
    "train/reward/mean",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene in which two processes have trained under FSDP2."""
    folder = grpo_scene.make_scene(tmp_path_factory.mktemp("sharding"))
    for ended in forks.run(sharded_scene.train_on_two_ranks, folder, ranks=2, seconds=400):
        assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


def _results(scene: Path, kind: str) -> list[dict[str, Any]]:
    out = scene / f"sharded-{kind}"
    return [torch.load(out / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]


def _answers(out: Path) -> dict[tuple[str, int], list[int]]:
    rows = read_rollouts(out, "t").to_pylist()
    return {(row["group_id"], row["sample_index"]): row["completion_ids"] for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_two_ranks_in_pieces_train_what_one_process_does(scene: Path, tmp_path: Path, kind: str) -> None:
    run, module, data = sharded_scene.make_run(scene, tmp_path, kind, sharded_scene.KINDS[kind], {})
    run.fit(module, data)
    alone = sharded_scene.result(run, module)
    for rank in _results(scene, kind):
        for name, weight in alone["weights"].items():
            torch.testing.assert_close(rank["weights"][name], weight, atol=1e-5, rtol=1e-4, msg=name)
        assert {n: rank["metrics"][n] for n in SAME} == pytest.approx(
            {n: alone["metrics"][n] for n in SAME}, rel=1e-4, abs=1e-6
        )
    assert _answers(scene / f"sharded-{kind}") == _answers(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(sharded_scene.KINDS))
def test_what_is_left_of_weights_in_pieces_is_whole(scene: Path, kind: str) -> None:
    first, second = _results(scene, kind)
    assert first["fingerprint"] == second["fingerprint"] == first["looked"] == second["looked"]
    assert all(torch.equal(weight, second["weights"][name]) for name, weight in first["weights"].items())
    frozen = {"full": set(), "lora": {(False, torch.float32)}, "bfloat16": {(False, torch.bfloat16)}}
    assert first["dtypes"] == {(True, torch.float32), *frozen[kind]}
    out = scene / f"sharded-{kind}"
    exported = QwenVLPolicy(str(out / "hf"), dtype="bfloat16" if kind == "bfloat16" else "float32")
    exported.setup()
    for name, weight in exported.merged_weights():
        assert torch.equal(weight.to(first["weights"][name].dtype), first["weights"][name]), name
    # The checkpoint is one file that any strategy reads, with the trainable weights alone.
    saved = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    assert saved
    assert not any(hasattr(weight, "to_local") for weight in saved.values())
    assert all("lora_" in name for name in saved) is (kind != "full")
    # Each rank holds about half.
    total = sum(parameter.numel() for parameter in exported.parameters())
    assert first["pieces"] < 0.6 * total
    assert first["pieces"] + second["pieces"] >= total * 0.95


@pytest.mark.slow
def test_a_bfloat16_policy_trains_its_adapters(scene: Path) -> None:
    trained = _results(scene, "bfloat16")[0]
    base = QwenVLPolicy(str(scene / "model"), dtype="bfloat16")
    base.setup()
    moved = {name for name, w in base.merged_weights() if not torch.equal(w, trained["weights"][name])}
    assert moved
    assert all("language_model" in name and "proj" in name for name in moved)


def _deepspeed(stage: int) -> Strategy:
    """As far as the refusals look, without the package."""
    strategy = DeepSpeedStrategy.__new__(DeepSpeedStrategy)
    strategy.config = {"zero_optimization": {"stage": stage}}
    return strategy


def test_rollouts_that_cannot_be_are_refused() -> None:
    refuse_split_rollouts(DDPStrategy(), HFEngine())
    refuse_split_rollouts(_deepspeed(2), HFEngine())
    refuse_split_rollouts(ModelParallelStrategy(), VLLMEngine())
    with pytest.raises(UserError, match=r"HFEngine cannot sample .* FSDP2 .*rollout/vllm\.yaml"):
        refuse_split_rollouts(ModelParallelStrategy(), HFEngine())
    for engine in (HFEngine(), VLLMEngine()):
        with pytest.raises(UserError, match=r"ZeRO-3.*deepspeed_zero2\.yaml"):
            refuse_split_rollouts(_deepspeed(3), engine)


def test_the_run_ends_before_the_first_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = grpo_scene.make_scene(tmp_path)
    trainer, module, data = grpo_scene.make_run(folder, tmp_path / "out")
    monkeypatch.setattr("medgrpo.modules.sharding.ModelParallelStrategy", type(trainer.strategy))
    with pytest.raises(UserError, match="HFEngine cannot sample"):
        trainer.fit(module, data)


def test_a_rank_without_a_batch_does_not_let_the_others_wait() -> None:
    refuse_idle_rank(DDPStrategy())
    refuse_idle_rank(_deepspeed(2))
    for strategy in (ModelParallelStrategy(), _deepspeed(3)):
        with pytest.raises(UserError, match=r"data\.val_records: no clip of a batch"):
            refuse_idle_rank(strategy)


def test_whole_tensors_are_left_alone() -> None:
    tensor = torch.ones(2)
    assert whole(tensor) is tensor
    assert local_part(tensor) is tensor
    assert not is_sharded(torch.nn.Linear(1, 1))
