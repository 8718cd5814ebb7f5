"""What tests of vLLM share: a film, questions about it, and the trainer's view of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor

from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.tiny import tiny_sampling
from medgrpo.rollout import VLLMEngine
from medgrpo.types import Clip, Completion, Sample
from tests.data.encoding import encode

TOLERANCE = 1e-4


def make_film(folder: Path) -> Path:
    """An encoded video of 75 seconds at five frames a second."""
    return encode(folder / "film.mp4", 376, ticks=[200 * k for k in range(376)], size=(64, 96))


def film_prompt(engine: VLLMEngine, film: Path, rate: float, question: str = "Which instrument?") -> Any:
    """A question about the first sixteen frames of the film at a rate."""
    policy: QwenVLPolicy = engine.policy
    encoder = policy.encoder(replace(tiny_sampling(policy.family), f_goal=rate))
    clip = Clip(video=film, start=0.0, end=15 / rate)
    task = "region_caption"
    return encoder.prompt(Sample("k", "1", 1, f"{task}_gpt", task, "CoPESD", "v", question, "", None, clip))


def trainer_logps(
    engine: VLLMEngine, prompt: Any, answers: list[Completion], temperature: float
) -> list[Any]:
    """Log-probabilities of the answers' tokens under the policy, through its own batches."""
    policy, encoder = engine.policy, engine.encoder
    batch = encoder.collate([prompt] * len(answers), [answer.token_ids for answer in answers])
    policy.eval()
    with torch.no_grad():
        logps = policy.logps(batch, temperature)
    return [row[mask] for row, mask in zip(logps, batch.completion_mask, strict=True)]


def largest_difference(
    engine: VLLMEngine, prompt: Any, answers: list[Completion], temperature: float
) -> float:
    expected = trainer_logps(engine, prompt, answers, temperature)
    recorded = [torch.tensor(answer.logps) for answer in answers]
    return max(float((a - b).abs().max()) for a, b in zip(expected, recorded, strict=True))


def shift_weights(policy: QwenVLPolicy) -> None:
    """Change all that is trained: adapters of the language model and the vision tower itself."""
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(len(name))
                )


def write_generation_config(folder: Path) -> None:
    """Sampling that no rollout may follow: a penalty, filters, a low temperature, two ends."""
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    assert ends[0] != ends[1]
    config = {"do_sample": True, "repetition_penalty": 1.5, "temperature": 0.1, "top_k": 1, "top_p": 0.001}
    (folder / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": ends}))


@contextmanager
def uncompiled() -> Iterator[None]:
    """Compiling one small function of vLLM's sampler takes longer than all tests of it."""
    import torch._dynamo

    with torch._dynamo.config.patch(disable=True):
        yield


def leave_process_group() -> None:
    """Later tests find the process without the group of one that vLLM makes."""
    from vllm.distributed import cleanup_dist_env_and_memory

    cleanup_dist_env_and_memory()
    assert not torch.distributed.is_initialized()
