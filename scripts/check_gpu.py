"""Train two steps of the tiny model under every strategy that the GPUs here suffice for; one line each.

    python scripts/check_gpu.py                 all overlays of configs/trainer/ that fit
    python scripts/check_gpu.py cpu ddp         those named

Exit status 1 if one fails, whose last lines are shown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

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
    return 1 if failed else 0


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
