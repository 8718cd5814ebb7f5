"""Tiny policies of the real Qwen-VL classes, built offline: about a million parameters, seconds to make.

They have everything that a released checkpoint has (a byte-level BPE tokenizer with the Qwen special tokens,
a chat template, the image and video processors, M-RoPE sections, window and full attention in the vision
tower, DeepStack for Qwen3-VL), so whatever runs on them runs the code that a 7B model runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from medgrpo.data.sampling import SamplingPolicy

__all__ = [
    "CHAT_TEMPLATE",
    "TinyShape",
    "build_processor",
    "build_tiny_policy",
    "build_tokenizer",
    "save_policy",
    "tiny_sampling",
]

Family = Literal["qwen2_5_vl", "qwen3_vl"]

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# A number with its decimals is one piece, and punctuation takes the space after it, so that "48.0, " is two
# tokens and coordinates share their embeddings wherever they stand.
PIECES = r"\p{N}+(?:\.\p{N}+)?| ?\p{L}+|[^\s\p{L}\p{N}]+(?:\s[^\s\p{L}\p{N}]+)*\s?|\s+"


@dataclass(frozen=True)
class TinyShape:
    """Sizes of a tiny policy; the defaults give about a million parameters.

    Attributes:
        hidden: Width of the language model.
        layers: Depth of the language model.
        heads: Attention heads of the language model.
        kv_heads: Key-value heads.
        vision_hidden: Width of the vision tower.
        vision_layers: Depth of the vision tower.
        vocabulary: Largest tokenizer size, special tokens included.
    """

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    vision_hidden: int = 96
    vision_layers: int = 2
    vocabulary: int = 1024

    @property
    def mrope_section(self) -> list[int]:
        """Rotary pairs for time, height and width: half the head dimension, most of it spatial."""
        half = self.hidden // self.heads // 2
        time = half - 2 * (half * 3 // 8)
        return [time, half * 3 // 8, half * 3 // 8]


def build_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> Any:
    """Train a byte-level BPE tokenizer with the Qwen special tokens on texts.

    Returns:
        A transformers fast tokenizer that knows ``image_token`` and ``video_token``.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_start_token": "<|vision_start|>",
            "vision_end_token": "<|vision_end|>",
            "im_start_token": "<|im_start|>",
        },
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: Any, family: Family = "qwen2_5_vl") -> Any:
    """The real processor of a family round a tokenizer, with the sizes that the tiny policies use."""
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    patch = 14 if family == "qwen2_5_vl" else 16
    # vLLM normalises video frames as the image processor does, so both carry the same mean and std.
    common: dict[str, Any] = {
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": (2 * patch) ** 2, "longest_edge": 64 * (2 * patch) ** 2},
    }
    image = Qwen2VLImageProcessor(**common)
    if family == "qwen2_5_vl":
        video = Qwen2VLVideoProcessor(do_sample_frames=False, **common)
        return Qwen2_5_VLProcessor(image, tokenizer, video, chat_template=CHAT_TEMPLATE)
    video = Qwen3VLVideoProcessor(do_sample_frames=False, **common)
    return Qwen3VLProcessor(image, tokenizer, video, chat_template=CHAT_TEMPLATE)


def build_tiny_policy(
    tokenizer: Any,
    family: Family = "qwen2_5_vl",
    *,
    shape: TinyShape | None = None,
    seed: int = 0,
) -> Any:
    """A randomly initialised model of the real class whose vocabulary is the tokenizer's."""
    shape = shape or TinyShape()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    special = {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": True,
    }
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.hidden,
        "intermediate_size": 3 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": shape.mrope_section},
        "tie_word_embeddings": True,
    }
    vision: dict[str, Any] = {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_hidden,
        "intermediate_size": 3 * shape.vision_hidden,
        "num_heads": 4,
        "out_hidden_size": shape.hidden,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "qwen2_5_vl":
            model = _qwen2_5_vl(text, vision, special)
        else:
            model = _qwen3_vl(text, vision, special, shape)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    return model


def _qwen2_5_vl(text: dict[str, Any], vision: dict[str, Any], special: dict[str, Any]) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    vision = vision | {
        "patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [vision["depth"] - 1],
        "tokens_per_second": 2,
    }
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, **special)
    )


def _qwen3_vl(text: dict[str, Any], vision: dict[str, Any], special: dict[str, Any], shape: TinyShape) -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = text | {"head_dim": shape.hidden // shape.heads}
    text["rope_parameters"] = text["rope_parameters"] | {"mrope_interleaved": True}
    vision = vision | {"patch_size": 16, "num_position_embeddings": 256, "deepstack_visual_indexes": [0]}
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **special))


def tiny_sampling(family: Family = "qwen2_5_vl") -> SamplingPolicy:
    """At most 16 frames of at most 8 merged tokens, for the tiny policies of a family."""
    return SamplingPolicy(
        f_goal=1.0,
        min_frames=4,
        max_frames=16,
        max_tokens=64,
        frame_min_tokens=2,
        frame_max_tokens=8,
        factor=28 if family == "qwen2_5_vl" else 32,
    )


def save_policy(model: Any, processor: Any, directory: str | Path) -> None:
    """Write a Hugging Face directory that transformers and vLLM load."""
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
