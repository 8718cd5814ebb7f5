"""Parameters of a model by part, and those that are trained."""

from __future__ import annotations

from medgrpo.planning.shapes import ModelShape, TextShape, VisionShape

__all__ = ["lora_parameters", "parameters", "trainable_parameters"]


def parameters(shape: ModelShape) -> dict[str, int]:
    """Parameters by part; a head that is the embedding counts once, as embedding."""
    text, vision = shape.text, shape.vision
    embedding = text.vocabulary * text.width
    return {
        "vision tower": _tower(vision),
        "projector": _projectors(vision),
        "embedding": embedding,
        "language layers": text.layers * _layer(text) + text.width,
        "head": 0 if text.tied else embedding,
    }


def lora_parameters(text: TextShape, rank: int) -> int:
    """Parameters of adapters on the seven linear maps of every language layer."""
    return text.layers * sum(rank * (inputs + outputs) for inputs, outputs in text.linears)


def trainable_parameters(shape: ModelShape, rank: int | None) -> int:
    """What an optimizer holds, the vision tower and its projector frozen.

    Args:
        shape: Of the model.
        rank: Of adapters; None trains the language model itself.
    """
    if rank is not None:
        return lora_parameters(shape.text, rank)
    parts = parameters(shape)
    return parts["embedding"] + parts["language layers"] + parts["head"]


def _layer(text: TextShape) -> int:
    norms = 2 * text.width + (2 * text.head_width if text.qk_norm else 0)
    biases = text.query_width + 2 * text.kv_width if text.qkv_bias else 0
    return text.layer_weights + norms + biases


def _tower(vision: VisionShape) -> int:
    width, wide = vision.width, vision.intermediate
    embed = vision.patch_values * width + (0 if vision.gated else width) + vision.positions * width
    biases = 4 * width + (2 * wide if vision.gated else wide) + width  # attention, MLP
    norms = 2 * _norm(vision, width)
    return embed + vision.depth * (vision.block_weights + biases + norms)


def _projectors(vision: VisionShape) -> int:
    merged = vision.patches_per_token * vision.width
    one = vision.projector_weights + merged + vision.out
    # The first normalises patches, those of DeepStack what is merged of them.
    return (
        (1 + vision.deepstack) * one + _norm(vision, vision.width) + vision.deepstack * _norm(vision, merged)
    )


def _norm(vision: VisionShape, width: int) -> int:
    return width if vision.gated else 2 * width
