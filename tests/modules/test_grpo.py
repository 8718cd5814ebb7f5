"""GRPO on a tiny policy of the real class: it learns, it repeats, it resumes, it survives failures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pytest
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from lightning.pytorch.strategies import SingleDeviceStrategy

from medgrpo.errors import UserError
from medgrpo.modules.objectives import Objective, policy_loss
from medgrpo.modules.overlong import SoftOverlong
from medgrpo.rewards import Canaries, CompositeReward, IdentityNormalizer, JudgeReward
from medgrpo.rollout.hf import HFEngine
from medgrpo.rollout.store import read_rollouts
from tests.modules import grpo_scene as scenes

TASKS = ("tal", "stg", "video_summary", "region_caption")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("grpo"))


def _sgd(lr: float = 0.5) -> Any:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def _answers(out: Path) -> pa.Table:
    """The stored answers without what tells one run from another."""
    return read_rollouts(out, "t").drop_columns(["attempt", "wall_time"])


def _same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


class _CountingEngine(HFEngine):
    rounds = 0

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        self.rounds += 1
        return super().generate(*args, **kwargs)


class _Crash(Callback):
    """Ends the run in the second micro-batch of the round with this index."""

    def __init__(self, round_index: int) -> None:
        self.round_index = round_index

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.round_index and batch_idx == 1:
            raise RuntimeError("pulled the plug")


def test_raises_the_reward_it_is_given(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=25)
    trainer.fit(module, data)
    table = read_rollouts(tmp_path, "t")
    reward = np.array(table["reward"].to_pylist()).reshape(25, -1).mean(axis=1)
    assert reward[-5:].mean() > reward[:5].mean() + 0.1


def test_stores_every_answer_with_its_numbers(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path)
    trainer.fit(module, data)
    rows = read_rollouts(tmp_path, "t").to_pylist()
    assert len(rows) == 2 * 4 * 4
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group_id"], []).append(row)
    assert len(groups) == 8
    for members in groups.values():
        rewards = np.array([row["reward"] for row in members])
        assert len({row["sample_key"] for row in members}) == 1
        assert [row["sample_index"] for row in members] == [0, 1, 2, 3]
        np.testing.assert_allclose(members[0]["group_std"], rewards.std(ddof=1))
        expected = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
        np.testing.assert_allclose([row["advantage"] for row in members], expected, atol=1e-12)
    assert {row["task"] for row in rows} <= set(TASKS)
    first, second = ({r["policy_hash"] for r in rows if r["step"] == step} for step in (0, 1))
    assert len(first) == len(second) == 1
    assert first != second
    assert trainer.global_step == 2 * 4

    logged = trainer.callback_metrics
    assert logged["train/logp_diff_max"] < 1e-4
    assert math.isfinite(logged["train/entropy"])
    assert logged["train/kept_share"] == 1
    last = [row for row in rows if row["step"] == 1]
    assert logged["train/reward/mean"] == pytest.approx(np.mean([row["reward"] for row in last]), abs=1e-6)
    assert {f"train/{row['dataset']}/{row['task']}/reward_mean" for row in last} <= set(logged)


def test_the_same_seed_repeats_and_another_does_not(scene: Path, tmp_path: Path) -> None:
    weights, answers = [], []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trainer, module, data = scenes.make_run(scene, tmp_path / name, seed=seed)
        trainer.fit(module, data)
        weights.append(scenes.weights(module))
        answers.append(_answers(tmp_path / name))
    assert _same_weights(weights[0], weights[1])
    assert answers[0].equals(answers[1])
    assert not _same_weights(weights[0], weights[2])


@pytest.mark.parametrize("adaptive", [False, True])
def test_an_interrupted_run_continues_as_if_it_had_not_been(
    adaptive: bool, scene: Path, tmp_path: Path
) -> None:
    def own() -> dict[str, Any]:
        return {"reward": scenes.make_adaptive_reward()} if adaptive else {}

    trainer, whole, data = scenes.make_run(scene, tmp_path / "whole", rounds=3, module=own())
    trainer.fit(whole, data)
    if adaptive:
        used = {part[0]["p50"] for part in read_rollouts(tmp_path / "whole", "t")["components"].to_pylist()}
        assert len(used) > 1

    out = tmp_path / "broken"
    trainer, module, data = scenes.make_run(scene, out, rounds=3, callbacks=[_Crash(1)], module=own())
    with pytest.raises(RuntimeError, match="plug"):
        trainer.fit(module, data)
    assert set(read_rollouts(out, "t")["step"].to_pylist()) == {0, 1}

    engine = _CountingEngine()
    trainer, module, data = scenes.make_run(scene, out, rounds=3, module={"engine": engine, **own()})
    trainer.fit(module, data, ckpt_path=str(out / "checkpoints" / "last.ckpt"))
    assert engine.rounds == 2
    assert trainer.global_step == 3 * 4
    assert _same_weights(scenes.weights(module), scenes.weights(whole))
    assert _answers(out).equals(_answers(tmp_path / "whole"))

    # Started once more it finds nothing to do, and asks the policy nothing.
    engine = _CountingEngine()
    trainer, module, data = scenes.make_run(scene, out, rounds=3, module={"engine": engine, **own()})
    trainer.fit(module, data, ckpt_path=str(out / "checkpoints" / "last.ckpt"))
    assert engine.rounds == 0
    assert _same_weights(scenes.weights(module), scenes.weights(whole))


def test_refuses_a_checkpoint_from_inside_a_round(scene: Path, tmp_path: Path) -> None:
    class SaveInside(Callback):
        def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
            if trainer.global_step == 2:
                trainer.save_checkpoint(tmp_path / "inside.ckpt")

    trainer, module, data = scenes.make_run(scene, tmp_path, callbacks=[SaveInside()])
    trainer.fit(module, data)
    trainer, module, data = scenes.make_run(scene, tmp_path)
    with pytest.raises(UserError, match="inside a rollout round"):
        trainer.fit(module, data, ckpt_path=str(tmp_path / "inside.ckpt"))


OBJECTIVES = {
    "grpo": Objective(),
    "dapo": Objective(reduction="dapo"),
    "dr_grpo": Objective(reduction="dr_grpo"),
    "bnpo": Objective(reduction="bnpo"),
    "cispo": Objective(reduction="dapo", surrogate="cispo"),
    "gspo": Objective(ratio="sequence", eps_low=3e-3, eps_high=4e-3),
    "options": Objective(reduction="dapo", dual_clip=3.0, entropy_weight=0.01, mask_truncated=True),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_accumulation_changes_nothing(scene: Path, tmp_path: Path, name: str) -> None:
    results = []
    for size, accumulate in ((8, 1), (1, 8)):
        out = tmp_path / str(size)
        trainer, module, data = scenes.make_run(
            scene,
            out,
            module={"objective": OBJECTIVES[name], "optimizer": _sgd()},
            data={"groups_per_batch": size, "prompts_per_round": 8},
            trainer={"accumulate_grad_batches": accumulate},
        )
        trainer.fit(module, data)
        assert trainer.global_step == 4
        results.append((scenes.weights(module), _answers(out)["completion_ids"].to_pylist()))
    assert results[0][1] == results[1][1]
    for key, value in results[0][0].items():
        torch.testing.assert_close(value, results[1][0][key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["grpo", "bnpo"])
def test_micro_batches_by_tokens_change_nothing(scene: Path, tmp_path: Path, name: str) -> None:
    results, tokens = [], []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
            tokens.append([group.total for group in batch.policy.groups])

    for label, limit in (("groups", None), ("tokens", 250)):
        tokens.clear()
        trainer, module, data = scenes.make_run(
            scene,
            tmp_path / label,
            module={"objective": OBJECTIVES[name], "optimizer": _sgd()},
            data={"prompts_per_round": 6, "tokens_per_batch": limit, "groups_per_batch": 1},
            trainer={"accumulate_grad_batches": 4},
            callbacks=[Watch()],
        )
        trainer.fit(module, data)
        assert trainer.global_step == 2 * 3
        assert trainer.accumulate_grad_batches == 4
        results.append((scenes.weights(module), _answers(tmp_path / label)["completion_ids"].to_pylist()))
    assert all(len(batch) == 1 or sum(batch) <= 250 for batch in tokens)
    assert sum(map(len, tokens)) == 2 * 2 * 6
    assert len(tokens) < 2 * 2 * 6
    assert results[0][1] == results[1][1]
    for key, value in results[0][0].items():
        torch.testing.assert_close(value, results[1][0][key], atol=1e-5, rtol=1e-4)


def test_the_default_objective_is_the_papers_bit_for_bit(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written_out(inputs: Any, _: Objective, sizes: Any) -> Any:
        ratio = torch.where(inputs.mask, inputs.logps - inputs.old_logps, 0.0).clamp(-20.0, 20.0).exp()
        advantages = inputs.advantages[:, None]
        losses = -torch.min(ratio * advantages, ratio.clamp(0.8, 1.3) * advantages)
        losses = torch.where(inputs.mask, losses, 0.0)
        loss = (losses.sum(1) / inputs.mask.sum(1).clamp(min=1)).sum() / sizes.sequences
        return loss, policy_loss(inputs, Objective(), sizes)[1]

    trainer, module, data = scenes.make_run(scene, tmp_path / "ours")
    trainer.fit(module, data)
    monkeypatch.setattr("medgrpo.modules.grpo.policy_loss", written_out)
    trainer, reference, data = scenes.make_run(scene, tmp_path / "reference")
    trainer.fit(reference, data)
    assert _same_weights(scenes.weights(module), scenes.weights(reference))


def test_truncated_answers_stay_out_of_the_loss(scene: Path, tmp_path: Path) -> None:
    options = {"objective": Objective(mask_truncated=True), "max_new_tokens": 1, "optimizer": _sgd()}
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module=options)
    module.configure_model()
    before = scenes.weights(module)
    trainer.fit(module, data)
    rows = read_rollouts(tmp_path, "t").to_pylist()
    assert all(row["kept"] and row["truncated"] for row in rows)
    assert _same_weights(before, scenes.weights(module))


def test_an_entropy_bonus_raises_the_entropy(scene: Path, tmp_path: Path) -> None:
    below = []
    for weight in (0.0, 5.0):
        options = {"objective": Objective(entropy_weight=weight)}
        trainer, module, data = scenes.make_run(scene, tmp_path / str(weight), rounds=6, module=options)
        trainer.fit(module, data)
        policy = module.policy
        highest = math.log(policy.qwen.config.text_config.vocab_size - len(policy.banned_ids))
        below.append(highest - float(trainer.callback_metrics["train/entropy"]))
    assert 0 < below[1] < below[0] / 2


def test_a_judges_canaries_are_logged(scene: Path, tmp_path: Path) -> None:
    captions = dict.fromkeys(("video_summary", "region_caption"), 1.0)
    others = dict.fromkeys(("tal", "stg"), 1.0)
    components = {
        "judge": JudgeReward(captions, canaries=Canaries()),
        "vowels": scenes.VowelReward(others),
    }
    reward = CompositeReward(components, IdentityNormalizer())
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module={"reward": reward})
    trainer.fit(module, data)
    assert trainer.callback_metrics["train/reward/judge/canary_auc"] == 1.0


def test_long_answers_are_penalised(scene: Path, tmp_path: Path) -> None:
    options = {"overlong": SoftOverlong(margin=0.5, weight=0.25)}
    trainer, module, data = scenes.make_run(scene, tmp_path, rounds=1, module=options)
    trainer.fit(module, data)
    for row in read_rollouts(tmp_path, "t").to_pylist():
        parts = {part["name"]: part for part in row["components"]}
        assert parts["overlong"]["raw"] == pytest.approx(-max(0, len(row["completion_ids"]) - 3) / 3)
        total = sum(part["weight"] * part["normalised"] for part in parts.values())
        assert row["reward"] == pytest.approx(total)
    assert "train/reward/overlong" in trainer.callback_metrics


def test_one_step_a_round_needs_no_second_forward(scene: Path, tmp_path: Path) -> None:
    data = {"groups_per_batch": 4, "num_iterations": 1}
    trainer, module, rounds = scenes.make_run(scene, tmp_path, data=data)
    trainer.fit(module, rounds)
    assert trainer.callback_metrics["train/ratio"] == 1
    assert trainer.callback_metrics["train/logp_diff"] < 1e-4
    assert "train/logp_diff_max" not in trainer.callback_metrics


def test_replays_rows_against_forgetting(scene: Path, tmp_path: Path) -> None:
    options = {"replay_weight": 1.0}
    trainer, module, data = scenes.make_run(scene, tmp_path, module=options)
    with pytest.raises(UserError, match="replay_records"):
        trainer.fit(module, data)

    losses: list[float] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            losses.append(float(trainer.callback_metrics["train/replay_loss"]))

    replay = {"replay_records": str(scene / "world" / "train.json"), "replay_rows": 6}
    trainer, module, data = scenes.make_run(
        scene, tmp_path, rounds=6, module=options, data=replay, callbacks=[Watch()]
    )
    trainer.fit(module, data)
    assert losses[-1] < losses[0] - 0.5


def test_kl_to_the_initial_policy(scene: Path, tmp_path: Path) -> None:
    options = {"objective": Objective(kl_weight=0.1)}
    trainer, module, data = scenes.make_run(scene, tmp_path, module=options)
    module.configure_model()
    before = scenes.weights(module)
    trainer.fit(module, data)
    assert trainer.callback_metrics["train/ref_kl"] > 0
    assert module.reference is not None
    assert module.reference.copy is not None
    assert _same_weights(before, dict(module.reference.copy.named_parameters()))
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
    assert not any(name.startswith("reference") for name in saved)


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        ("module", {"group_size": 1}, "one answer has no baseline"),
        ("module", {"temperature": 0.0}, "positive"),
        ("module", {"replay_weight": -1.0}, "at least 0"),
        ("data", {"prompts_per_round": 0}, "data.prompts_per_round"),
        ("data", {"tokens_per_batch": 0}, "data.tokens_per_batch"),
        ("data", {"tasks": ("tla",)}, "tla"),
    ],
)
def test_wrong_values_are_told(
    scene: Path, tmp_path: Path, part: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, UserError), match=message):
        scenes.make_run(scene, tmp_path, **{part: options})  # type: ignore[arg-type]


def test_micro_batches_by_tokens_need_a_trainer_that_lets_them(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medgrpo.data.grpo.DeepSpeedStrategy", SingleDeviceStrategy)
    trainer, module, data = scenes.make_run(scene, tmp_path, data={"tokens_per_batch": 100})
    with pytest.raises(UserError, match=r"data\.tokens_per_batch changes .* DeepSpeed"):
        trainer.fit(module, data)


def test_steps_end_with_the_round_where_the_strategy_counts_micro_batches(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SingleDeviceStrategy, "handles_gradient_accumulation", True)
    options = {"accumulate_grad_batches": 3}
    trainer, module, data = scenes.make_run(scene, tmp_path, trainer=options)
    with pytest.raises(UserError, match=r"4 micro-batches in a round; .* divisor, e\.g\. 4"):
        trainer.fit(module, data)


def test_trainer_and_records_must_fit(scene: Path, tmp_path: Path) -> None:
    trainer, module, data = scenes.make_run(scene, tmp_path)
    trainer.reload_dataloaders_every_n_epochs = 0  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="reload_dataloaders_every_n_epochs"):
        trainer.fit(module, data)
    schedule = GradientAccumulationScheduler({0: 1, 1: 2})
    trainer, module, data = scenes.make_run(scene, tmp_path, callbacks=[schedule])
    with pytest.raises(UserError, match="GradientAccumulationScheduler"):
        trainer.fit(module, data)
    (tmp_path / "empty.json").write_text("[]")
    trainer, module, data = scenes.make_run(scene, tmp_path)
    data.records = str(tmp_path / "empty.json")
    with pytest.raises(UserError, match=r"empty\.json"):
        trainer.fit(module, data)
