"""Updates and sampling of random Qwen2.5-VL weights with LoRA on one CUDA GPU, against TRL and transformers.

Models are made on the device from their configuration, frozen weights in bfloat16, adapters in float32;
nothing is downloaded. One group of eight answers about a clip of noise is scored and differentiated, then
sampled (:mod:`benchmarks.gpu_group` tells the sides). Told are seconds, tokens a second, the share of the
GPU's FLOP/s by the FLOPs of ``medgrpo plan`` (MFU without recomputation, HFU with it), the peak of allocated
memory beside the planned one, and how far the log-probabilities of the sides are apart. Results go to
``benchmarks/results/gpu_training.json``, in which scenes that were not measured again stay. ``--scenes tiny``
runs the same in float32, on a CPU too, where all sides must agree.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_group import SAMPLERS, SCENES, UPDATES, Cell, GroupBench
from benchmarks.results import RESULTS, machine, results_table, save, versions
from medgrpo.planning import GPUS

__all__ = ["main"]


def main(argv: Sequence[str] = ()) -> int:
    """Measure, write and print.

    Returns:
        2 where there is no GPU to measure on, else 0.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_training", description=__doc__)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), help="default: all")
    parser.add_argument(
        "--sides",
        nargs="+",
        choices=(*UPDATES, *SAMPLERS),
        help="default: all; on a CPU all but flex, which has no gradient there",
    )
    parser.add_argument("--group", type=int, default=8, help="answers of the group (default %(default)s)")
    parser.add_argument("--rank", type=int, default=64, help="of LoRA (default %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of a side (default %(default)s)")
    parser.add_argument("--tflops", type=float, help="dense bfloat16 peak of a GPU that `plan` does not know")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu_training.json", help="default %(default)s")
    args = parser.parse_args(list(argv))
    on_gpu = torch.cuda.is_available()
    if args.scenes != ["tiny"] and not on_gpu:
        print("gpu_training: there is no CUDA GPU here; --scenes tiny runs on a CPU", file=sys.stderr)
        return 2
    torch.backends.cudnn.allow_tf32 = False  # TRL's patches go through a convolution
    device = torch.device("cuda" if on_gpu else "cpu")
    name = torch.cuda.get_device_name() if on_gpu else "CPU"
    known = [gpu.flops for key, gpu in GPUS.items() if key.upper() in name]
    peak = args.tflops * 1e12 if args.tflops is not None else known[0] if known else None
    sides = args.sides or [side for side in (*UPDATES, *SAMPLERS) if on_gpu or side != "flex"]

    measured = json.loads(args.out.read_text(encoding="utf-8"))["measured"] if args.out.is_file() else {}
    for scene in args.scenes:
        bench = GroupBench(
            SCENES[scene], device, group=args.group, rank=args.rank, runs=args.runs, peak_flops=peak
        )
        measured[scene] = {
            "device": name,
            "runs": args.runs,
            "versions": versions("torch", "transformers", "peft", "trl"),
            "sides": bench.measure(sides),
        }
        del bench
        results = [entry for name, told in measured.items() for entry in scene_results(name, told["sides"])]
        report = {"results": results, "measured": measured, "machine": machine() | {"gpu": name}}
        # Behind each scene: what is measured stays, should memory or time end.
        save("gpu_training", report | {"versions": measured[scene]["versions"]}, args.out)
    print(results_table(results, 2))
    return 0


def scene_results(scene: str, sides: dict[str, Cell]) -> list[dict[str, Any]]:
    """Entries of all pairs of sides that were measured."""
    found: list[dict[str, Any]] = []

    def compare(what: str, unit: str, number: str, ours: str, peer: str) -> None:
        if ours in sides and peer in sides:
            mine, its = sides[ours][number], sides[peer][number]
            if mine is not None and its is not None:
                ratio = mine / its if unit.endswith("/s") else its / mine
                found.append(_entry(f"{scene}: {what}", mine, its, peer, unit, ratio))

    compare("update", "s", "seconds", "packed", "TRL")
    compare("update, peak memory", "GB", "peak_gb", "packed", "TRL")
    compare("update, packed", "s", "seconds", "packed", "rows")
    compare("update, packed, peak memory", "GB", "peak_gb", "packed", "rows")
    compare("update, packed with flex", "s", "seconds", "flex", "packed")
    compare("update, packed with flex, peak memory", "GB", "peak_gb", "flex", "packed")
    compare("sampling eight answers", "answer tokens/s", "tokens_per_second", "hf", "generate")
    compare("sampling, peak memory", "GB", "peak_gb", "hf", "generate")
    for name in ("mfu", "hfu"):
        if sides.get("packed", {}).get(name) is not None:
            share = sides["packed"][name]
            found.append(_entry(f"{scene}: update, {name.upper()}", share, None, None, "share", None))
    return found


def _entry(
    name: str, ours: float, peer: float | None, peer_name: str | None, unit: str, ratio: float | None
) -> dict[str, Any]:
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "unit": unit,
        "ratio": ratio,
        "target": None,
        "met": None,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
