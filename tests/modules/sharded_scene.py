"""GRPO on weights in pieces.

Runs of one optimizer step a round under FSDP2 on the CPU. Answers come from a whole copy of the policy that
weights are handed over to, as from vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from medgrpo.modules.callbacks import ExportHF
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.sharding import is_sharded
from medgrpo.rollout.hf import HFEngine
from medgrpo.types import Completion
from tests.modules import grpo_scene as scenes


class CopyEngine(HFEngine):
    """Samples from a copy of the policy's weights; a new one whenever their hash is another."""

    needs_whole_weights = False
    fingerprints: list[str]

    def bind(self, policy: Any, encoder: Any) -> None:
        copy = QwenVLPolicy(policy.path)
        copy.setup()
        super().bind(copy, encoder)
        self.source, self.fingerprints = policy, []

    def generate(self, prompts: Sequence[Any], **options: Any) -> list[list[Completion]]:
        fingerprint = self.source.fingerprint()
        if fingerprint not in self.fingerprints:
            self.fingerprints.append(fingerprint)
            self.policy.qwen.load_state_dict(dict(self.source.merged_weights()))
        return super().generate(prompts, **options)


KINDS = {"full": 1, "lora": 2, "bfloat16": 1}
"""Rounds of each run."""


def make_run(
    folder: Path, out: Path, kind: str, rounds: int, trainer: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """All weights, or adapters on frozen weights in float32 or bfloat16; gradients are clipped."""
    run, module, data = scenes.make_run(
        folder,
        out,
        rounds=rounds,
        module={
            "engine": CopyEngine(),
            "start_kl": True,
            "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.5, momentum=0.9),
        },
        data={"groups_per_batch": 1, "num_iterations": 1},
        trainer={"accumulate_grad_batches": 4, "gradient_clip_val": 0.5} | trainer,
        callbacks=[ExportHF(str(out / "hf"))],
    )
    if kind != "full":
        module.policy.lora, module.policy.freeze_vision = LoRA(rank=4, alpha=8), True
        module.policy.dtype_name = "bfloat16" if kind == "bfloat16" else "float32"
    torch.manual_seed(0)  # adapters begin at random
    return run, module, data


def result(run: Any, module: Any) -> dict[str, Any]:
    """What is compared; all ranks must call it."""
    policy = module.policy
    return {
        "weights": dict(policy.merged_weights()),
        "fingerprint": policy.fingerprint(),
        "metrics": {name: float(value) for name, value in run.callback_metrics.items()},
        "dtypes": {(p.requires_grad, p.dtype) for p in policy.parameters()},
        "pieces": sum(p.to_local().numel() for p in policy.parameters()) if is_sharded(policy) else None,
    }


def fingerprint_after_a_look(module: Any, data: Any) -> str:
    """Of weights that were forwarded without a backward; all ranks must call it."""
    batch = module.encoder.collate_groups([module.encoder.prompt(data.samples[0])], [[[300, 301, 302]]])
    with torch.no_grad():
        module.policy.logps(batch)
    return str(module.policy.fingerprint())


def train_on_two_ranks(folder: Path) -> None:
    """All kinds of runs; what is compared lies in their folders."""
    for kind, last_round in KINDS.items():
        out, last = folder / f"sharded-{kind}", None
        for rounds in range(1, last_round + 1):  # each in a run of its own, from the checkpoint of the former
            strategy = ModelParallelStrategy(2, 1, save_distributed_checkpoint=False)
            run, module, data = make_run(folder, out, kind, rounds, {"devices": 2, "strategy": strategy})
            run.fit(module, data, ckpt_path=last)
            last = out / "checkpoints" / "last.ckpt"
        numbers = result(run, module) | {"looked": fingerprint_after_a_look(module, data)}
        torch.save(numbers, out / f"rank-{run.global_rank}.pt")
