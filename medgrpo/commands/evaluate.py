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
from medgrpo.commands.model_option import api_model, is_api_model
from medgrpo.errors import UserError
from medgrpo.types import PairKey, Sample

if TYPE_CHECKING:
    from medgrpo.data.lazy_records import Records
    from medgrpo.evaluation import Scores
    from medgrpo.evaluation.inputs import ScoringInput
    from medgrpo.rollout import RolloutEngine

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
    given.add_argument(
        "--model",
        type=Path,
        help="what answers first: a Hugging Face directory, or a YAML file of a model behind a server such "
        "as configs/baseline/gpt-4.1.yaml",
    )
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="CONFIG",
        help="config whose rollout engine lets the directory answer, as configs/rollout/vllm.yaml behind "
        "configs/grpo.yaml; may be given several times",
    )
    parser.add_argument(
        "--format-example",
        action="store_true",
        help="end each question with an example of the form of its answer, for a directory that was not "
        "trained on the benchmark",
    )
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
    if args.model is None and (args.engine or args.format_example):
        raise UserError("--engine and --format-example need --model, which makes the predictions")
    if args.model is not None and is_api_model(args.model):
        told = args.samples > 1 or args.temperature != 0.0 or args.max_new_tokens or args.engine
        if told or args.format_example:
            raise UserError(
                f"{args.model}: temperature, length and form of answers stand in this file, one answer a "
                "row; leave out --samples, --temperature, --max-new-tokens, --engine and --format-example"
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
    if args.format_example:
        from medgrpo.evaluation.format_examples import with_example

        asked = [replace(sample, question=with_example(sample)) for sample in asked]
    problems: dict[int, str] = {}
    tolerated = problems if args.on_error == "quarantine" else None
    if is_api_model(args.model):
        answerer = api_model(args.model)
        groups = answerer.complete(asked, progress=f"ask {answerer.name}", problems=tolerated)
        if answerer.cost and not args.json:
            print(f"{answerer.name}: the answers cost {answerer.cost:.2f}, whenever they were paid for")
    else:
        groups = complete(
            args.model,
            asked,
            temperature=args.temperature,
            n=args.samples,
            seed=args.seed,
            batch_size=args.batch_size,
            engine=_engine(args.engine),
            max_new_tokens=args.max_new_tokens,
            progress=f"answer {args.records.name}",
            problems=tolerated,
        )
    if len(problems) == len(samples) > 0:
        what = "an answer" if is_api_model(args.model) else "frames that can be read"
        raise UserError(f"{args.records}: no row has {what}; the first: {problems[0]}")
    pairs = [
        (sample, prediction_entry(sample, completion))
        for sample, completions in zip(samples, groups, strict=True)
        for completion in completions
    ]
    if args.save_predictions:
        write_predictions(args.save_predictions, (entry for _, entry in pairs))
    return ScoringInput(
        [sample for sample, _ in pairs],
        [entry for _, entry in pairs],
        unread_rows(samples, problems, "answer" if is_api_model(args.model) else "video"),
    )


def _engine(configs: Sequence[str]) -> RolloutEngine | None:
    from medgrpo.commands.grpo_config import GRPOConfig

    return GRPOConfig(configs).engine() if configs else None


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
