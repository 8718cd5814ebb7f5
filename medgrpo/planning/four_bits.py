"""Bytes of linear maps in NF4, as bitsandbytes keeps them for QLoRA (arXiv 2305.14314, section 3)."""

from __future__ import annotations

import math

from medgrpo.planning.shapes import TextShape

__all__ = ["four_bit_bytes", "four_bit_reads", "largest_matrix"]

BLOCK = 64
"""Weights that share a scale of one byte."""

NESTED = 256
"""Scales that share one of four bytes (double quantization)."""


def four_bit_bytes(text: TextShape) -> int:
    """Bytes of the linear maps of all language layers, 0.516 a weight, without tables of 1 kB a matrix."""
    return text.layers * sum(_matrix(inputs * outputs) for inputs, outputs in text.linears)


def largest_matrix(text: TextShape) -> int:
    """Bytes of the largest linear map out of four bits, in bfloat16: one at a time is multiplied."""
    return 2 * max(inputs * outputs for inputs, outputs in text.linears)


def four_bit_reads(text: TextShape) -> int:
    """Bytes that a forward moves for these maps: read in four bits, written in bfloat16, and read again."""
    return four_bit_bytes(text) + 2 * 2 * text.layers * text.layer_weights


def _matrix(weights: int) -> int:
    blocks = math.ceil(weights / BLOCK)
    return math.ceil(weights / 2) + blocks + 4 * math.ceil(blocks / NESTED)
