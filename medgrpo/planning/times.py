"""Seconds of a round: each phase takes the longer of its FLOPs and its traffic with memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medgrpo.planning.four_bits import four_bit_reads
from medgrpo.planning.memory import answer_kv, prompt_kv
from medgrpo.planning.shapes import ModelShape
from medgrpo.planning.sizes import Gpu, RunSizes
from medgrpo.planning.work import round_work

if TYPE_CHECKING:
    from medgrpo.data.packed_batch import GroupLayout

__all__ = ["PhaseTime", "decode_bytes", "decode_bytes_vllm", "round_times"]


@dataclass(frozen=True)
class PhaseTime:
    """Seconds of a phase on every GPU.

    Attributes:
        compute: If FLOPs bound it.
        traffic: If reading memory bounds it; 0 where each weight meets thousands of tokens.
    """

    compute: float
    traffic: float

    @property
    def seconds(self) -> float:
        """The longer of both."""
        return max(self.compute, self.traffic)


def decode_bytes(shape: ModelShape, sizes: RunSizes) -> float:
    """Bytes that the hf engine reads on one GPU to decode its share of a round.

    Every step reads the weights of the language model, the prompts' keys and values once for all their
    answers, and the answers' own, on average half of what they grow to. Four-bit weights are written out in
    bfloat16 first.
    """
    layers = _layer_reads(shape) if sizes.quantize is None else four_bit_reads(shape.text)
    return _decode_bytes(shape, sizes, layers, copies=1)


def decode_bytes_vllm(shape: ModelShape, sizes: RunSizes) -> float:
    """As :func:`decode_bytes` in the same batches, but every answer reads its prompt's blocks for itself.

    vLLM is handed weights in bfloat16, whatever the trainer keeps.
    """
    return _decode_bytes(shape, sizes, _layer_reads(shape), copies=sizes.group)


def _layer_reads(shape: ModelShape) -> int:
    return 2 * shape.text.layers * shape.text.layer_weights


def _decode_bytes(shape: ModelShape, sizes: RunSizes, layers: int, copies: int) -> float:
    text = shape.text
    batches = math.ceil(sizes.prompts_per_gpu / sizes.decoded_together)
    weights = layers + 2 * text.vocabulary * text.width
    step = weights + prompt_kv(text, sizes, copies) + answer_kv(text, sizes) / 2
    return batches * (sizes.answer - 1) * step


def round_times(shape: ModelShape, sizes: RunSizes, layout: GroupLayout, gpu: Gpu) -> dict[str, PhaseTime]:
    """Seconds of a round by phase with the hf engine, GPUs working side by side.

    Left out: rewards, reading of video, launching of kernels, collectives, waiting for the longest answer.
    """
    rate = gpu.flops * gpu.utilisation * sizes.gpus
    traffic = decode_bytes(shape, sizes) / (gpu.bandwidth * gpu.bandwidth_utilisation)
    return {
        phase: PhaseTime(flops.total / rate, traffic if phase == "decode" else 0.0)
        for phase, flops in round_work(shape, sizes, layout).items()
    }
