"""Make a synthetic surgical world in MedVidBench format: frames, records with ground truth, optional MP4."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--videos", type=int, default=960, help="source videos, five clips each (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything (default %(default)s)")
    parser.add_argument(
        "--mp4",
        type=int,
        default=0,
        metavar="M",
        help="write the first M clips of the test split as H.264 files too (default %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one for each CPU core)")


def run(args: argparse.Namespace) -> int:
    """Write the world and say what is in it."""
    from medgrpo.data.synthetic.writer import write_world

    for name, least in (("videos", 1), ("seed", 0), ("mp4", 0), ("workers", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    workers = args.workers or len(os.sched_getaffinity(0))
    world = write_world(args.out, videos=args.videos, seed=args.seed, mp4=args.mp4, workers=workers)
    rows = ", ".join(f"{split} {count}" for split, count in world["rows"].items())
    print(f"{args.out}: {world['clips']} clips, {world['frames']} frames, rows: {rows}")
    return 0
