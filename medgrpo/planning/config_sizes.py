"""The sizes of a round as a GRPO config has them, so that plan and run cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medgrpo.errors import UserError
from medgrpo.planning.sizes import RunSizes, Strategy

__all__ = ["sizes_of_config"]

_STRATEGIES: Mapping[str, Strategy] = {
    "auto": "ddp",
    "ddp": "ddp",
    "DDPStrategy": "ddp",
    "SingleDeviceStrategy": "ddp",
    "ModelParallelStrategy": "fsdp2",
}


def sizes_of_config(tree: Mapping[str, Any], sizes: RunSizes) -> RunSizes:
    """Sizes with what a composed config says in their place.

    Args:
        tree: As :func:`medgrpo.compose.compose` gives it.
        sizes: For what no config says: tokens of texts and answers, and GPUs where ``devices`` is no number.

    Returns:
        The sizes; ``answer`` is the config's longest one, if it has one for all tasks.

    Raises:
        UserError: If it is no GRPO config, or its sizes do not fit each other.
    """
    try:
        model, data = (tree[part]["init_args"] for part in ("model", "data"))
        policy, sampling = model["policy"]["init_args"], data["sampling"]
        trainer = tree["trainer"]
        lora, devices = policy["lora"], trainer.get("devices", sizes.gpus)
        gpus = devices if isinstance(devices, int) and devices > 0 else sizes.gpus
        prompts, batch = data["prompts_per_round"], data["groups_per_batch"]
        engine = model["engine"]
        accumulated = trainer.get("accumulate_grad_batches", 1)
        told: dict[str, Any] = {
            "prompts": prompts,
            "group": model["group_size"],
            "visual": sampling["max_tokens"],
            "frame": sampling["frame_max_tokens"],
            "answer": model.get("max_new_tokens") or sizes.answer,
            "rank": None if lora is None else lora["rank"],
            "quantize": policy.get("quantize"),
            "gpus": gpus,
            "strategy": _strategy(trainer.get("strategy", "auto")),
            "groups_per_batch": batch,
        }
        micro_batches = prompts * data.get("num_iterations", 1) // (gpus * batch)
        told["optimizer_steps"] = max(1, micro_batches // accumulated)
        arguments = engine.get("init_args") or {}
        if engine["class_path"].endswith("HFEngine"):
            told["max_rows"] = arguments.get("max_rows", sizes.max_rows)
        else:
            told["vllm_share"] = arguments.get("gpu_memory_utilization", sizes.vllm_share)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the config says nothing of {error}; is it a GRPO config?") from None
    return replace(sizes, **told)


def _strategy(node: Any) -> Strategy:
    if isinstance(node, Mapping):
        name = str(node["class_path"]).rpartition(".")[2]
        if name == "DeepSpeedStrategy":
            stage = (node.get("init_args") or {}).get("stage", 2)
            if stage == 2:
                return "zero2"
            raise UserError(f"no plan for DeepSpeed's stage {stage}; plans know ddp, zero2 and fsdp2")
    else:
        name = str(node)
    if name not in _STRATEGIES:
        raise UserError(f"no plan for the strategy {name}; plans know ddp, zero2 and fsdp2")
    return _STRATEGIES[name]
