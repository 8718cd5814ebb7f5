"""Fill, verify or measure a folder of sampled, resized frames.

Training reads from the folder that data.init_args.frame_cache names; entries that are not there yet are
decoded and added. Exit status of fill: 0 if every clip could be read, 1 if not; of verify: 0 if all entries
are as they were written, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from medgrpo.commands.data_config import add_config_option, data_arguments, sampling_of
from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]

GIGABYTES = 100.0
"""Bound of a cache for which a config tells none, as for training."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    filling = actions.add_parser("fill", help="decode the clips of a records file into the cache")
    filling.add_argument("records", type=Path, metavar="RECORDS", help="JSON array or JSON Lines")
    filling.add_argument("--cache", type=Path, required=True, metavar="DIR", help="folder of the cache")
    add_config_option(filling, True, "sampling, video_backend, decode_seconds and frame_cache_gb count")
    filling.add_argument("--max-gb", type=float, metavar="N", help="bound of the cache, over the config's")
    filling.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes that decode (default %(default)s)",
    )
    filling.add_argument(
        "--quarantine",
        type=Path,
        metavar="FILE",
        help="write the rows whose frames cannot be read, with _row and _defects",
    )
    add_media_options(filling)
    verifying = actions.add_parser("verify", help="compare every entry with its SHA-256")
    verifying.add_argument("--remove", action="store_true", help="remove the damaged ones")
    sizing = actions.add_parser("size", help="count entries and bytes")
    for action in (verifying, sizing):
        action.add_argument("cache", type=Path, metavar="DIR", help="folder of the cache")
    for action in (filling, verifying, sizing):
        action.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    if args.action != "fill" and not args.cache.is_dir():
        raise UserError(f"{args.cache}: no such folder")
    return {"fill": _fill, "verify": _verify, "size": _size}[args.action](args)


def _fill(args: argparse.Namespace) -> int:
    from medgrpo.data.clip_frames import DECODE_SECONDS
    from medgrpo.data.frame_filling import Filling, bad_clip_rows, fill
    from medgrpo.data.frame_store import FrameStore
    from medgrpo.data.lazy_records import open_records
    from medgrpo.data.readers import check_backend
    from medgrpo.data.records import write_records

    if args.workers < 1:
        raise UserError(f"--workers must be at least 1, got {args.workers}")
    told = data_arguments(args.config)
    gigabytes = told.get("frame_cache_gb", GIGABYTES) if args.max_gb is None else args.max_gb
    filling = Filling(
        folder=args.cache,
        sampling=sampling_of(args.config),
        max_bytes=round(float(gigabytes) * 1e9),
        video_backend=check_backend(told.get("video_backend", "pyav")),
        decode_seconds=told.get("decode_seconds", DECODE_SECONDS),
    )
    store = FrameStore(filling.folder, filling.max_bytes)
    records = open_records(args.records, **media_options(args))
    filled = fill(records, filling, args.workers)
    if args.quarantine is not None:
        write_records(bad_clip_rows(records, filled.problems), args.quarantine)
    size = store.size()
    counts = {
        "clips": filled.clips,
        "decoded": filled.decoded,
        "broken_entries": filled.broken,
        "bad_rows": len(filled.problems),
        "entries": size.entries,
        "bytes": size.bytes,
    }
    if args.json:
        print(json.dumps(counts, indent=1))
    else:
        _tell(args, filled.problems, counts)
    return 1 if filled.problems else 0


def _tell(args: argparse.Namespace, problems: dict[int, str], counts: dict[str, int]) -> None:
    for problem in list(dict.fromkeys(problems.values()))[:20]:
        print(f"not in the cache: {' '.join(problem.split())}")
    if args.quarantine is not None:
        print(f"wrote {args.quarantine}")
    print(
        f"{args.cache}: {counts['clips']} clips, {counts['decoded']} decoded now, "
        f"{counts['broken_entries']} damaged entries made again, {counts['bad_rows']} rows without frames; "
        f"{counts['entries']} entries, {counts['bytes'] / 1e9:.3f} GB"
    )


def _verify(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from medgrpo.data.frame_store import FrameStore

    store = FrameStore(args.cache)
    paths = list(store.entries())
    damaged = {}
    for path in tqdm(paths, desc="verify cache", unit="entry"):
        problem = store.verify(path)
        if problem is not None:
            damaged[path] = problem
            if args.remove:
                path.unlink(missing_ok=True)
    if args.json:
        listed = {str(path): problem for path, problem in damaged.items()}
        print(json.dumps({"entries": len(paths), "damaged": listed}, indent=1))
    else:
        for path, problem in damaged.items():
            print(f"{path}: {problem}{'; removed' if args.remove else ''}")
        print(f"{args.cache}: {len(paths)} entries, {len(damaged)} damaged")
    return 1 if damaged else 0


def _size(args: argparse.Namespace) -> int:
    from medgrpo.data.frame_store import FrameStore

    size = FrameStore(args.cache).size()
    if args.json:
        print(json.dumps({"entries": size.entries, "bytes": size.bytes}, indent=1))
    else:
        print(f"{args.cache}: {size.entries} entries, {size.bytes / 1e9:.3f} GB")
    return 0
