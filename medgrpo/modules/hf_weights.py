"""A policy's weights under the names of a Hugging Face checkpoint: adapters merged, pieces put together."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medgrpo.data.distributed import process_rank
from medgrpo.errors import UserError
from medgrpo.modules.quantization import out_of_four_bits
from medgrpo.modules.sharding import whole

if TYPE_CHECKING:
    from medgrpo.modules.policy import QwenVLPolicy

__all__ = ["merged_weights", "refuse_partial_export", "write_directory"]


@torch.no_grad()
def merged_weights(qwen: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight under its name in a checkpoint, adapters folded in, without a copy of the model.

    Where weights are in pieces, all ranks must go through it together. Weights in four bits come as they are
    multiplied.

    Args:
        qwen: The model, with or without adapters in its layers.
    """
    for name, weight in qwen.state_dict().items():
        # Adapters are part of their layer; the scales of four-bit weights are entries of their own.
        if ".lora_" in name or ".weight." in name:
            continue
        weight = out_of_four_bits(qwen.get_submodule(name.rpartition(".")[0]), whole(weight))
        layer, adapted, _ = name.partition(".base_layer.weight")
        if adapted:
            module = qwen.get_submodule(layer)
            adapter = module.active_adapters[0]
            down, up = (whole(part[adapter].weight) for part in (module.lora_A, module.lora_B))
            weight = weight + (module.scaling[adapter] * (up @ down)).to(weight.dtype)
        yield name.replace(".base_layer.", "."), weight


def refuse_partial_export(policy: QwenVLPolicy, *, merge: bool) -> None:
    """End the run if what is to be exported would leave trained weights out.

    Raises:
        UserError: If only an adapter is asked for, and the vision tower is trained too.
    """
    if policy.lora is not None and not merge and not policy.freeze_vision:
        raise UserError(
            "an adapter alone leaves out the vision tower, which is trained too; export merged weights, or "
            "set policy.freeze_vision"
        )


def write_directory(policy: QwenVLPolicy, directory: str | Path, *, merge: bool) -> None:
    """Write a directory that transformers loads (PEFT an adapter); see :meth:`QwenVLPolicy.save_hf`."""
    refuse_partial_export(policy, merge=merge)
    adapter = policy.lora is not None and not merge
    weights = merged_weights(policy.qwen)
    if adapter:
        named = policy.model.state_dict().items()
        weights = ((name, whole(weight)) for name, weight in named if ".lora_" in name)
    writes = process_rank() == 0
    # All ranks go through them, one holds them.
    state = {name: weight.cpu() for name, weight in weights if writes}
    if writes:
        model = policy.model if adapter else _without_quantization(policy.qwen)
        model.save_pretrained(directory, state_dict=state)
        policy.processor.save_pretrained(directory)


def _without_quantization(model: Any) -> Any:
    """The model itself, or where it is quantized one without weights: those are given, names are not."""
    if getattr(model.config, "quantization_config", None) is None:
        return model
    config = copy.deepcopy(model.config)
    del config.quantization_config
    # No forward is made of it, and a new model refuses the name under which windows are batched.
    config.vision_config._attn_implementation = "sdpa"
    with torch.device("meta"):
        return type(model)(config)
