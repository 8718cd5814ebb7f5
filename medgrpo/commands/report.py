"""Write score files as one document with tables and plots: HTML or Markdown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from medgrpo.commands.score_files import add_score_files, named_scores

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_score_files(parser)
    parser.add_argument("--out", type=Path, required=True, help="document to write, .html or .md")
    parser.add_argument("--json", action="store_true", help="print the files written as JSON")


def run(args: argparse.Namespace) -> int:
    """Read, write, say where."""
    from medgrpo.evaluation.report import write_report

    written = [str(path) for path in write_report(args.out, named_scores(args.scores))]
    print(json.dumps({"wrote": written}) if args.json else f"wrote {', '.join(written)}")
    return 0
