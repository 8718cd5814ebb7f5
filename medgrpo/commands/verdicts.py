"""Write the clinicians' verdicts of a dashboard as a file: CSV, JSON lines or Parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "store", type=Path, help="the dashboard's folder (<runs>-review), or the verdicts.sqlite in it"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="file to write; its ending says how: .csv, .jsonl or .parquet"
    )


def run(args: argparse.Namespace) -> int:
    """Read what counts now, write it whole, count it."""
    from medgrpo.evaluation.verdict_files import verdict_bytes
    from medgrpo.evaluation.verdict_store import stored_verdicts, verdict_file
    from medgrpo.services.files import write_whole

    verdicts = stored_verdicts(verdict_file(args.store))
    write_whole(args.out, verdict_bytes(verdicts, args.out.suffix))
    reviewers = len({verdict.reviewer for verdict in verdicts})
    print(f"wrote {args.out}: {len(verdicts)} verdicts of {reviewers} reviewers")
    return 0
