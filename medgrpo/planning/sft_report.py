"""All numbers of a plan of SFT as one mapping that JSON holds: bytes, FLOPs, seconds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medgrpo.planning.memory import update_memory
from medgrpo.planning.parameters import parameters, trainable_parameters
from medgrpo.planning.shapes import ModelShape
from medgrpo.planning.sizes import Gpu, RunSizes
from medgrpo.planning.work import update, vision

__all__ = ["plan_sft"]


def plan_sft(shape: ModelShape, sizes: RunSizes, gpu: Gpu) -> dict[str, Any]:
    """Parameters, memory of a micro-batch, work and time of an optimizer step.

    Questions about a clip share its pass through the vision tower, but each is a row with the clip's tokens:
    they differ in front of their answers, so that nothing is packed.

    Args:
        shape: Of the model.
        sizes: ``prompts`` clips an optimizer step over all GPUs, ``group`` questions about each,
            ``groups_per_batch`` clips a micro-batch.
        gpu: The device.

    Returns:
        ``parameters`` by part and ``trainable``; ``memory`` of a GPU in bytes, with gradient checkpointing
        and with activations kept; ``flops`` of an optimizer step by phase; its ``seconds``.
    """
    flops = {
        "vision": vision(shape, sizes).times(sizes.prompts),
        "update": update(shape, sizes, "rows").times(sizes.prompts),
    }
    rate = gpu.flops * gpu.utilisation * sizes.gpus
    return {
        "parameters": parameters(shape),
        "trainable": trainable_parameters(shape, sizes.rank),
        "memory": {
            name: update_memory(shape, sizes, "rows", checkpointing)
            for name, checkpointing in (("checkpointing", True), ("kept", False))
        },
        "flops": {phase: asdict(each) | {"total": each.total} for phase, each in flops.items()},
        "seconds": {phase: each.total / rate for phase, each in flops.items()},
    }
