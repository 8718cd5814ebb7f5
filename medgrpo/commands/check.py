"""Check a records file: every defect of every row, duplicates and, if asked, the frames.

Exit status 0 if the file has no defect, 1 if it has. Duplicates are told, not counted as defects: the public
test split holds some. Rows are counted from 0, lines from 1.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.data.validation import Findings

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("records", type=Path, metavar="RECORDS", help="JSON array or JSON Lines")
    parser.add_argument(
        "--show", type=int, default=50, metavar="N", help="print at most N defects (default %(default)s)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all defects and counts as JSON")
    parser.add_argument(
        "--quarantine",
        type=Path,
        metavar="FILE",
        help="write the bad rows with _row and _defects; lines of a JSONL file that are no JSON go there too",
    )
    parser.add_argument("--clean", type=Path, metavar="FILE", help="write the rows without a defect")
    parser.add_argument(
        "--frames", action="store_true", help="also decode every frame, and compare sizes and boxes"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=min(16, os.cpu_count() or 1),
        help="threads that decode frames (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")
    add_media_options(parser)


def run(args: argparse.Namespace) -> int:
    """Check, write what is asked for, print."""
    from medgrpo.data.frame_checks import FrameChecks
    from medgrpo.data.media import MediaPaths
    from medgrpo.data.records import write_records
    from medgrpo.data.validation import bad_rows, check_records, good_rows

    _check_options(args)
    options = media_options(args)
    media = MediaPaths.beside(args.records, options["media_root"], options["media_prefixes"])
    findings = check_records(
        args.records,
        frames=FrameChecks(media, args.workers) if args.frames else None,
        skip_broken_lines=args.quarantine is not None,
    )
    if args.report is not None:
        _write_report(findings, args.report)
    if args.quarantine is not None:
        write_records(bad_rows(findings), args.quarantine)
    if args.clean is not None:
        write_records(good_rows(findings), args.clean)
    if args.json:
        print(json.dumps(findings.summary(), indent=1))
    else:
        _print(findings, args.show)
        for path in (args.report, args.quarantine, args.clean):
            if path is not None:
                print(f"wrote {path}")
    return 1 if findings.defects else 0


def _check_options(args: argparse.Namespace) -> None:
    if args.show < 0 or args.workers < 1:
        raise UserError("--show must not be negative and --workers must be at least 1")
    named = [path for path in (args.records, args.report, args.quarantine, args.clean) if path is not None]
    if len({path.resolve() for path in named}) < len(named):
        raise UserError("the records and the files to write must all be different files")


def _write_report(findings: Findings, path: Path) -> None:
    content = findings.summary() | {
        "list": [asdict(defect) for defect in findings.defects],
        "identical": findings.identical,
        "conflicting": findings.conflicting,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def _print(findings: Findings, show: int) -> None:
    """The result for people."""
    summary = findings.summary()
    for defect in findings.defects[:show]:
        print(_printable(str(defect)))
    if len(findings.defects) > show:
        print(f"... and {len(findings.defects) - show} more defects; --report FILE writes all of them")
    for words, groups in (
        ("identical", findings.identical),
        ("one id, task and question, but different contents", findings.conflicting),
    ):
        for rows in groups[:show]:
            print(f"rows {_listed(rows)}: {words}")
        if len(groups) > show:
            print(f"... and {len(groups) - show} more such groups")
    if summary["by_field"]:
        print("defects by field:")
        for name, count in summary["by_field"].items():
            print(_printable(f"  {name:<40} {count:>8}"))
    for title in ("dataset", "task"):
        print(f"{title:<30} {'rows':>8} {'bad rows':>8} {'defects':>8}")
        for name, counts in summary[f"by_{title}"].items():
            numbers = "".join(f" {counts[column]:>8}" for column in ("rows", "bad_rows", "defects"))
            print(_printable(f"  {name:<28}{numbers}"))
    if findings.frames is not None:
        print(f"{findings.frames} distinct frames and videos, {findings.broken_frames} of them broken")
    print(
        f"{findings.path}: {summary['rows']} rows, {summary['bad_rows']} with defects, "
        f"{summary['unanswered']} without a reference answer, "
        f"{summary['duplicates']['identical']['rows']} identical and "
        f"{summary['duplicates']['conflicting']['rows']} conflicting duplicates"
    )


def _listed(rows: Sequence[int]) -> str:
    first = ", ".join(map(str, rows[:8]))
    return first if len(rows) <= 8 else f"{first}, ... ({len(rows)} rows)"


def _printable(text: str) -> str:
    """One line that any terminal can show, whatever the file holds."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").splitlines())
