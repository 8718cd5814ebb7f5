"""Make a synthetic surgical world in MedVidBench format, or tiny datasets in the layouts of the real ones.

The world has frames, records with ground truth and optional MP4 files, and is trained on as it is. With
``--layouts`` come the annotated datasets from which ``build`` makes such records: drawn ones, with mistakes
in them as the real ones have.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]

WORLD_VIDEOS = 960
LAYOUT_VIDEOS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--layouts",
        nargs="*",
        metavar="NAME",
        help="draw tiny datasets as build reads them instead, one in each folder OUT/NAME; without names all",
    )
    parser.add_argument(
        "--videos",
        type=int,
        help=f"source videos, five clips each (default {WORLD_VIDEOS}); of each dataset with --layouts "
        f"(default {LAYOUT_VIDEOS})",
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
    """Write what is asked for and say what is in it."""
    if args.videos is None:
        args.videos = WORLD_VIDEOS if args.layouts is None else LAYOUT_VIDEOS
    for name, least in (("videos", 1), ("seed", 0), ("mp4", 0), ("workers", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} must be at least {least}, got {getattr(args, name)}")
    return _world(args) if args.layouts is None else _layouts(args)


def _world(args: argparse.Namespace) -> int:
    from medgrpo.data.synthetic.writer import write_world

    workers = args.workers or len(os.sched_getaffinity(0))
    world = write_world(args.out, videos=args.videos, seed=args.seed, mp4=args.mp4, workers=workers)
    rows = ", ".join(f"{split} {count}" for split, count in world["rows"].items())
    print(f"{args.out}: {world['clips']} clips, {world['frames']} frames, rows: {rows}")
    return 0


def _layouts(args: argparse.Namespace) -> int:
    """Draw datasets, into new folders alone: the layouts are those of real ones."""
    from medgrpo.data.synthetic.layouts import LAYOUTS, write_layout

    for option in ("mp4", "workers"):
        if getattr(args, option):
            raise UserError(f"--{option} goes with a world, not with --layouts")
    names = dict.fromkeys(args.layouts or LAYOUTS)
    if unknown := [name for name in names if name not in LAYOUTS]:
        raise UserError(f"--layouts {unknown[0]}: no such dataset; known are: {', '.join(LAYOUTS)}")
    if there := [args.out / name for name in names if (args.out / name).exists()]:
        raise UserError(f"{there[0]} is there already; remove it, or name another OUT")
    for name in names:
        write_layout(name, args.out / name, args.videos, args.seed)
        print(f"{args.out / name}: {args.videos} videos", flush=True)
    return 0
