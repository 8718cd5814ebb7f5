"""Split a records file by source video: no video in two splits, each dataset and task shared out."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.types import PairKey

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("records", type=Path, metavar="RECORDS", help="JSON array or JSON Lines")
    parser.add_argument(
        "--fractions",
        nargs="+",
        metavar="NAME=SHARE",
        default=["train=0.85", "val=0.15"],
        help="shares of the videos; default: train=0.85 val=0.15, the paper's",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, another split; default: 0")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="splits.json of an earlier split, whose videos stay where they are",
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        metavar="DIR",
        help="default: the folder of the records, where frame paths hold",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Assign, write one file a split and splits.json, print the counts."""
    from medgrpo.data.lazy_records import open_records
    from medgrpo.data.records import write_records
    from medgrpo.data.splits import canonical_video_id, split_rows
    from medgrpo.services.files import read_json, write_whole

    fractions = _fractions(args.fractions)
    records = open_records(args.records)
    keep = read_json(args.keep, "a splits.json") if args.keep else None
    if keep is not None and not isinstance(keep, dict):
        raise UserError(f"{args.keep}: expected an object from video to split")
    pairs = records.pairs
    names = [canonical_video_id(v, d) for v, (d, _) in zip(records.video_ids, pairs, strict=True)]
    splits, videos = split_rows(names, pairs, args.seed, fractions, keep)
    folder = args.out_dir or args.records.parent
    written = []
    for split in fractions:
        path = folder / f"{args.records.stem}.{split}{args.records.suffix}"
        write_records((records.raw(i) for i, own in enumerate(splits) if own == split), path)
        written.append(str(path))
    place = write_whole(folder / f"{args.records.stem}.splits.json", json.dumps(videos, indent=1) + "\n")
    if args.json:
        counts = {split: {"rows": splits.count(split)} for split in fractions}
        for split in counts:
            counts[split]["videos"] = sum(own == split for own in videos.values())
        print(json.dumps({"splits": counts, "wrote": [*written, str(place)]}))
        return 0
    print(_table(splits, names, pairs, fractions))
    print(f"wrote {', '.join(written)} and {place}")
    if folder.resolve() != args.records.parent.resolve():
        print(f"frame paths in them still start at {args.records.parent}: give that as the media root")
    return 0


def _fractions(texts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            raise UserError(f"--fractions: expected NAME=SHARE such as val=0.15, got {text!r}") from None
        if not name.isidentifier():
            raise UserError(f"--fractions: {name!r} cannot be part of a file name")
    return found


def _table(
    splits: Sequence[str], names: Sequence[str], pairs: Sequence[PairKey], fractions: Mapping[str, float]
) -> str:
    """Rows and videos of each split by dataset and task."""
    from medgrpo.evaluation.tables import grid

    rows = Counter(zip(pairs, splits, strict=True))
    seen = Counter((pair, split) for pair, split, _ in set(zip(pairs, splits, names, strict=True)))
    head = ["dataset", "task", *(f"{split} {what}" for split in fractions for what in ("rows", "videos"))]
    body = [
        [*pair, *(str(count[pair, split]) for split in fractions for count in (rows, seen))]
        for pair in sorted(set(pairs))
    ]
    return grid(head, body)
