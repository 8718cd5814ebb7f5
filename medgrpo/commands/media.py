"""Make the review clips of stored rollouts or records: films that the dashboard plays.

The dashboard makes a film when its clip is first opened; this makes them ahead. Each is an H.264 MP4 whose
frames are held for as long as they were, beside a JSON file with their times. A frame that cannot be read is
counted and shown as a card that says so. Exit status: 0 if there is a film of every clip, 1 if not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.types import Clip

__all__ = ["add_arguments", "record_clips", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sources",
        type=Path,
        nargs="+",
        metavar="RUNS_OR_RECORDS",
        help="folders that training wrote to, and records files",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the films (default: media/ in the dashboard's folder beside the first runs, their "
        "name with -review)",
    )
    parser.add_argument(
        "--base",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where relative frame paths in rollouts start (default: this folder, as for the dashboard)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes that decode and encode (default %(default)s)",
    )
    add_media_options(parser)
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Make the films."""
    from medgrpo.data.review_clips import clear_abandoned
    from medgrpo.data.review_filling import make_review_clips

    if args.workers < 1:
        raise UserError(f"--workers must be at least 1, got {args.workers}")
    folder = _folder(args)
    clear_abandoned(folder)
    unread: list[str] = []
    clips: list[Clip] = []
    for source in args.sources:
        if source.is_dir():
            clips += _of_runs(source, args.base, unread)
        else:
            clips += record_clips(source, **media_options(args))
    made = make_review_clips(clips, folder, args.workers)
    counts = {
        "clips": made.clips,
        "made": made.made,
        "incomplete": made.incomplete,
        "missing_frames": made.missing_frames,
        "failed": len(made.problems),
        "unread_shards": len(unread),
        "bytes": made.bytes,
    }
    if args.json:
        print(json.dumps(counts | {"problems": [*unread, *made.problems]}, indent=1))
    else:
        for problem in [*unread, *made.problems][:20]:
            print(f"no film: {problem}")
        print(
            f"{folder}: {made.clips} clips, {made.made} films made now, {made.incomplete} with "
            f"{made.missing_frames} frames missing, {len(made.problems)} clips without a film, "
            f"{len(unread)} shards not readable; {made.bytes / 1e6:.1f} MB"
        )
    return 1 if made.problems or unread else 0


def _folder(args: argparse.Namespace) -> Path:
    """Where to, as the dashboard has it."""
    if args.out is not None:
        return Path(args.out).resolve()
    runs = next((source.resolve() for source in args.sources if source.is_dir()), None)
    if runs is None:
        raise UserError("--out is needed where no folder of runs is given: media/ in the dashboard's folder")
    folder: Path = runs.with_name(f"{runs.name}-review") / "media"
    try:
        for made in (folder.parent, folder):  # for its owner alone: films show patients
            made.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}); name another one with --out"
        ) from error
    return folder


def _of_runs(runs: Path, base: Path, unread: list[str]) -> Iterator[Clip]:
    """The distinct clips of all rollout stores below a folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from medgrpo.data.review_clips import rooted
    from medgrpo.rollout.schema import CLIP_COLUMNS, clip_from_row
    from medgrpo.rollout.shards import find_shards, read_footer

    # Stores lie where the dashboard looks for them.
    stores = [path.parent for depth in ("", "*/", "*/*/") for path in sorted(runs.glob(f"{depth}rollouts"))]
    shards = [shard for store in stores for shard in find_shards(store)]
    if not shards:
        raise UserError(f"{runs}: no rollouts in it; name a folder that training wrote to")
    seen: set[bytes] = set()  # not the clips themselves: rounds ask about the same ones again and again
    for path in shards:
        try:
            read_footer(path)
            table = pq.ParquetFile(path).read(columns=list(CLIP_COLUMNS))
        except UserError as error:
            unread.append(str(error))
            continue
        except (OSError, pa.ArrowException) as error:
            unread.append(f"{path}: cannot be read ({str(error).splitlines()[0]})")
            continue
        for row in table.to_pylist():
            digest = hashlib.sha256(repr(row).encode()).digest()
            if digest not in seen:
                seen.add(digest)
                yield rooted(clip_from_row(row), base.resolve())


def record_clips(path: Path, **media: Any) -> Iterator[Clip]:
    """The distinct clips of a records file.

    Args:
        path: The file.
        **media: Where its frames are, see :func:`medgrpo.data.lazy_records.open_records`.

    Raises:
        UserError: If the file cannot be read.
    """
    from medgrpo.data.lazy_records import clips_of, open_records
    from medgrpo.data.review_clips import rooted

    records = open_records(path, **media)
    first = {clip: row for row, clip in reversed(list(enumerate(clips_of(records))))}
    for row in sorted(first.values()):
        yield rooted(records[row].clip, Path.cwd())
