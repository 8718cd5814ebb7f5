"""Score predictions, or first let a checkpoint answer, under the official or the strict protocol."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.judge_option import judge_option
from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.errors import UserError
from medgrpo.types import PairKey, Sample

if TYPE_CHECKING:
    from medgrpo.data.lazy_records import Records
    from medgrpo.evaluation import Scores
    from medgrpo.evaluation.inputs import ScoringInput

__all__ = ["add_arguments", "run", "select_rows"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=Path, required=True, help="records with answers, JSON or JSONL")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--predictions",
        type=Path,
        help='JSON list (or JSON Lines) of {"id", "qa_type", "prediction"} in the order of the records; '
        'in any order if entries carry "key"',
    )
    given.add_argument("--model", type=Path, help="Hugging Face directory to answer with first")
    parser.add_argument(
        "--protocol", choices=("official", "strict"), default="official", help="default: official"
    )
    parser.add_argument("--out", type=Path, required=True, help="scores file to write")
    parser.add_argument(
        "--judge",
        help="judge of the caption columns: lexicon, or a YAML file with class_path and init_args such as "
        "configs/judge/gpt-4.1-official.yaml; without one they stay empty",
    )
    parser.add_argument(
        "--shuffle-videos",
        action="store_true",
        help="blind baseline: ask over clips of other videos (with --model)",
    )
    parser.add_argument("--save-predictions", type=Path, help="write what the model answered (with --model)")
    parser.add_argument(
        "--samples", type=int, default=1, help="answers a row, also in a predictions file; default: 1"
    )
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="of the answers (with --model); default: greedy"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, help="longest answer (with --model); default: each task's own limit"
    )
    parser.add_argument("--seed", type=int, default=0, help="of answers and shuffled videos; default: 0")
    parser.add_argument("--batch-size", type=int, default=64, help="answers decoded together; default: 64")
    parser.add_argument(
        "--rows-per-pair",
        type=int,
        help="use at most this many rows of each (dataset, task), always the same ones; default: all",
    )
    parser.add_argument(
        "--on-error",
        choices=("stop", "quarantine"),
        default="stop",
        help="what a defective record or prediction (with --model: a row whose frames cannot be read) does: "
        "stop, or be set aside in OUT.quarantine.jsonl and counted; default: stop",
    )
    parser.add_argument("--json", action="store_true", help="print board and counts as JSON and nothing else")
    add_media_options(parser)


def run(args: argparse.Namespace) -> int:
    """Read or make predictions, score them, write the scores and print the tables."""
    from medgrpo.evaluation import evaluate
    from medgrpo.evaluation.inputs import write_quarantine
    from medgrpo.services.encoder import SentenceEncoder

    _check(args)
    judge = judge_option(args.judge)
    given = _answered(args) if args.model is not None else _read(args)
    encoder = SentenceEncoder(progress=True)
    try:
        scores = evaluate(given.records, given.entries, args.protocol, judge, encoder=encoder)
    except UserError as error:
        raise UserError(f"{args.model or args.predictions} on {args.records}: {error}") from error
    if given.defects:
        path = args.out.with_name(f"{args.out.stem}.quarantine.jsonl")
        aside = write_quarantine(given.defects, path)
        scores = replace(scores, counts={**scores.counts, "quarantined": aside})
    scores.write(args.out)
    if args.json:
        content = {"out": str(args.out), "protocol": args.protocol, "board": scores.board}
        print(json.dumps({**content, "counts": scores.counts, "by_task": scores.by_task}))
    else:
        _print(args, scores)
    return 0


def _print(args: argparse.Namespace, scores: Scores) -> None:
    from medgrpo.evaluation.tables import board_table, detail_table

    print(board_table({args.out.stem: scores}))
    if args.protocol == "strict":
        print("\n" + detail_table(scores))
    for column, reason in scores.counts.get("lost_columns", {}).items():
        print(f"{column} is 0 because the leaderboard's scorer stops there: {reason}")
    if failed := scores.counts.get("judge_failed"):
        print(
            f"the judge gave no score for {failed} of {scores.counts['judged']} pairs of captions, left "
            "out as on the leaderboard; a column without any score is the sentence encoder's cosine, as there"
        )
    if aside := scores.counts.get("quarantined"):
        print(
            f"set aside: {aside['records']} of the records, {aside['predictions']} of the predictions, "
            f"with their reasons in {aside['file']}"
        )
    print(f"wrote {args.out}; as a document: medgrpo report {args.out} --out {args.out.with_suffix('.html')}")


def _check(args: argparse.Namespace) -> None:
    """Refuse options that would be ignored."""
    made_here = args.shuffle_videos or args.save_predictions or args.temperature != 0.0
    if args.model is None and made_here:
        raise UserError(
            "--shuffle-videos, --save-predictions and --temperature need --model, which makes the predictions"
        )
    if args.samples < 1 or args.batch_size < 1 or (args.rows_per_pair is not None and args.rows_per_pair < 1):
        raise UserError("--samples, --batch-size and --rows-per-pair must be at least 1")
    if not 0.0 <= args.temperature < math.inf:
        raise UserError(f"--temperature must be 0 or more, got {args.temperature}")


def _read(args: argparse.Namespace) -> ScoringInput:
    """Records and predictions from files."""
    from medgrpo.data.json_rows import scan_rows
    from medgrpo.data.media import MediaPaths
    from medgrpo.evaluation.inputs import load_scoring_input
    from medgrpo.evaluation.predictions import read_predictions

    quarantine = args.on_error == "quarantine"
    options = media_options(args)
    media = MediaPaths.beside(args.records, options["media_root"], options["media_prefixes"])
    rows: Iterable[Any] = scan_rows(args.records, tolerant=quarantine)
    if args.rows_per_pair is not None:
        chosen = {sample.row for sample in _samples(args)}
        rows = (row for row in rows if row.row in chosen)
    if args.samples > 1:
        rows = (row for row in rows for _ in range(args.samples))
    entries = read_predictions(args.predictions, tolerant=quarantine)
    try:
        return load_scoring_input(rows, entries, args.protocol, media, quarantine=quarantine)
    except UserError as error:
        if str(args.records) in str(error):
            raise
        raise UserError(f"{args.predictions} on {args.records}: {error}") from None


def _samples(args: argparse.Namespace) -> Records:
    """The chosen rows as lazily read samples.

    Raises:
        UserError: At the first defective record.
    """
    from medgrpo.data.lazy_records import Records, open_records

    chosen = select_rows(open_records(args.records, **media_options(args)), args.rows_per_pair)
    assert isinstance(chosen, Records)
    return chosen


def _answered(args: argparse.Namespace) -> ScoringInput:
    """Records repeated as often as they are answered, the answers, and the rows that have none."""
    from medgrpo.evaluation.inputs import ScoringInput, unread_rows
    from medgrpo.evaluation.predictions import prediction_entry, write_predictions
    from medgrpo.evaluation.runner import complete

    samples = _samples(args)
    asked: Sequence[Sample] = samples
    if args.shuffle_videos:
        from medgrpo.evaluation.blind import shuffle_videos

        asked = shuffle_videos(samples, seed=args.seed)
    problems: dict[int, str] = {}
    groups = complete(
        args.model,
        asked,
        temperature=args.temperature,
        n=args.samples,
        seed=args.seed,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
        progress=f"answer {args.records.name}",
        problems=problems if args.on_error == "quarantine" else None,
    )
    if len(problems) == len(samples) > 0:
        raise UserError(f"{args.records}: no row has frames that can be read; the first: {problems[0]}")
    pairs = [
        (sample, prediction_entry(sample, completion))
        for sample, completions in zip(samples, groups, strict=True)
        for completion in completions
    ]
    if args.save_predictions:
        write_predictions(args.save_predictions, (entry for _, entry in pairs))
    return ScoringInput(
        [sample for sample, _ in pairs], [entry for _, entry in pairs], unread_rows(samples, problems)
    )


def select_rows(samples: Sequence[Sample], per_pair: int | None) -> Sequence[Sample]:
    """At most so many samples of each (dataset, task), in file order.

    Which ones depends on their keys alone, so that every evaluation of a file takes the same ones.
    """
    from medgrpo.data.lazy_records import Records, keys_of, pairs_of

    if per_pair is None:
        return samples
    keys, pairs = keys_of(samples), pairs_of(samples)
    taken: Counter[PairKey] = Counter()
    chosen = []
    for i in sorted(range(len(samples)), key=lambda i: hashlib.sha256(keys[i].encode()).digest()):
        if taken[pairs[i]] < per_pair:
            taken[pairs[i]] += 1
            chosen.append(i)
    chosen.sort()
    return samples.select(chosen) if isinstance(samples, Records) else [samples[i] for i in chosen]
