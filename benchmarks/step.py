"""The whole GRPO step (generate, reward, update) on pictures, against TRL's ``GRPOTrainer`` as users run it.

TRL 1.16 trains on pictures, not on videos, so a prompt has one: ours is a clip of a single JPEG frame, TRL's
the same file in its ``image`` column. Both start from the same tiny random Qwen2.5-VL and train with AdamW in
float32, eight answers of at most 32 tokens to each of four prompts, one optimizer step a round, no KL, the
share of vowels as reward, nothing logged or saved; ours writes its rollout store all the same. Each run is a
process of one thread (``benchmarks.step_sides``); sides alternate. CPU time between the ends of steps, the
first ones left out; the medians of all runs. Prompts and answers must be as long on both sides. Results go to
``benchmarks/results/step.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.results import RESULTS, machine, results_table, save, versions
from benchmarks.tiny_scene import make_policy
from medgrpo.data.records import write_records

__all__ = ["main"]

SIDES = ("ours", "TRL")
CELLS = {64: 224, 256: 448}
"""Visual tokens of a picture, and its side in pixels."""

PROMPTS, ANSWERS, LENGTH = 4, 8, 32
WARMUP = 2
"""Steps at the start of a run that do not count."""

RATE = 1e-5
TARGET = 2.0
TOLERANCE = 0.1
"""Largest difference of the work of both sides, as a share."""

QUESTION = "Which instrument retracts the gallbladder?"


def main(argv: Sequence[str] = ()) -> None:
    """Measure, compare, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of a side (default %(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="counted steps of a run (default %(default)s)")
    args = parser.parse_args(list(argv))
    results, measured = [], {}
    for tokens, pixels in CELLS.items():
        told: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        with tempfile.TemporaryDirectory() as folder:
            _write_scene(Path(folder), tokens, pixels, WARMUP + args.steps)
            for _ in tqdm(range(args.runs), desc=f"{tokens} visual tokens", unit="run"):
                for side in SIDES:
                    told[side].append(_train(side, Path(folder)))
        found = {side: _summary(runs) for side, runs in told.items()}
        _check_same_work(found)
        cell = f"{PROMPTS} prompts with a picture of {tokens} tokens, {ANSWERS}x{LENGTH} to each"
        measured[cell] = found
        results += [
            _entry(f"{cell}: step", "CPU ms", found, "cpu_ms", TARGET),
            _entry(f"{cell}: answer token", "CPU ms", found, "cpu_ms_per_answer_token", None),
            *(
                _entry(f"{cell}: {what.replace('_', ' ')}", "tokens", found, what, None)
                for what in ("prompt_tokens", "visual_tokens", "answer_tokens")
            ),
        ]
    print(results_table(results, 2))
    report = {"runs": args.runs, "steps": args.steps, "results": results, "measured": measured}
    save("step", report | {"machine": machine(), "versions": versions("torch", "transformers", "trl")})


def _write_scene(folder: Path, tokens: int, pixels: int, steps: int) -> None:
    """Weights, a picture of noise for every prompt of a run, and the sizes."""
    processor = make_policy(folder).processor
    for part in (processor.image_processor, processor.video_processor):
        part.size = {"shortest_edge": 28**2, "longest_edge": tokens * 28**2}
    processor.save_pretrained(folder / "model")
    generator = np.random.default_rng(0)
    rows = []
    for index in range(PROMPTS * steps):
        name = f"{index:03d}.jpg"
        picture = generator.integers(0, 255, (pixels // 8, pixels // 8, 3), dtype=np.uint8)
        Image.fromarray(picture).resize((pixels, pixels)).save(folder / name, quality=90)
        rows.append(
            {
                "id": str(index),
                "qa_type": "video_summary",
                "dataset_name": "CoPESD",
                "video": [name],
                "metadata": {"fps": "1.0", "video_id": str(index)},
                "conversations": [
                    {"from": "human", "value": f"<video>\n{QUESTION}"},
                    {"from": "gpt", "value": "The grasper retracts it."},
                ],
            }
        )
    write_records(rows, folder / "records.json")
    sizes = {
        "visual_tokens": tokens,
        "prompts": PROMPTS,
        "answers": ANSWERS,
        "length": LENGTH,
        "steps": steps,
        "rate": RATE,
    }
    (folder / "sizes.json").write_text(json.dumps(sizes))


def _train(side: str, folder: Path) -> dict[str, Any]:
    """One run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.step_sides", side, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-4000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the times and means of the work over the counted steps of all runs."""
    times = [time for run in runs for time in run["cpu_ms"][WARMUP:]]
    work = [step for run in runs for step in run["work"][WARMUP:]]
    parts = [step for run in runs for step in run.get("parts_wall_ms", [])[WARMUP:]]
    tokens = sum(step["answer_tokens"] for step in work)
    found = {name: statistics.fmean(step[name] for step in work) for name in work[0]}
    found |= {
        "cpu_ms": statistics.median(times),
        "cpu_ms_of_runs": [round(statistics.median(run["cpu_ms"][WARMUP:]), 1) for run in runs],
        "cpu_ms_per_answer_token": sum(times) / tokens,
    }
    if parts:
        found["parts_wall_ms"] = {name: statistics.median(p[name] for p in parts) for name in parts[0]}
    return found


def _check_same_work(found: dict[str, dict[str, Any]]) -> None:
    """Both sides must have read and written as many tokens."""
    for what in ("answers", "prompt_tokens", "visual_tokens", "answer_tokens"):
        ours, theirs = (found[side][what] for side in SIDES)
        if abs(ours - theirs) > TOLERANCE * theirs:
            raise RuntimeError(f"the sides differ: {what} {ours:.1f} and {theirs:.1f}")


def _entry(name: str, unit: str, found: dict[str, Any], what: str, target: float | None) -> dict[str, Any]:
    ours, theirs = (found[side][what] for side in SIDES)
    return {
        "name": name,
        "ours": round(ours, 2),
        "peer": round(theirs, 2),
        "peer_name": "TRL",
        "unit": unit,
        "ratio": round(theirs / ours, 2),
        "target": None if target is None else f">= {target:g}",
        "met": None if target is None else theirs / ours >= target,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
