"""Released architectures with random weights, made on the device from their configuration."""

from __future__ import annotations

import copy
from typing import Any

import torch

from benchmarks.tiny_scene import TEXTS, VOCABULARY
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import SPECIAL_TOKENS, build_processor, build_tokenizer
from medgrpo.planning import PRESETS

__all__ = ["ARCHITECTURES", "RandomPolicy", "peer_model"]

_TINY = {
    "text_config": {
        "vocab_size": 2 * VOCABULARY,  # ids that the tokenizer does not know are sampled, as with 7B
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    },
    "vision_config": {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    },
}
_SEVEN = PRESETS["qwen2.5-vl-7b"]
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2.5-vl-3b": PRESETS["qwen2.5-vl-3b"],
    "qwen2.5-vl-7b": _SEVEN,
    "tiny": _SEVEN | {part: _SEVEN[part] | values for part, values in _TINY.items()},
}
"""Name -> configuration; ``tiny`` is 7B's with fewer and smaller layers."""


class RandomPolicy(QwenVLPolicy):
    """Made from a configuration, on the device; the same weights every time.

    Args:
        architecture: A name in :data:`ARCHITECTURES`.
        device: Where.
        options: Of :class:`QwenVLPolicy`.

    Attributes:
        bans: Whether vision tokens are kept out of answers. Peers do not, and probabilities are compared.
    """

    def __init__(self, architecture: str, device: torch.device, **options: Any) -> None:
        super().__init__("random weights", freeze_vision=True, gradient_checkpointing=True, **options)
        self.architecture = architecture
        self.place = device
        self.bans = False

    @property
    def banned_ids(self) -> list[int]:
        """None, unless asked."""
        return super().banned_ids if self.bans else []

    def setup(self) -> None:
        """Make tokenizer, processor and weights."""
        tokenizer = build_tokenizer(TEXTS * 3, VOCABULARY)
        self.processor = build_processor(tokenizer, "qwen2_5_vl")
        model = _build(self.architecture, tokenizer, self.place, getattr(torch, self.dtype_name))
        model.requires_grad_(False)
        self.adopt(model)


def peer_model(
    architecture: str, tokenizer: Any, device: torch.device, dtype: torch.dtype, lora: LoRA
) -> Any:
    """The same weights and adapters with nothing of ours in them, set up as TRL sets up what it trains.

    TRL 1.16 with a ``peft_config`` and its defaults: gradient checkpointing, gradients required of inputs.
    """
    from peft import LoraConfig, get_peft_model

    targets = rf".*language_model.*\.({'|'.join(lora.target_modules)})"
    adapter = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)
    model = get_peft_model(_build(architecture, tokenizer, device, dtype), adapter)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable()
    return model.train()


def _build(architecture: str, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    pad, _, end, vision_start, vision_end, image, video = tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS)
    values = copy.deepcopy(ARCHITECTURES[architecture])
    values["text_config"] |= {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    values |= {"image_token_id": image, "video_token_id": video}
    values |= {"vision_start_token_id": vision_start, "vision_end_token_id": vision_end}
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    with device:
        return AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
