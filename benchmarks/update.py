"""One GRPO update (log-probabilities, loss, backward) against TRL's on the same answers to the same video.

TRL 1.16 has no video arguments, so its model is handed the clip and our positions by a wrapper, with every
answer, as TRL hands over images. Its own ``_compute_loss`` runs, with its fused head and a single batch of G
rows; before anything is timed, its log-probabilities must be ours. Ours is measured in both layouts. CPU time
of one thread, medians of interleaved runs; the peak counts the bytes of live tensors above what was there
before the forward, gradients of weights left out. Growth is fitted over G and over the number of groups.
Results go to ``benchmarks/results/update.json``, their picture to ``docs/img/update_growth.svg``.
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import machine, results_table, save, versions
from benchmarks.tiny_scene import make_answers, make_policy, make_prompt
from benchmarks.update_growth import draw_growth
from benchmarks.update_sides import TRLStep, medgrpo_step, trl_step
from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.packed_batch import AnswerBatch, pack_groups
from medgrpo.modules.policy import QwenVLPolicy

__all__ = ["main"]

CELLS = {"long": (64, 16, 32, 4.0), "short": (16, 16, 48, 2.5)}
"""Frames, tokens of a pair of frames, tokens of an answer, target ratio."""

GROUP = 8
GROUPS = (1, 2, 4, 8)
SIZES = (2, 4, 8, 16, 32)


def main(argv: Sequence[str] = ()) -> None:
    """Measure, compare, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.update", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of a cell (default %(default)s)")
    args = parser.parse_args(list(argv))
    torch.set_num_threads(1)
    results, measured = [], {}
    with tempfile.TemporaryDirectory() as folder:
        policy = make_policy(Path(folder))
        for name, (frames, tokens, length, target) in CELLS.items():
            encoder, prompt = make_prompt(policy, Path(folder), frames, tokens)
            answers = make_answers(GROUP, length)
            cell = f"{name}: {len(prompt.ids)} + {GROUP}x{length} tokens"
            steps = {
                "packed": medgrpo_step(policy, pack_groups(encoder, [prompt], [answers])),
                "rows": medgrpo_step(policy, encoder.collate([prompt] * GROUP, answers)),
                "TRL": _theirs(policy, encoder, prompt, answers),
            }
            _check_same(policy, steps["TRL"].logps(), pack_groups(encoder, [prompt], [answers]))
            found = {
                peer: {"cpu_ms": spent, "peak_mb": _peak_mb(policy, steps[peer])}
                for peer, spent in _interleaved(steps, args.runs).items()
            }
            measured[cell] = found
            results += [
                _entry(f"{cell}, time", "CPU ms", found, "cpu_ms", "TRL", target),
                _entry(f"{cell}, time against rows", "CPU ms", found, "cpu_ms", "rows", None),
                _entry(f"{cell}, live tensors", "MB", found, "peak_mb", "TRL", 3.0),
            ]
        encoder, prompt = make_prompt(policy, Path(folder), *CELLS["short"][:2])
        growth = {
            "groups": {
                m: pack_groups(encoder, [_apart(prompt) for _ in range(m)], [make_answers(GROUP, 32)] * m)
                for m in GROUPS
            },
            "answers in a group": {g: pack_groups(encoder, [prompt], [make_answers(g, 32)]) for g in SIZES},
        }
        for name, batches in growth.items():
            spent = _interleaved(
                {str(n): medgrpo_step(policy, batch) for n, batch in batches.items()}, args.runs
            )
            measured[f"over {name}"] = {n: {"cpu_ms": value} for n, value in spent.items()}
            exponent = _exponent({int(n): value for n, value in spent.items()})
            results.append(
                {
                    "name": f"cost over {name}, fitted exponent",
                    "ours": exponent,
                    "peer": None,
                    "peer_name": None,
                    "unit": "power",
                    "ratio": exponent,
                    "target": "<= 1.1",
                    "met": exponent <= 1.1,
                }
            )
    print(results_table(results, 2))
    report = {"runs": args.runs, "results": results, "measured": measured, "machine": machine()}
    draw_growth(save("update", report | {"versions": versions("torch", "transformers", "trl")}))


def _entry(
    name: str, unit: str, found: dict[str, Any], what: str, peer: str, target: float | None
) -> dict[str, Any]:
    ours, theirs = found["packed"][what], found[peer][what]
    return {
        "name": name,
        "ours": round(ours, 2),
        "peer": round(theirs, 2),
        "peer_name": peer,
        "unit": unit,
        "ratio": round(theirs / ours, 2),
        "target": None if target is None else f">= {target:g}",
        "met": None if target is None else theirs / ours >= target,
    }


def _apart(prompt: EncodedPrompt) -> EncodedPrompt:
    """The same prompt about a clip of its own, which is encoded for it alone."""
    return replace(prompt, clip=replace(prompt.clip))


def _check_same(policy: QwenVLPolicy, theirs: torch.Tensor, batch: AnswerBatch) -> None:
    """Both sides must compute the same."""
    with torch.no_grad():
        torch.testing.assert_close(policy.logps(batch), theirs, atol=1e-5, rtol=0)


def _theirs(
    policy: QwenVLPolicy, encoder: Encoder, prompt: EncodedPrompt, answers: list[list[int]]
) -> TRLStep:
    """TRL's side, on weights of its own."""
    from transformers import AutoModelForImageTextToText

    # As transformers loads it, without what ours changes of it.
    model = AutoModelForImageTextToText.from_pretrained(policy.path, local_files_only=True).train()
    return trl_step(model, encoder, prompt, answers)


def _interleaved(steps: dict[str, Callable[[], None]], runs: int) -> dict[str, float]:
    """Median CPU milliseconds of each; the first run of each warms up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for run in range(runs + 1):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if run:
                taken[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def _peak_mb(policy: QwenVLPolicy, step: Callable[[], None]) -> float:
    """Most bytes of tensors alive at once in a step, above those alive before it, in MB.

    Gradients of the weights are there already, so that they do not count.
    """
    step()
    gc.collect()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    alive = peak = 0
    events = sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    for event in events:
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak / 1e6


def _exponent(times: dict[int, float]) -> float:
    """Slope of a line through (log n, log time)."""
    x, y = np.log(list(times)), np.log(list(times.values()))
    slope = float(np.polyfit(x, y, 1)[0])
    return round(slope, 3) if math.isfinite(slope) else slope


if __name__ == "__main__":
    main(sys.argv[1:])
