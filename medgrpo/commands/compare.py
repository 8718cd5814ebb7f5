"""Lay score files side by side: boards with mean ranks, tables by dataset and task, paired differences."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.score_files import add_score_files, named_scores
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.evaluation import Scores

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_score_files(parser)
    parser.add_argument("--out", type=Path, help="also write the tables as Markdown")
    parser.add_argument("--json", action="store_true", help="print ranks and differences as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of resampled videos and sign flips; default: 0")


def run(args: argparse.Namespace) -> int:
    """Read, compare, print."""
    from medgrpo.evaluation.official import rank
    from medgrpo.evaluation.paired import paired_differences
    from medgrpo.services.files import write_whole

    sets = named_scores(args.scores)
    if len(sets) < 2:
        raise UserError("compare needs at least two score files")
    protocols = {scores.protocol for scores in sets.values()}
    if len(protocols) > 1:
        raise UserError(
            "the score files follow different protocols; official and strict numbers do not compare"
        )
    ranks = rank({name: scores.board for name, scores in sets.items()})
    first, *others = sets
    differences = {}
    if protocols == {"strict"}:
        for name in others:
            try:
                differences[name] = paired_differences(sets[first], sets[name], pooled=True, seed=args.seed)
            except UserError as error:
                raise UserError(f"{first} and {name}: {error}") from None
    if args.json:
        content: dict[str, Any] = {
            "protocol": protocols.pop(),
            "boards": {name: dict(scores.board) for name, scores in sets.items()},
            "ranks": [
                {"rank": k, "name": name, "mean_rank": mean} for k, (name, mean) in enumerate(ranks, 1)
            ],
            "differences_to": first,
            "differences": {name: [asdict(row) for row in rows] for name, rows in differences.items()},
        }
        print(json.dumps(content))
    else:
        print(_page(sets, ranks, first, differences, "text"))
    if args.out:
        write_whole(args.out, _page(sets, ranks, first, differences, "markdown") + "\n")
        if not args.json:
            print(f"\nwrote {args.out}")
    return 0


def _page(
    sets: Mapping[str, Scores],
    ranks: list[tuple[str, float]],
    first: str,
    differences: Mapping[str, Any],
    style: str,
) -> str:
    from medgrpo.evaluation.paired import difference_table
    from medgrpo.evaluation.tables import board_by_dataset_table, board_table, comparison_table, rank_table

    strict = bool(differences)
    parts = [
        ("Boards", board_table(sets, style)),
        ("Order by mean rank over the ten columns, as the leaderboard ranks", rank_table(ranks, style)),
        ("By dataset", comparison_table(sets, style) if strict else board_by_dataset_table(sets, style)),
    ]
    for name, rows in differences.items():
        title = f"{name} against {first}: paired by record, intervals and tests by source video"
        parts.append((title, difference_table(rows, style)))
    mark = "## " if style == "markdown" else ""
    return "\n\n".join(f"{mark}{title}\n\n{table}" for title, table in parts)
