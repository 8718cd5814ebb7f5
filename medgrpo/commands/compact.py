"""Merge the stored rollouts of old steps into fewer files, while training and the dashboard go on."""

from __future__ import annotations

import argparse
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("root", type=Path, help="folder that holds rollouts/")
    parser.add_argument("--run", help="only this run; default: all runs")
    parser.add_argument(
        "--keep-last",
        type=int,
        default=8,
        metavar="N",
        help="leave the last N steps of a run as they are, since they may still be written; default: 8",
    )


def run(args: argparse.Namespace) -> int:
    """Merge, and say what was done."""
    from tqdm import tqdm

    from medgrpo.rollout.compaction import compact_run

    found = sorted(path.name[4:] for path in args.root.glob("rollouts/run=*") if path.is_dir())
    runs = found if args.run is None else [args.run]
    if not runs:
        raise UserError(f"{args.root}: no runs in a folder rollouts/ there")
    status = 0
    for name in tqdm(runs, desc="compact", unit="run", leave=False, disable=len(runs) == 1):
        done = compact_run(args.root, name, args.keep_last)
        for reason in done.left.values():
            print(f"left as it is: {reason}")
            status = 1
        rest = f", {done.finished} left over by an earlier pass removed" if done.finished else ""
        print(f"run {name}: {done.shards} shards are now in {done.files} files{rest}")
    return status
