"""Score predictions, or first let a checkpoint answer, under the official or the strict protocol."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.errors import UserError
from medgrpo.types import PairKey, Sample

__all__ = ["add_arguments", "read_predictions", "run", "select_rows"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=Path, required=True, help="records with answers, JSON or JSONL")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--predictions",
        type=Path,
        help='JSON list of {"id", "qa_type", "prediction"} in the order of the records',
    )
    given.add_argument("--model", type=Path, help="Hugging Face directory to answer with first")
    parser.add_argument(
        "--protocol", choices=("official", "strict"), default="official", help="default: official"
    )
    parser.add_argument("--out", type=Path, required=True, help="scores file to write")
    parser.add_argument(
        "--judge", choices=("lexicon",), help="judge of the caption columns; without one they stay empty"
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
    add_media_options(parser)


def run(args: argparse.Namespace) -> int:
    """Read or make predictions, score them, write the scores and print the tables."""
    from medgrpo.evaluation import evaluate
    from medgrpo.evaluation.judging import named_judge
    from medgrpo.evaluation.tables import board_table, comparison_table

    _check(args)
    records: Sequence[Any]
    if args.model is None:
        records, predictions = _records(args), read_predictions(args.predictions)
        source = str(args.predictions)
        if args.samples > 1:
            records = [record for record in records for _ in range(args.samples)]
    else:
        records, predictions = _answered(args)
        source = str(args.model)
    judge = named_judge(args.judge) if args.judge else None
    try:
        scores = evaluate(records, predictions, args.protocol, judge)
    except UserError as error:
        raise UserError(f"{source} on {args.records}: {error}") from error
    scores.write(args.out)
    name = args.out.stem
    print(board_table({name: scores}))
    if args.protocol == "strict":
        print("\n" + comparison_table({name: scores}))
    for column, reason in scores.counts.get("lost_columns", {}).items():
        print(f"{column} is 0 because the leaderboard's scorer stops there: {reason}")
    print(f"wrote {args.out}")
    return 0


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


def _records(args: argparse.Namespace) -> Sequence[Any]:
    """The records to score: raw rows for the leaderboard's reading of them, samples for ours."""
    from medgrpo.data.records import read_rows

    if args.protocol == "official" and args.rows_per_pair is None:
        return read_rows(args.records)
    samples = _samples(args)
    return samples if args.protocol == "strict" else [samples.raw(i) for i in range(len(samples))]


def _samples(args: argparse.Namespace) -> Any:
    """The chosen rows as lazily read samples."""
    from medgrpo.data.lazy_records import open_records

    return select_rows(open_records(args.records, **media_options(args)), args.rows_per_pair)


def _answered(args: argparse.Namespace) -> tuple[Sequence[Any], list[Any]]:
    """Records repeated as often as they are answered, and the answers of the model."""
    from medgrpo.evaluation.runner import predict

    samples = _samples(args)
    answers = predict(
        args.model,
        samples,
        shuffle_videos=args.shuffle_videos,
        temperature=args.temperature,
        n=args.samples,
        seed=args.seed,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
        progress=f"answer {args.records.name}",
    )
    repeated = samples.select(i for i, texts in enumerate(answers) for _ in texts)
    texts = [text for group in answers for text in group]
    predictions = [
        {"id": sample.id, "qa_type": sample.qa_type, "prediction": text}
        for sample, text in zip(repeated, texts, strict=True)
    ]
    if args.save_predictions:
        args.save_predictions.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(predictions, indent=1, ensure_ascii=False) + "\n"
        args.save_predictions.write_text(content, encoding="utf-8")
    return repeated, predictions


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


def read_predictions(path: Path) -> list[Any]:
    """The entries of a predictions file.

    Raises:
        UserError: If the file cannot be read, is no JSON, or holds no list.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a JSON list of predictions, got {type(content).__name__}")
    return content
