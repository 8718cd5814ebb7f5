"""What the benchmarks of training share: a tiny random Qwen2.5-VL, clips of noise, made-up answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.tiny import (
    TinyShape,
    build_processor,
    build_tiny_policy,
    build_tokenizer,
    save_policy,
    tiny_sampling,
)
from medgrpo.types import Clip, Sample

__all__ = ["TEXTS", "VOCABULARY", "make_answers", "make_policy", "make_prompt"]

TEXTS = ["Which instrument retracts the gallbladder? The grasper retracts it. 1.0-3.0 seconds."]
VOCABULARY = 320


class _Unbanned(QwenVLPolicy):
    """Without the ban on vision tokens, which peers do not know: probabilities can then be compared."""

    @property
    def banned_ids(self) -> list[int]:
        return []


def make_policy(folder: Path) -> QwenVLPolicy:
    """A policy of a million random weights, saved and loaded as any other."""
    tokenizer = build_tokenizer(TEXTS * 3, VOCABULARY)
    model = build_tiny_policy(tokenizer, "qwen2_5_vl", shape=TinyShape(), seed=3)
    save_policy(model, build_processor(tokenizer, "qwen2_5_vl"), folder / "model")
    policy = _Unbanned(str(folder / "model"))
    policy.setup()
    return policy


def make_prompt(
    policy: QwenVLPolicy, folder: Path, frames: int, tokens: int, seed: int = 0
) -> tuple[Encoder, EncodedPrompt]:
    """A question about frames of noise, so many visual tokens for each pair of them."""
    budget = {"max_frames": frames, "max_tokens": tokens * frames}
    encoder = policy.encoder(
        replace(tiny_sampling(), frame_max_tokens=tokens, frame_min_tokens=tokens, **budget)
    )
    generator = np.random.default_rng(seed)
    paths = tuple(folder / f"{seed}_{k}.png" for k in range(frames))
    for path in paths:
        Image.fromarray(generator.integers(0, 255, (112, 112, 3), dtype=np.uint8)).save(path)
    clip = Clip(frames=paths, times=tuple(float(k) for k in range(frames)))
    sample = Sample("", "", seed, "tal", "tal", "CoPESD", "v", "Which instrument?", None, None, clip)
    return encoder, encoder.prompt(sample)


def make_answers(count: int, length: int) -> list[list[int]]:
    """Token ids of answers without special tokens."""
    generator = np.random.default_rng(1)
    return [generator.integers(10, VOCABULARY - 20, length).tolist() for _ in range(count)]
