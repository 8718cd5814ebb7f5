"""One table of several score files with the leaderboard's ten columns, and published rows beside them."""

from __future__ import annotations

import argparse
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "scores", type=Path, nargs="+", help="files that evaluate wrote; a file's name names its row"
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="also the rows of the paper and of the leaderboard, marked as published, with their source",
    )
    parser.add_argument("--out", type=Path, help="write the table to a Markdown file too")


def run(args: argparse.Namespace) -> int:
    """Read, compare what is comparable, and print."""
    from medgrpo.evaluation.leaderboard import leaderboard
    from medgrpo.evaluation.scores import read_scores
    from medgrpo.services.files import write_whole

    names = [path.stem for path in args.scores]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two score files are called {twice[0]!r}; their names are the rows' names")
    table = leaderboard({path.stem: read_scores(path) for path in args.scores}, published=args.published)
    print(table, end="")
    if args.out is not None:
        write_whole(args.out, table)
        print(f"wrote {args.out}")
    return 0
