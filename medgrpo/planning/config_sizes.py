"""The sizes of a round as a GRPO config has them, so that plan and run cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.planning.sizes import RunSizes, Strategy
from medgrpo.tasks import canonical_task, get_task

__all__ = ["sizes_of_config"]

_STRATEGIES: Mapping[str, Strategy] = {
    "auto": "ddp",
    "ddp": "ddp",
    "DDPStrategy": "ddp",
    "SingleDeviceStrategy": "ddp",
    "ModelParallelStrategy": "fsdp2",
}


def sizes_of_config(tree: Mapping[str, Any], given: Mapping[str, Any]) -> RunSizes:
    """Sizes as a composed config has them.

    Args:
        tree: As :func:`medgrpo.compose.compose` gives it.
        given: Fields of :class:`RunSizes` that go over the config's, e.g. ``gpus`` where ``devices`` is auto.

    Returns:
        The sizes; ``answer`` is the longest one that any of the config's tasks allows.

    Raises:
        UserError: If it is no GRPO config, or its sizes do not fit each other.
    """
    try:
        model, data = (tree[part]["init_args"] for part in ("model", "data"))
        policy, sampling, trainer = model["policy"]["init_args"], data["sampling"], tree["trainer"]
        lora, trains_vision = policy["lora"], not policy["freeze_vision"]
        told: dict[str, Any] = {
            "prompts": data["prompts_per_round"],
            "group": model["group_size"],
            "visual": sampling["max_tokens"],
            "frame": sampling["frame_max_tokens"],
            "answer": model.get("max_new_tokens") or _longest_answer(data["tasks"]),
            "rank": None if lora is None else lora["rank"],
            "quantize": policy.get("quantize"),
            "gpus": _gpus(trainer),
            "strategy": _strategy(trainer.get("strategy", "auto")),
            "groups_per_batch": data["groups_per_batch"],
            "logit_chunk": policy.get("logit_chunk", RunSizes.logit_chunk),
        }
        told |= _engine(model["engine"])
        told |= given
        batches = told["prompts"] * data.get("num_iterations", 1) // (told["gpus"] * told["groups_per_batch"])
        steps = max(1, batches // trainer.get("accumulate_grad_batches", 1))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the config says nothing of {error}; is it a GRPO config?") from None
    if trains_vision:
        raise UserError("plans know frozen vision towers only; the config trains it: policy.freeze_vision")
    return RunSizes(**({"optimizer_steps": steps} | told))


def _longest_answer(tasks: Sequence[str]) -> int:
    """Tokens of the longest answer that one of the tasks allows."""
    return max(get_task(canonical_task(name)).max_new_tokens for name in tasks)


def _gpus(trainer: Mapping[str, Any]) -> int:
    """Of all machines; the default of plans where the config takes what there is."""
    devices = trainer.get("devices")
    return (
        devices * int(trainer.get("num_nodes", 1))
        if isinstance(devices, int) and devices > 0
        else RunSizes.gpus
    )


def _engine(node: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of the engine; a server's are on GPUs of its own and none of the trainer's."""
    name, arguments = node["class_path"].rpartition(".")[2], node.get("init_args") or {}
    field, argument = {
        "HFEngine": ("max_rows", "max_rows"),
        "VLLMEngine": ("vllm_share", "gpu_memory_utilization"),
    }.get(name, ("", ""))
    return {field: arguments[argument]} if argument in arguments else {}


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
