"""The sizes of a round of GRPO, or a step of SFT, as a config has them: plan and run cannot drift apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from medgrpo.errors import UserError
from medgrpo.planning.sizes import RunSizes, Strategy
from medgrpo.tasks import TASKS, canonical_task, get_task

__all__ = ["is_sft", "sft_sizes_of_config", "sizes_of_config"]

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
        model, data, trainer = tree["model"]["init_args"], tree["data"]["init_args"], tree["trainer"]
        told: dict[str, Any] = {
            "prompts": data["prompts_per_round"],
            "group": model["group_size"],
            "answer": model.get("max_new_tokens") or _longest_answer(data["tasks"]),
            "groups_per_batch": data["groups_per_batch"],
        }
        told |= _shared(model, data, trainer)
        told |= _engine(model["engine"])
        told |= given
        batches = told["prompts"] * data.get("num_iterations", 1) // (told["gpus"] * told["groups_per_batch"])
        steps = max(1, batches // trainer.get("accumulate_grad_batches", 1))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the config says nothing of {error}; is it one of GRPO or SFT?") from None
    return RunSizes(**({"optimizer_steps": steps} | told))


def is_sft(tree: Mapping[str, Any]) -> bool:
    """Whether a composed config is one of supervised fine-tuning."""
    model = tree.get("model")
    return isinstance(model, Mapping) and str(model.get("class_path")).endswith("SFTModule")


def sft_sizes_of_config(tree: Mapping[str, Any], given: Mapping[str, Any]) -> RunSizes:
    """Sizes of an optimizer step of SFT.

    Args:
        tree: As :func:`medgrpo.compose.compose` gives it.
        given: Fields of :class:`RunSizes` that go over the config's.

    Returns:
        The sizes: ``prompts`` clips over all GPUs, ``group`` questions about each. Answers of records have no
        limit: ``answer`` is the longest that an answer to any task may have in a rollout.

    Raises:
        UserError: If the config lacks one, its sizes do not fit each other, or one is given that SFT has not.
    """
    strange = sorted(given.keys() & {"prompts", "optimizer_steps", "max_rows", "vllm_share"})
    if strange:
        raise UserError(f"--{strange[0].replace('_', '-')} is of GRPO's rounds; the config is one of SFT")
    try:
        model, data, trainer = tree["model"]["init_args"], tree["data"]["init_args"], tree["trainer"]
        told: dict[str, Any] = {
            "group": data["rows_per_clip"],
            "answer": _longest_answer(TASKS),
            "groups_per_batch": data["clips_per_batch"],
        }
        told |= _shared(model, data, trainer)
        told |= given
        accumulated = trainer.get("accumulate_grad_batches", 1)
        told["prompts"] = told["groups_per_batch"] * accumulated * told["gpus"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the config says nothing of {error}; is it one of GRPO or SFT?") from None
    return RunSizes(**told)


def _shared(model: Mapping[str, Any], data: Mapping[str, Any], trainer: Mapping[str, Any]) -> dict[str, Any]:
    """What both stages have: the policy, what it sees, the GPUs.

    Raises:
        UserError: If the vision tower is trained, or no plan knows the strategy.
    """
    policy, sampling = model["policy"]["init_args"], data["sampling"]
    if not policy["freeze_vision"]:
        raise UserError("plans know frozen vision towers only; the config trains it: policy.freeze_vision")
    return {
        "visual": sampling["max_tokens"],
        "frame": sampling["frame_max_tokens"],
        "rank": None if policy["lora"] is None else policy["lora"]["rank"],
        "quantize": policy.get("quantize"),
        "gpus": _gpus(trainer),
        "strategy": _strategy(trainer.get("strategy", "auto")),
        "logit_chunk": policy.get("logit_chunk", RunSizes.logit_chunk),
    }


def _longest_answer(tasks: Iterable[str]) -> int:
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
