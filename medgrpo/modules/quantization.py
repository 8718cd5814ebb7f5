"""QLoRA: the frozen language model in four bits (NF4, by bitsandbytes), adapters on it in float32."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import nn

from medgrpo.errors import MissingExtraError

__all__ = ["Quantization", "four_bit_options", "out_of_four_bits"]

Quantization = Literal["nf4"]
"""``nf4``: blocks of 64 weights share a scale, and the scales are quantized again."""


def four_bit_options(dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that quantize while loading, on this process's device.

    The vision tower keeps its format, which is little of a 7B model, as do embeddings and head.

    Args:
        dtype: In which the weights are multiplied.

    Raises:
        MissingExtraError: If bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("bitsandbytes", "qlora")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["model.visual", "lm_head"],  # of four bits too, in spite of the name
    )
    device = {"": torch.cuda.current_device()} if torch.cuda.is_available() else None
    return {"quantization_config": config, "device_map": device}


def out_of_four_bits(module: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    """The weight of a layer as it is multiplied; one that is not quantized is returned as it is.

    Args:
        module: That the weight belongs to.
        weight: As its state dict has it.
    """
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    if state is None or weight.dtype != torch.uint8:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    plain: torch.Tensor = dequantize_4bit(module.weight.data, state)
    return plain
