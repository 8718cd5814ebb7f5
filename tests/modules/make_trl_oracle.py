"""Losses, gradients and advantages of TRL 1.16 on made-up numbers, frozen as ``tests/data/trl_oracle.json``.

Run with the ``test`` extra installed: ``python tests/modules/make_trl_oracle.py``.
TRL's own ``_compute_loss`` runs; only its model forward is replaced by given log-probabilities.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

__all__ = ["CASES", "ENTROPY", "MAX_LENGTH", "ORACLE", "entropy_of", "inputs_of", "name_of", "trl_loss"]

ORACLE = Path(__file__).parents[1] / "data" / "trl_oracle.json"
MAX_LENGTH = 12
ENTROPY = 0.05
REWARDS = [[0.1, 0.9, 0.4, 0.4], [0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [3.0, 4.2, 1.5, 2.25]]
SECOND_REWARDS = [[1.0, 0.0, 1.0, 0.5], [0.3, 0.3, 0.3, 0.3], [0.2, 0.2, 0.2, 0.2], [9.0, 7.5, 8.0, 8.0]]
REWARD_WEIGHTS = [0.75, 0.25]

CASES = [
    {
        "reduction": reduction,
        "surrogate": surrogate,
        "ratio": ratio,
        "dual_clip": dual,
        "kl": kl,
        "entropy": entropy,
        "importance": importance,
        "accumulation": accumulation,
    }
    for (reduction, surrogate, dual), ratio, kl, entropy, importance, accumulation in itertools.product(
        [
            *((name, "clip", dual) for name in ("grpo", "bnpo", "dr_grpo", "dapo") for dual in (None, 1.5)),
            ("dapo", "cispo", None),
        ],
        ("token", "sequence"),
        ("off", "k3", "k3_importance"),
        (False, True),
        ("off", "token", "sequence"),
        (1, 2),
    )
]
"""TRL's losses (GSPO is grpo with sequence ratios) under every combination of the options that both have."""


def name_of(case: dict[str, Any]) -> str:
    """A case as one word."""
    return "-".join(str(value) for value in case.values())


