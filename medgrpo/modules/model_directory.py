"""What a model directory says without its weights: its family, its processor, how it is fed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from medgrpo.data.encode import Encoder
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

__all__ = ["encoder_of", "read_processor"]

_FAMILIES = ("qwen2_5_vl", "qwen3_vl")


def read_processor(directory: Path) -> tuple[Any, Any]:
    """Configuration and processor of a Hugging Face directory.

    Raises:
        UserError: If the directory is missing, cannot be read, or holds another kind of model.
    """
    from transformers import AutoConfig, AutoProcessor

    if not (directory / "config.json").is_file():
        raise UserError(f"policy.path: {directory} is not a model directory (no config.json in it)")
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        if config.model_type not in _FAMILIES:
            raise UserError(
                f"policy.path: {directory} holds a {config.model_type} model; "
                f"expected one of {', '.join(_FAMILIES)}"
            )
        return config, AutoProcessor.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"policy.path: cannot load {directory}: {str(error).splitlines()[0]}") from error


def encoder_of(
    directory: str | Path, config: Any, processor: Any, sampling: SamplingPolicy, **options: Any
) -> Encoder:
    """An encoder that matches a model.

    Args:
        directory: Where the model is, for messages.
        config: Its configuration.
        processor: Its processor.
        sampling: Frames and sizes; its factor must be the model's own patch * merge.
        **options: Further arguments of :class:`Encoder`.

    Raises:
        UserError: If the sampling policy rounds sizes to another factor than the model's.
    """
    vision = config.vision_config
    factor = vision.patch_size * vision.spatial_merge_size
    if sampling.factor != factor:
        raise UserError(
            f"sampling.factor is {sampling.factor}, but {config.model_type} at {directory} needs {factor} "
            f"(patch {vision.patch_size} x merge {vision.spatial_merge_size})"
        )
    tokens_per_second = None
    if config.model_type == "qwen2_5_vl":
        tokens_per_second = float(vision.tokens_per_second)
    else:  # it reads timestamps, so it is told the true ones
        sampling = replace(sampling, timestamps="text")
    return Encoder(processor, sampling, tokens_per_second=tokens_per_second, **options)
