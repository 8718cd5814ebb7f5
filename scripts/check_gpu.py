"""Train the tiny model on the GPUs here: two steps under every strategy that fits them, then GRPO twice.

    python scripts/check_gpu.py                 all overlays of configs/trainer/ that fit
    python scripts/check_gpu.py cpu ddp         those named

GRPO is run twice on the grounding tasks, behind SFT and its statistics; both runs must sample the same
answers, give them the same rewards and log the same losses. One line each. Exit status 1 if one fails, whose
last lines are shown.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from medgrpo.rollout.store import read_rollouts

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {
    "cpu": 0,
    "gpu": 1,
    "ddp": 1,
    "ddp2": 2,
    "fsdp2": 2,
    "deepspeed_zero2": 2,
    "deepspeed_zero3": 2,
}
"""Overlay -> GPUs without which it shows nothing; several machines are not checked."""

TASKS = ("tal", "stg")
"""Rewarded without a model beside the policy."""


def main() -> int:
    """Check, print, say whether all passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overlays", nargs="*", metavar="OVERLAY", help=", ".join(NEEDED))
    named = parser.parse_args().overlays
    here = torch.cuda.device_count()
    chosen = named or [name for name, gpus in NEEDED.items() if gpus <= here]
    print(f"{here} GPUs; left out: {', '.join(name for name in NEEDED if name not in chosen) or 'nothing'}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        _run("synthesize", f"{folder}/world", "--videos", "24", "--mp4", "0", check=True)
        for name in chosen:
            start = time.perf_counter()
            done = _run(*_fit(name, folder))
            passed = done.returncode == 0
            print(f"{'pass' if passed else 'FAIL'}  {name}  {time.perf_counter() - start:.0f} s", flush=True)
            if not passed:
                failed += 1
                print("\n".join((done.stdout + done.stderr).strip().splitlines()[-8:]), flush=True)
        start = time.perf_counter()
        told = _twice("gpu" if "gpu" in chosen else chosen[0], Path(folder))
        failed += not told.startswith("pass")
        print(f"{told}  {time.perf_counter() - start:.0f} s", flush=True)
    return 1 if failed else 0


def _twice(overlay: str, folder: Path) -> str:
    """SFT, its statistics and two runs of GRPO; what came of them."""
    model = f"{folder}/{overlay}/sft/hf"
    done = _run(
        *("baseline", "--model", model, "--records", f"{folder}/world/train.json"),
        *("--config", "configs/grpo.yaml", "--config", "configs/demo/grpo.yaml", "--tasks", *TASKS),
        *("--prompts-per-pair", "8", "--samples", "4", "--max-new-tokens", "24"),
        *("--out", f"{folder}/statistics.json"),
    )
    for run in ("first", "again"):
        done = done if done.returncode else _run(*_grpo(overlay, folder, run))
    if done.returncode:
        return "\n".join(["FAIL  GRPO", *(done.stdout + done.stderr).strip().splitlines()[-8:]])
    answers = [
        read_rollouts(folder, run).drop_columns(["run", "attempt", "wall_time"]) for run in ("first", "again")
    ]
    same = answers[0].equals(answers[1])
    same &= _logged(folder / "first") == _logged(folder / "again")
    return f"{'pass' if same else 'FAIL'}  GRPO twice on {overlay}, {len(answers[0])} answers"


def _grpo(overlay: str, folder: Path, run: str) -> list[str]:
    configs = ("grpo.yaml", "demo/grpo.yaml", "ablation/c_grounding_only.yaml", f"trainer/{overlay}.yaml")
    return [
        "fit",
        *(part for config in configs for part in ("--config", f"configs/{config}")),
        f"--paths.model={folder}/{overlay}/sft/hf",
        f"--paths.records={folder}/world/train.json",
        f"--paths.statistics={folder}/statistics.json",
        f"--paths.root={folder}",
        f"--paths.run={run}",
        "--trainer.max_epochs=2",
        "--data.init_args.prompts_per_round=8",
        "--model.init_args.max_new_tokens=24",
        "--model.init_args.replay_weight=0",
    ]


def _logged(run: Path) -> list[tuple[str, str, str]]:
    """Step, name and value of all that was logged but times."""
    return [
        (row["step"], name, value)
        for path in sorted(run.glob("csv/version_*/metrics.csv"))
        for row in csv.DictReader(path.open(encoding="utf-8"))
        for name, value in row.items()
        if value and "seconds" not in name and "per_second" not in name
    ]


def _fit(overlay: str, folder: str) -> list[str]:
    configs = ("configs/sft.yaml", "configs/demo/sft.yaml", f"configs/trainer/{overlay}.yaml")
    return [
        "fit",
        *(part for config in configs for part in ("--config", config)),
        "--paths.model=medgrpo/assets/tiny_base",
        f"--paths.records={folder}/world/train.json",
        f"--paths.root={folder}/{overlay}",
        "--trainer.max_steps=2",
        *(_pieces() if overlay == "fsdp2" else []),
    ]


def _pieces() -> list[str]:
    """FSDP2 is told the number of GPUs."""
    here = torch.cuda.device_count()
    return [f"--trainer.devices={here}", f"--trainer.strategy.init_args.data_parallel_size={here}"]


def _run(*arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medgrpo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=check)


if __name__ == "__main__":
    sys.exit(main())
