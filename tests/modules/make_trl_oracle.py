"""Losses, gradients and advantages of TRL 1.16 on made-up numbers, frozen as ``tests/data/trl_oracle.json``.

Run with the ``test`` extra installed: ``python tests/modules/make_trl_oracle.py``.
TRL's own ``_compute_loss`` runs; only its model forward is replaced by given log-probabilities.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

__all__ = ["CASES", "MAX_LENGTH", "ORACLE", "inputs_of", "trl_loss"]

ORACLE = Path(__file__).parents[1] / "data" / "trl_oracle.json"
MAX_LENGTH = 12
REWARDS = [[0.1, 0.9, 0.4, 0.4], [0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [3.0, 4.2, 1.5, 2.25]]
CASES = [
    {"reduction": reduction, "kl_weight": kl, "seed": seed, "accumulation": accumulation}
    for reduction in ("grpo", "bnpo", "dr_grpo", "dapo")
    for kl in (0.0, 0.04)
    for seed, accumulation in ((0, 1), (1, 2))
]


def inputs_of(seed: int) -> dict[str, torch.Tensor]:
    """Six answers of up to nine tokens whose ratios reach far beyond both clips."""
    generator = torch.Generator().manual_seed(seed)
    rows, length = 6, 9
    logps = -torch.rand(rows, length, generator=generator, dtype=torch.float64) * 3
    shift = 0.35 * torch.randn(rows, length, generator=generator, dtype=torch.float64)
    reference = 0.2 * torch.randn(rows, length, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, length + 1, (rows,), generator=generator)
    return {
        "logps": logps,
        "old_logps": logps + shift,
        "ref_logps": logps + reference,
        "advantages": torch.randn(rows, generator=generator, dtype=torch.float64),
        "mask": torch.arange(length)[None] < lengths[:, None],
    }


def trl_loss(case: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """TRL's loss of one micro-batch and its gradient with respect to the log-probabilities.

    With ``accumulation`` 2 the micro-batch is one of two in its optimizer step; ``num_items_in_batch`` spans
    a round of two optimizer steps (1,000 tokens).
    """
    from trl import GRPOTrainer

    logps = tensors["logps"].clone().requires_grad_(True)
    accumulation = case["accumulation"]
    trainer = object.__new__(GRPOTrainer)
    values: dict[str, Any] = {
        "aux_loss_enabled": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "importance_sampling_level": "token",
        "beta": case["kl_weight"],
        "args": SimpleNamespace(
            use_bias_correction_kl=False, delta=None, steps_per_generation=2 * accumulation
        ),
        "loss_type": case["reduction"],
        "epsilon_low": 0.2,
        "epsilon_high": 0.3,
        "use_vllm": False,
        "max_completion_length": MAX_LENGTH,
        "current_gradient_accumulation_steps": accumulation,
        "_entropy_bonus_enabled": False,
        "model": SimpleNamespace(training=True),
        "accelerator": SimpleNamespace(num_processes=1, reduce=lambda t, reduction: t, gather=lambda t: t),
        "_metrics": {"train": defaultdict(list)},
        "_get_per_token_logps_and_entropies": lambda *a, **k: (logps, torch.zeros_like(logps), None),
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
            "num_items_in_batch": torch.tensor(1000),
            "old_per_token_logps": tensors["old_logps"],
            "ref_per_token_logps": tensors["ref_logps"],
        },
    )
    loss.backward()
    metrics = trainer._metrics["train"]
    return {
        "loss": loss.item(),
        "gradient": logps.grad.tolist(),
        "clip_low": metrics["clip_ratio/low_mean"][0],
        "clip_high": metrics["clip_ratio/high_mean"][0],
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
        for std in ("group", "batch", "none"):
            trainer = GRPOTrainer(
                model=Qwen2ForCausalLM(config),
                reward_funcs=lambda completions, **_: [0.0] * len(completions),
                args=GRPOConfig(
                    output_dir=folder,
                    use_cpu=True,
                    bf16=False,
                    gradient_checkpointing=False,
                    report_to="none",
                    num_generations=size,
                    per_device_train_batch_size=groups * size,
                    max_completion_length=2,
                    scale_rewards=std,
                ),
                train_dataset=Dataset.from_list(prompts),
                processing_class=tokenizer,
            )
            trainer._calculate_rewards = lambda *_: torch.tensor(REWARDS, dtype=torch.float64).view(-1, 1)
            rows = [prompt for prompt in prompts for _ in range(size)]
            trainer.model.train()
            advantages = trainer._generate_and_score_completions(rows)["advantages"]
            result[std] = advantages.view(groups, size).tolist()
    return result


def main() -> None:
    """Write the oracle."""
    inputs = {seed: inputs_of(seed) for seed in sorted({case["seed"] for case in CASES})}
    oracle = {
        "trl": "1.16.0",
        "max_length": MAX_LENGTH,
        "inputs": {seed: {k: t.tolist() for k, t in tensors.items()} for seed, tensors in inputs.items()},
        "losses": [{"case": case, "expected": trl_loss(case, inputs[case["seed"]])} for case in CASES],
        "rewards": REWARDS,
        "advantages": trl_advantages(),
    }
    ORACLE.write_text(json.dumps(oracle) + "\n")


if __name__ == "__main__":
    main()
