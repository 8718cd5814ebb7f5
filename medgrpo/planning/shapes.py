"""The numbers of a model's configuration that parameters, FLOPs and bytes follow from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.planning.presets import PRESETS

__all__ = ["PRESETS", "ModelShape", "TextShape", "VisionShape", "model_shape", "shape_of"]


@dataclass(frozen=True)
class TextShape:
    """A decoder of the Qwen family.

    Attributes:
        width: Of the residual stream.
        intermediate: Width of the gated MLP.
        layers: Depth.
        heads: Query heads.
        kv_heads: Key-value heads.
        head_width: Of one head.
        vocabulary: Rows of the embedding.
        tied: Embedding and head are one matrix.
        qkv_bias: Query, key and value projections have biases (Qwen2.5).
        qk_norm: Queries and keys are normalised by head (Qwen3).
    """

    width: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    tied: bool
    qkv_bias: bool
    qk_norm: bool

    @property
    def query_width(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_width

    @property
    def kv_width(self) -> int:
        """Width of all key heads."""
        return self.kv_heads * self.head_width

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of a layer's seven linear maps: query, key, value, output, gate, up, down."""
        h, a, k, i = self.width, self.query_width, self.kv_width, self.intermediate
        return (h, a), (h, k), (h, k), (a, h), (h, i), (h, i), (i, h)

    @property
    def layer_weights(self) -> int:
        """Elements of a layer's seven matrices."""
        return sum(inputs * outputs for inputs, outputs in self.linears)

    @property
    def kv_bytes(self) -> int:
        """Keys and values of one token in all layers, bytes in bfloat16."""
        return 2 * 2 * self.layers * self.kv_width


@dataclass(frozen=True)
class VisionShape:
    """A vision tower of the Qwen-VL families with its projector.

    Attributes:
        width: Of the residual stream.
        intermediate: Width of the MLP.
        depth: Blocks.
        patch_values: Numbers in a patch: channels, frames, height, width multiplied.
        merge: Patches on a side of a visual token.
        out: Width of a visual token.
        window: Patches that one window holds; None where all blocks see the whole frame.
        full_blocks: Blocks that see the whole frame.
        gated: Gated MLP, RMSNorm, no bias of the patch embedding (Qwen2.5); else two matrices, LayerNorm.
        positions: Rows of a learned position embedding.
        deepstack: Further projectors.
    """

    width: int
    intermediate: int
    depth: int
    patch_values: int
    merge: int
    out: int
    window: int | None
    full_blocks: int
    gated: bool
    positions: int
    deepstack: int

    @property
    def patches_per_token(self) -> int:
        """Patches that one visual token is made of."""
        return self.merge**2

    @property
    def block_weights(self) -> int:
        """Elements of a block's matrices."""
        return 4 * self.width**2 + (3 if self.gated else 2) * self.width * self.intermediate

    @property
    def projector_weights(self) -> int:
        """Elements of one projector's two matrices."""
        merged = self.patches_per_token * self.width
        return merged**2 + merged * self.out


@dataclass(frozen=True)
class ModelShape:
    """A Qwen-VL model.

    Attributes:
        name: For people.
        text: Language model.
        vision: Vision tower and projector.
    """

    name: str
    text: TextShape
    vision: VisionShape


def model_shape(name: str) -> ModelShape:
    """The shape of a released checkpoint by name, or of a Hugging Face directory.

    Raises:
        UserError: If it is neither, or the directory holds another kind of model.
    """
    if name in PRESETS:
        return shape_of(PRESETS[name], name)
    file = Path(name) / "config.json"
    if not file.is_file():
        raise UserError(f"{name} is neither of {', '.join(PRESETS)} nor a directory with a config.json")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no mapping")
    return shape_of(config, name)


def shape_of(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape that a configuration describes.

    Args:
        config: ``config.json``, with the language model's numbers in ``text_config`` or, as in files of
            Qwen2.5-VL on the hub, beside it.
        name: For people and errors.

    Raises:
        UserError: If it is of another family or lacks a number.
    """
    family = config.get("model_type")
    if family not in ("qwen2_5_vl", "qwen3_vl"):
        raise UserError(f"{name} holds a {family} model; expected one of qwen2_5_vl, qwen3_vl")
    text = config.get("text_config") or config
    vision = config.get("vision_config") or {}
    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    try:
        return ModelShape(name, _text(text, family, tied), _vision(vision, family))
    except KeyError as error:
        raise UserError(f"{name}: config.json has no {error.args[0]}") from error
    except TypeError as error:
        raise UserError(f"{name}: a size in config.json is no number: {error}") from error


def _text(text: Mapping[str, Any], family: str, tied: bool) -> TextShape:
    width, heads = text["hidden_size"], text["num_attention_heads"]
    return TextShape(
        width=width,
        intermediate=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=heads,
        kv_heads=text["num_key_value_heads"],
        head_width=text.get("head_dim") or width // heads,
        vocabulary=text["vocab_size"],
        tied=tied,
        qkv_bias=family == "qwen2_5_vl" or bool(text.get("attention_bias", False)),
        qk_norm=family == "qwen3_vl",
    )


def _vision(vision: Mapping[str, Any], family: str) -> VisionShape:
    first = family == "qwen2_5_vl"
    patch = vision["patch_size"]
    # Files on the hub call it in_chans; both families are made for three.
    channels = vision.get("in_channels", vision.get("in_chans", 3))
    return VisionShape(
        width=vision["hidden_size"],
        intermediate=vision["intermediate_size"],
        depth=vision["depth"],
        patch_values=channels * vision.get("temporal_patch_size", 2) * patch**2,
        merge=vision["spatial_merge_size"],
        out=vision["out_hidden_size"],
        window=(vision["window_size"] // patch) ** 2 if first else None,
        full_blocks=len(vision["fullatt_block_indexes"]) if first else vision["depth"],
        gated=first,
        positions=0 if first else vision["num_position_embeddings"],
        deepstack=0 if first else len(vision["deepstack_visual_indexes"]),
    )
