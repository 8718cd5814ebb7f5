"""Tiny models of the real classes and small clips for tests, made once a session."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from PIL import Image

from medgrpo.data.encode import Encoder
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.tiny import (
    Family,
    TinyShape,
    build_processor,
    build_tiny_policy,
    build_tokenizer,
    save_policy,
    tiny_sampling,
)
from medgrpo.types import Clip, Sample, sample_key

FAMILIES: tuple[Family, ...] = ("qwen2_5_vl", "qwen3_vl")
TEXTS = [
    "Which instrument retracts the gallbladder? The grasper retracts the gallbladder. 1.0-3.0 seconds.",
    "Give the boxes. 1.0 seconds: [48.0, 24.0, 96.0, 64.0] 3.0 seconds: [48.0, 30.0, 96.0, 70.0]",
]


@cache
def tiny_directory(family: Family) -> Path:
    """A Hugging Face directory of a tiny random policy."""
    folder = Path(mkdtemp(prefix=f"tiny_{family}_"))
    tokenizer = build_tokenizer(TEXTS * 3, 320)
    shape = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, vision_hidden=32)
    save_policy(
        build_tiny_policy(tokenizer, family, shape=shape, seed=3), build_processor(tokenizer, family), folder
    )
    return folder


def tiny_policy(family: Family, lora: LoRA | None = None) -> tuple[QwenVLPolicy, Encoder]:
    """A fresh tiny policy and its encoder."""
    policy = QwenVLPolicy(str(tiny_directory(family)), lora=lora)
    policy.setup()
    return policy, policy.encoder(tiny_sampling(family))


def frame_list_sample(
    folder: Path, *, row: int = 0, frames: int = 8, fps: float = 1.0, question: str = "Which instrument?"
) -> Sample:
    """A sample over JPEG frames of seeded noise."""
    generator = np.random.default_rng(row)
    paths = []
    for index in range(frames):
        path = folder / f"{row}_{index}.jpg"
        Image.fromarray(generator.integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    clip = Clip(frames=tuple(paths), fps=fps, times=tuple(i / fps for i in range(frames)))
    key = sample_key(str(row), "region_caption", question)
    task = "region_caption"
    return Sample(
        key, str(row), row, f"{task}_gpt", task, "CoPESD", f"v{row}", question, TEXTS[0], None, clip
    )


def full_logits(policy: QwenVLPolicy, encoder: Encoder, prompt: object, answer: list[int]) -> torch.Tensor:
    """Logits that predict the answer's tokens, by transformers' own forward on one unpadded row."""
    ids = torch.tensor([[*prompt.ids, *answer]])  # type: ignore[attr-defined]
    start = prompt.next_position  # type: ignore[attr-defined]
    tail = torch.arange(start, start + len(answer)).expand(3, -1)
    positions = torch.cat([torch.from_numpy(prompt.positions), tail], dim=1)[:, None]  # type: ignore[attr-defined]
    pixels, grids = encoder.patches([prompt.clip])  # type: ignore[attr-defined]
    logits = policy.qwen(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        position_ids=positions,
        pixel_values_videos=pixels,
        video_grid_thw=grids,
    ).logits
    return logits[0, len(prompt.ids) - 1 : -1]  # type: ignore[attr-defined]
