"""A tiny run of GRPO: the synthetic world, a tiny Qwen2.5-VL, real rewards, in seconds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from medgrpo.data.grpo import GRPOData
from medgrpo.data.records import read_rows
from medgrpo.data.synthetic.writer import write_world
from medgrpo.errors import UserError
from medgrpo.modules.gradient_shares import GradientShares
from medgrpo.modules.grpo import GRPOModule
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.tiny import (
    TinyShape,
    build_processor,
    build_tiny_policy,
    build_tokenizer,
    save_policy,
    tiny_sampling,
)
from medgrpo.rewards import (
    AdaptiveLogisticNormalizer,
    CompositeReward,
    IdentityNormalizer,
    MetricSpec,
    RawScore,
    RewardComponent,
    Statistics,
    summarise,
)

TASKS = ("tal", "stg", "video_summary", "region_caption")
DDP_TOKENS = 220
SAMPLING = replace(tiny_sampling(), max_frames=4)


class VowelReward(RewardComponent):
    """Rewards vowels: even an untrained policy gets different rewards for different answers."""

    def metric(self, task: str) -> MetricSpec:
        return MetricSpec("vowels@1", 0.0, 1.0)

    def score(self, samples: Any, texts: Any, parsed: Any) -> list[RawScore]:
        return [RawScore(sum(c in "aeiou" for c in text) / max(len(text), 1)) for text in texts]


class BrokenReward(VowelReward):
    """Fails on the first answer it is given in a round."""

    def score(self, samples: Any, texts: Any, parsed: Any) -> list[RawScore]:
        scores = super().score(samples, texts, parsed)
        return [RawScore(float("nan"), status="timeout"), *scores[1:]]


def make_scene(folder: Path) -> Path:
    """Write the world and the policy below ``folder``, once."""
    world, model = folder / "world", folder / "model"
    write_world(world, videos=8, seed=0)
    if not (model / "config.json").is_file():
        rows = read_rows(world / "train.json")
        tokenizer = build_tokenizer([t["value"] for row in rows for t in row["conversations"]], 400)
        shape = TinyShape(hidden=32, layers=1, heads=2, kv_heads=1, vision_hidden=32, vision_layers=1)
        save_policy(build_tiny_policy(tokenizer, shape=shape), build_processor(tokenizer), model)
    return folder


def make_reward(kind: type[RewardComponent] = VowelReward) -> CompositeReward:
    return CompositeReward({"vowels": kind(dict.fromkeys(TASKS, 1.0))}, IdentityNormalizer())


def make_adaptive_reward() -> CompositeReward:
    """The same reward around quartiles that move from round to round."""
    plain = make_reward()
    metric = plain.components["vowels"].metric("tal").name
    statistics = Statistics({("elsewhere", "tal"): {metric: summarise([i / 100 for i in range(100)])}})
    normalizer = AdaptiveLogisticNormalizer(window=16, min_samples=2, max_shift=0.5, unknown="pooled")
    return CompositeReward(plain.components, normalizer, statistics)


def make_run(
    scene: Path,
    out: Path,
    *,
    rounds: int = 2,
    seed: int = 0,
    module: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    trainer: dict[str, Any] | None = None,
    callbacks: list[Callback] | None = None,
) -> tuple[L.Trainer, GRPOModule, GRPOData]:
    """Trainer, module and data of a small run into ``out``."""
    options: dict[str, Any] = {
        "reward": make_reward(),
        "optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.0),
        "group_size": 4,
        "max_new_tokens": 6,
        "store_root": str(out),
        "run_id": "t",
    }
    checkpoint = ModelCheckpoint(
        dirpath=out / "checkpoints", filename="{epoch}", save_top_k=-1, save_last=True
    )
    the_module = GRPOModule(QwenVLPolicy(str(scene / "model")), **(options | (module or {})))
    records = str(scene / "world" / "train.json")
    the_data = GRPOData(
        records,
        SAMPLING,
        **({"prompts_per_round": 4, "groups_per_batch": 2, "num_iterations": 2, "seed": seed} | (data or {})),
    )
    the_trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=rounds,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        logger=CSVLogger(out, name="csv", flush_logs_every_n_steps=1),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoint, *(callbacks or [])],
        **({"devices": 1} | (trainer or {})),
    )
    return the_trainer, the_module, the_data


def one_step_rounds(
    scene: Path, out: Path, trainer: dict[str, Any]
) -> tuple[L.Trainer, GRPOModule, GRPOData]:
    """Rounds of one optimizer step over all groups, however many processes share them."""
    return make_run(
        scene,
        out,
        module={"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.5)},
        data={"groups_per_batch": 1, "num_iterations": 1},
        trainer={"accumulate_grad_batches": 4, "gradient_clip_val": 0.5} | trainer,
    )


def metrics(trainer: L.Trainer) -> dict[str, float]:
    """What was logged, without seconds."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {name: value for name, value in logged.items() if "second" not in name}


def weights(module: GRPOModule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.policy.named_parameters()}


def train_on_two_ranks(folder: Path) -> None:
    """Once with a reward that fails on the second of them, and once more as one process would."""
    ddp = {"devices": 2, "strategy": "ddp"}
    broken_on_rank_1 = BrokenReward if os.environ["LOCAL_RANK"] == "1" else VowelReward
    run, module, data = make_run(
        folder,
        folder / "ddp",
        trainer=ddp,
        module={"reward": make_reward(broken_on_rank_1)},
        # Rank 0 could do with one micro-batch a step, rank 1 needs two.
        data={"tokens_per_batch": DDP_TOKENS},
        callbacks=[GradientShares(every=2)],  # of the first round alone
    )
    run.fit(module, data)
    torch.save(weights(module), folder / "ddp" / f"weights-{run.global_rank}.pt")
    shares = {name: float(v) for name, v in run.callback_metrics.items() if "/grad_share/" in name}
    torch.save(shares, folder / "ddp" / f"shares-{run.global_rank}.pt")
    run, module, data = one_step_rounds(folder, folder / "ddp-as-one", ddp)
    run.fit(module, data)
    torch.save((weights(module), metrics(run)), folder / "ddp-as-one" / f"result-{run.global_rank}.pt")


def stop_on_two_ranks(folder: Path) -> int:
    """A reward fails on the second rank alone, which is to end the run: 2 where it did so in one line."""
    broken_on_rank_1 = BrokenReward if os.environ["LOCAL_RANK"] == "1" else VowelReward
    run, module, data = make_run(
        folder,
        folder / "ddp-stop",
        trainer={"devices": 2, "strategy": "ddp"},
        module={"reward": make_reward(broken_on_rank_1), "on_failed_reward": "stop"},
    )
    try:
        run.fit(module, data)
    except UserError as error:
        print(error)
        return 2
    return 0
