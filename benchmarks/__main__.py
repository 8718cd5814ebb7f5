"""Run benchmarks, all of them or those named, and bring the tables of all results up to date."""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks import summary

BENCHMARKS = {
    "demo_seeds": "the demo over several seeds: what SFT and GRPO change, and its spread",
    "scoring": "scoring the 6,245 rows of the test split against a per-row loop",
    "judging": "2,000 judgements, over faults, again from the cache; the arithmetic of 1,000,000 rewards",
    "update": "one GRPO update against TRL's: time, live memory, growth with groups and answers",
    "step": "whole GRPO steps on pictures against TRL's GRPOTrainer",
    "generation": "sampling eight answers to each prompt against transformers' generate",
    "gpu_training": "3B and 7B on a CUDA GPU: updates against TRL's, sampling, MFU, memory (needs the GPU)",
    "video_decode": "decoding sampled frames against decord, OpenCV, torchcodec and ffmpeg",
    "build": "importing, frames and prompts of a build against a plain loop; memory, a second run",
    "records_index": "opening 531,850 rows: time and memory against json.load",
    "records_view": "the dashboard's data view over 500,000 rows: waiting and memory",
    "dashboard_index": "the dashboard over 1,000,000 answers: waiting and memory, against SQLite and JSON",
}

_NOT_HERE = 2
"""Status of a benchmark that said that this machine lacks what it measures."""


def main(argv: list[str]) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    listing = "; ".join(f"{name}: {what}" for name, what in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=listing)
    names = parser.parse_args(argv).names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; known are: {', '.join(BENCHMARKS)}")
    # Each in a process of its own: the peak memory of one must not be that of another before it.
    ends = {name: subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode for name in names}
    summary.main()
    failed = [name for name, status in ends.items() if status not in (0, _NOT_HERE)]
    if failed:
        print(f"benchmarks: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
