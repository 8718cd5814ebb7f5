"""A tiny policy of four layers with a clip of noise, and the shape and sizes that a plan sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.packed_batch import AnswerBatch, GroupLayout, pack_groups
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
from medgrpo.planning import ModelShape, RunSizes, model_shape
from tests.tiny_models import TEXTS, frame_list_sample

__all__ = ["ANSWER", "GROUP", "Scene", "scene"]

GROUP, ANSWER = 4, 24


@dataclass
class Scene:
    """A policy, a prompt, and what a plan is told of both."""

    policy: QwenVLPolicy
    encoder: Encoder
    prompt: EncodedPrompt
    shape: ModelShape
    sizes: RunSizes

    def batch(self, layout: GroupLayout) -> AnswerBatch:
        """One group."""
        answers = [[10 + k for k in range(ANSWER)]] * GROUP
        if layout == "packed":
            return pack_groups(self.encoder, [self.prompt], [answers])
        return self.encoder.collate([self.prompt] * GROUP, answers)


@cache
def _directory(family: Family) -> Path:
    folder = Path(mkdtemp(prefix=f"plan_{family}_"))
    tokenizer = build_tokenizer(TEXTS * 3, 320)
    model = build_tiny_policy(tokenizer, family, shape=TinyShape(hidden=64, layers=4), seed=3)
    save_policy(model, build_processor(tokenizer, family), folder)
    return folder


def scene(family: Family, folder: Path, rank: int | None = 4, **options: object) -> Scene:
    """Loaded with or without adapters, in the dtype and with the options of the policy that a test names."""
    lora = None if rank is None else LoRA(rank=rank)
    policy = QwenVLPolicy(str(_directory(family)), lora=lora, freeze_vision=True, **options)  # type: ignore[arg-type]
    policy.setup()
    encoder = policy.encoder(tiny_sampling(family))
    prompt = encoder.prompt(frame_list_sample(folder, frames=16))
    frames, height, width = prompt.clip.grid
    frame = height * width // 4
    sizes = RunSizes(
        prompts=1,
        group=GROUP,
        visual=frames * frame,
        frame=frame,
        text=len(prompt.ids) - frames * frame,
        answer=ANSWER,
        rank=rank,
        gpus=1,
    )
    return Scene(policy, encoder, prompt, model_shape(str(_directory(family))), sizes)