def inputs_of(seed: int) -> dict[str, torch.Tensor]:
    """Five answers of up to four tokens that reach far beyond all clips; the third is masked whole."""
    generator = torch.Generator().manual_seed(seed)
    rows, length = 5, 4

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logps = -torch.rand(rows, length, generator=generator, dtype=torch.float64) * 3
    lengths = torch.tensor([4, 3, 0, 4, 2])
    # The answers' ratios: above the dual clip, below the lower bound, (masked), above the upper, anything.
    drift = torch.tensor([0.9, -0.8, 0.0, 0.7, 0.0], dtype=torch.float64)[:, None]
    tensors = {
        "logps": logps,
        "old_logps": logps - drift - 0.3 * normal(rows, length),
        "ref_logps": logps + 0.2 * normal(rows, length),
        "advantages": torch.tensor([-1.0, -1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
        * (0.2 + normal(rows).abs()),
        "importance_token": (0.4 * normal(rows, length)).exp(),
        "importance_sequence": (0.4 * normal(rows, 1)).exp(),
        "mask": torch.arange(length)[None] < lengths[:, None],
    }
    return {
        name: tensor if name == "mask" else (tensor * 1e6).round() / 1e6 for name, tensor in tensors.items()
    }


def entropy_of(logps: torch.Tensor) -> torch.Tensor:
    """A stand-in for the entropy that has a gradient of its own."""
    return (0.3 * logps).exp() - 0.1 * logps


def trl_loss(case: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """TRL's loss of one micro-batch and its gradient with respect to the log-probabilities.

    With ``accumulation`` 2 the micro-batch is one of two in its optimizer step; ``num_items_in_batch`` spans
    a round of two optimizer steps (40 tokens).
    """
    from trl import GRPOTrainer

    logps = tensors["logps"].clone().requires_grad_(True)
    accumulation = case["accumulation"]
    cispo = case["surrogate"] == "cispo"
    trainer = object.__new__(GRPOTrainer)
    values: dict[str, Any] = {
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "importance_sampling_level": case["ratio"],
        "beta": 0.0 if case["kl"] == "off" else 0.04,
        "args": SimpleNamespace(
            use_bias_correction_kl=case["kl"] == "k3_importance",
            delta=case["dual_clip"],
            steps_per_generation=2 * accumulation,
        ),
        "loss_type": "cispo" if cispo else case["reduction"],
        "epsilon_low": 0.2,
        "epsilon_high": 1.2 if cispo else 0.3,  # for cispo it is the cap itself
        "use_vllm": case["importance"] != "off",
        "vllm_importance_sampling_correction": True,
        "max_completion_length": MAX_LENGTH,
        "current_gradient_accumulation_steps": accumulation,
        "_entropy_bonus_enabled": case["entropy"],
        "entropy_coef": ENTROPY,
        "use_adaptive_entropy": False,
        "model": SimpleNamespace(training=True),
        "accelerator": SimpleNamespace(
            num_processes=1, sync_gradients=True, reduce=lambda t, reduction: t, gather=lambda t: t
        ),
        "_metrics": {"train": defaultdict(list)},
        "_get_per_token_logps_and_entropies": lambda *a, **k: (logps, entropy_of(logps), None),
    }
    for name, value in values.items():
        object.__setattr__(trainer, name, value)
    ids = torch.zeros(logps.shape, dtype=torch.int64)
    loss = trainer._compute_loss(
        None,
        {
            "prompt_ids": ids[:, :1],
            "prompt_mask": ids[:, :1] + 1,
            "completion_ids": ids,
            "completion_mask": tensors["mask"].to(torch.int64),
            "advantages": tensors["advantages"],
            "num_items_in_batch": torch.tensor(40),
            "old_per_token_logps": tensors["old_logps"],
            "ref_per_token_logps": tensors["ref_logps"],
            "importance_sampling_ratio": tensors.get(f"importance_{case['importance']}"),
        },
    )
    loss.backward()
    metrics = trainer._metrics["train"]
    kinds = ("cispo_clip_ratio",) if cispo else ("clip_ratio/low_mean", "clip_ratio/high_mean")
    return {
        "loss": loss.item(),
        "gradient": logps.grad.tolist(),
        "clips": [metrics[kind][0] for kind in kinds],
    }


def trl_advantages() -> dict[str, list[list[float]]]:
    """TRL's advantages of ``REWARDS`` under each scaling, from a real trainer round a tiny text model."""
    from datasets import Dataset
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    from medgrpo.modules.tiny import build_tokenizer

    groups, size = len(REWARDS), len(REWARDS[0])
    tokenizer = build_tokenizer(["the hook cuts the duct"], vocabulary=300)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    prompts = [{"prompt": f"cut {i}"} for i in range(groups)]
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for std in ("group", "batch", "none", "gdpo"):
            columns = 2 if std == "gdpo" else 1
            weighted = {
                "multi_objective_aggregation": "normalize_then_sum",
                "reward_weights": REWARD_WEIGHTS,
            }
            trainer = GRPOTrainer(
                model=Qwen2ForCausalLM(config),
                reward_funcs=[lambda completions, **_: [0.0] * len(completions)] * columns,
                args=GRPOConfig(
                    output_dir=folder,
                    use_cpu=True,
                    bf16=False,
                    gradient_checkpointing=False,
                    report_to="none",
                    num_generations=size,
                    per_device_train_batch_size=groups * size,
                    max_completion_length=2,
                    **(weighted if std == "gdpo" else {"scale_rewards": std}),
                ),
                train_dataset=Dataset.from_list(prompts),
                processing_class=tokenizer,
            )
            table = torch.tensor([REWARDS, SECOND_REWARDS][:columns], dtype=torch.float64)
            trainer._calculate_rewards = lambda *_, table=table: table.flatten(1).T.contiguous()
            rows = [prompt for prompt in prompts for _ in range(size)]
            trainer.model.train()
            advantages = trainer._generate_and_score_completions(rows)["advantages"]
            result[std] = advantages.view(groups, size).tolist()
    return result


def _frozen(result: dict[str, Any]) -> list[Any]:
    """Loss, clip fractions and gradient; nine digits are a thousand times what is asked for."""
    gradient = [round(value, 9) for row in result["gradient"] for value in row]
    return [round(result["loss"], 9), result["clips"], gradient]


def main() -> None:
    """Write the oracle."""
    inputs = {accumulation: inputs_of(accumulation) for accumulation in (1, 2)}
    oracle = {
        "trl": "1.16.0",
        "max_length": MAX_LENGTH,
        "inputs": {key: {k: t.tolist() for k, t in tensors.items()} for key, tensors in inputs.items()},
        "losses": {name_of(case): _frozen(trl_loss(case, inputs[case["accumulation"]])) for case in CASES},
        "rewards": REWARDS,
        "second_rewards": SECOND_REWARDS,
        "reward_weights": REWARD_WEIGHTS,
        "advantages": trl_advantages(),
    }
    ORACLE.write_text(json.dumps(oracle, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
