"""Turn predictions into a file that the leaderboard accepts, aligned with the test split row by row."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--records", type=Path, required=True, help="the whole test split, as it was downloaded"
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        help="what `medgrpo evaluate --save-predictions` wrote, in any order, or a JSON list of "
        '{"id", "qa_type", "prediction"} in the order of the records',
    )
    parser.add_argument("--out", type=Path, required=True, help="file to upload")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(args: argparse.Namespace) -> int:
    """Check, align, write."""
    from medgrpo.data.records import read_records
    from medgrpo.evaluation.predictions import read_predictions
    from medgrpo.evaluation.submission import MINIMUM_ROWS, submission_of, write_submission

    samples = read_records(args.records)
    try:
        rows = submission_of(samples, read_predictions(args.predictions))
    except UserError as error:
        raise UserError(f"{args.predictions} on {args.records}: {error}") from None
    write_submission(args.out, rows)
    counts = dict(sorted(Counter(row["qa_type"] for row in rows).items()))
    empty = sum(not row["prediction"].strip() for row in rows)
    if args.json:
        print(json.dumps({"out": str(args.out), "rows": len(rows), "empty": empty, "by_qa_type": counts}))
        return 0
    print("\n".join(f"{name:26} {count:6}" for name, count in counts.items()))
    if empty:
        print(f"{empty} of {len(rows)} predictions are empty")
    if len(rows) < MINIMUM_ROWS:
        print(f"the leaderboard refuses files with fewer than {MINIMUM_ROWS} rows; this one has {len(rows)}")
    print(f"wrote {args.out}: {len(rows)} rows in the order of {args.records}")
    return 0
