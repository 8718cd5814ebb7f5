"""Sampling eight answers to each prompt: the hf engine against ``generate(num_return_sequences=8)``.

Both sample with the same weights, 32 tokens an answer, no end of an answer on either side, prompts with video
of about 540 and 150 tokens. CPU time of one thread, medians of interleaved runs. Results go to
``benchmarks/results/generation.json``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from benchmarks.results import machine, results_table, save, versions
from benchmarks.tiny_scene import make_policy, make_prompt
from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.rollout.hf import HFEngine

__all__ = ["generate_step", "main"]

CELLS = ((64, 16), (16, 16))
"""Frames and tokens of a pair of frames."""

PROMPTS, ANSWERS, LENGTH = 4, 8, 32
TARGET = 1.7


def main(argv: Sequence[str] = ()) -> None:
    """Measure, compare, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of a cell (default %(default)s)")
    args = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        policy = make_policy(Path(folder))
        policy.eval()
        model = AutoModelForImageTextToText.from_pretrained(policy.path, local_files_only=True).eval()
        for frames, tokens in CELLS:
            made = [make_prompt(policy, Path(folder), frames, tokens, seed) for seed in range(PROMPTS)]
            encoder, prompts = made[0][0], [prompt for _, prompt in made]
            ours, theirs = _medians(
                [_ours(policy, encoder, prompts), generate_step(model, encoder, prompts, ANSWERS, LENGTH)],
                args.runs,
            )
            results.append(
                {
                    "name": f"{PROMPTS} prompts of {len(prompts[0].ids)} tokens, {ANSWERS}x{LENGTH} to each",
                    "ours": round(ours, 1),
                    "peer": round(theirs, 1),
                    "peer_name": "transformers generate",
                    "unit": "CPU ms",
                    "ratio": round(theirs / ours, 2),
                    "target": f">= {TARGET}",
                    "met": theirs / ours >= TARGET,
                }
            )
    print(results_table(results, 2))
    report = {"runs": args.runs, "results": results, "machine": machine()}
    save("generation", report | {"versions": versions("torch", "transformers")})


def _ours(policy: Any, encoder: Any, prompts: list[Any]) -> Callable[[], int]:
    engine = HFEngine()
    engine.bind(policy, encoder)
    encoder.eos_token_id = -1  # no answer ends before its limit

    def run() -> int:
        groups = engine.generate(
            prompts, n=ANSWERS, max_new_tokens=LENGTH, temperature=1.0, seeds=range(PROMPTS)
        )
        return sum(len(answer.token_ids) for group in groups for answer in group)

    return run


def generate_step(
    model: Any, encoder: Encoder, prompts: Sequence[EncodedPrompt], answers: int, length: int
) -> Callable[[], int]:
    """Sampling by transformers' ``generate``, all answers of one length; tells how many tokens."""
    batch = encoder.collate(prompts, pad="left")
    inputs = {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask,
        "pixel_values_videos": batch.pixel_values_videos,
        "video_grid_thw": batch.video_grid_thw,
        "second_per_grid_ts": torch.tensor([2 / prompt.clip.fps for prompt in prompts]),
        "mm_token_type_ids": 2 * (batch.input_ids == encoder.processor.video_token_id).int(),
    }
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}

    def run() -> int:
        torch.manual_seed(0)
        out = model.generate(
            **inputs,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=answers,
            max_new_tokens=length,
            min_new_tokens=length,
            eos_token_id=None,
            pad_token_id=encoder.pad_token_id,
        )
        return int(out.shape[0] * (out.shape[1] - batch.input_ids.shape[1]))

    return run


def _medians(sides: list[Callable[[], int]], runs: int) -> list[float]:
    """Median CPU milliseconds of each side, which must sample as many tokens; the first run warms up."""
    taken: list[list[float]] = [[] for _ in sides]
    for run in range(runs + 1):
        for side, times in zip(sides, taken, strict=True):
            start = time.process_time()
            count = side()
            if count != PROMPTS * ANSWERS * LENGTH:
                raise RuntimeError(f"{count} tokens were sampled")
            if run:
                times.append(1000 * (time.process_time() - start))
    return [statistics.median(times) for times in taken]


if __name__ == "__main__":
    main(sys.argv[1:])
