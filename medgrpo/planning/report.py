"""All numbers of a plan as one mapping that JSON holds: bytes, FLOPs, seconds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medgrpo.errors import UserError
from medgrpo.planning.groups import LAYOUTS, group_tokens
from medgrpo.planning.memory import generation_memory, prompt_kv, update_memory, vllm_kv_tokens
from medgrpo.planning.parameters import parameters, trainable_parameters
from medgrpo.planning.shapes import ModelShape
from medgrpo.planning.sizes import Gpu, RunSizes
from medgrpo.planning.times import decode_bytes, decode_bytes_vllm, round_times
from medgrpo.planning.work import round_work

__all__ = ["plan"]


def plan(shape: ModelShape, sizes: RunSizes, gpu: Gpu) -> dict[str, Any]:
    """Parameters, memory, work and time of a round.

    Returns:
        ``parameters`` by part and ``trainable``; ``memory`` of a GPU in bytes (``update`` by layout, with
        gradient checkpointing and with activations kept, ``generation`` with the hf engine, vLLM's share);
        ``flops`` and ``seconds`` of a round by layout and phase; ``decode_bytes`` that a GPU reads for its
        share of the answers.

    Raises:
        UserError: If a group is a single answer.
    """
    if sizes.group < 2:
        raise UserError("group must be at least 2: one answer has no baseline")
    update = {
        layout: {
            name: update_memory(shape, sizes, layout, checkpointing)
            for name, checkpointing in (("checkpointing", True), ("kept", False))
        }
        for layout in LAYOUTS
    }
    held = vllm_kv_tokens(shape, sizes, gpu)
    return {
        "parameters": parameters(shape),
        "trainable": trainable_parameters(shape, sizes.rank),
        "group_tokens": {layout: group_tokens(sizes, layout) for layout in LAYOUTS},
        "memory": {
            "update": update,
            "generation": generation_memory(shape, sizes),
            "prompt_kv_repeated": prompt_kv(shape.text, sizes, copies=sizes.group),
            "vllm": {
                "share": gpu.memory * sizes.vllm_share,
                "weights": 2 * sum(parameters(shape).values()),
                "kv_tokens": held,
                "needed_tokens": sizes.prompts_per_gpu * (sizes.prompt + sizes.group * sizes.answer),
            },
        },
        "flops": {
            layout: {
                phase: asdict(flops) | {"total": flops.total}
                for phase, flops in round_work(shape, sizes, layout).items()
            }
            for layout in LAYOUTS
        },
        "seconds": {
            layout: {
                phase: asdict(time) | {"seconds": time.seconds}
                for phase, time in round_times(shape, sizes, layout, gpu).items()
            }
            for layout in LAYOUTS
        },
        "decode_bytes": {"hf": decode_bytes(shape, sizes), "vllm": decode_bytes_vllm(shape, sizes)},
    }
