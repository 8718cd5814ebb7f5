"""Judge stored rollouts or a file of pairs again, with any judge or rubric; nothing is trained or changed."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.judge_option import judge_option
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.rewards.judges import Judge
    from medgrpo.types import Judgement

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--rollouts",
        type=Path,
        help="folder that holds rollouts/; judgements go beside it, into rejudgements/",
    )
    given.add_argument(
        "--pairs",
        type=Path,
        help='JSON list of {"reference", "candidate"} and, if known, "question", "task" and "dataset"',
    )
    parser.add_argument(
        "--judge",
        default="lexicon",
        help="lexicon, or a YAML file with class_path and init_args, as in configs/judge; default: lexicon",
    )
    parser.add_argument("--run", help="only the rollouts of this run; default: all runs")
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=["video_summary", "region_caption"],
        help="tasks whose rollouts are judged; default: video_summary region_caption",
    )
    parser.add_argument("--out", type=Path, help="JSON file for the judgements (with --pairs)")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Judge, write, count; the exit status is 1 if no judgement could be had."""
    if (args.pairs is None) != (args.out is None) or (args.pairs is not None and args.run is not None):
        raise UserError("--pairs needs --out and takes no --run; --rollouts needs no --out")
    judge = judge_option(args.judge)
    if args.pairs is not None:
        old, new = [math.nan], _pairs(args, judge)
        old *= len(new)
    else:
        old, new = _rollouts(args, judge)
    counts = Counter(judgement.status for judgement in new)
    failed = sum(count for status, count in counts.items() if status not in ("ok", "gated"))
    known = [(a, b.mean) for a, b in zip(old, new, strict=True) if math.isfinite(a) and math.isfinite(b.mean)]
    content = {
        "judge": judge.id,
        "rubric": judge.rubric.name,
        "judged": len(new),
        "failed": failed,
        "statuses": dict(counts),
        "mean": _mean([j.mean for j in new if math.isfinite(j.mean)]),
        "compared": len(known),
        "stored_mean": _mean([a for a, _ in known]),
        "mean_where_compared": _mean([b for _, b in known]),
        "cost": math.fsum(j.cost for j in new if not j.cached),
    }
    if args.json:
        print(json.dumps(content))
    else:
        for name, value in content.items():
            print(f"{name:<20} {value if not isinstance(value, float) else f'{value:.4g}'}")
    return 1 if failed == len(new) else 0


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _request(row: Mapping[str, Any], reference: str, candidate: str) -> Any:
    from medgrpo.rewards.judges import JudgeRequest

    return JudgeRequest(
        *(str(row.get("question") or ""), row[reference], row[candidate]),
        dataset=str(row.get("dataset") or ""),
        task=str(row.get("task") or ""),
    )


def _pairs(args: argparse.Namespace, judge: Judge) -> list[Judgement]:
    """The judgements of a pairs file, which are written in its order."""
    from medgrpo.rollout.schema import judge_row
    from medgrpo.services.files import read_json, write_whole

    rows = read_json(args.pairs, "a list of pairs")
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{args.pairs}: expected a list of pairs that is not empty")
    for number, row in enumerate(rows):
        for field in ("reference", "candidate"):
            if not isinstance(row, dict) or not isinstance(row.get(field), str):
                raise UserError(f"{args.pairs}: row {number}: {field} must be a text")
    judgements = judge.judge([_request(row, "reference", "candidate") for row in rows])
    content = [{**row, "judge": judge_row(j)} for row, j in zip(rows, judgements, strict=True)]
    write_whole(args.out, json.dumps(content, indent=1) + "\n")
    return judgements


def _rollouts(args: argparse.Namespace, judge: Judge) -> tuple[list[float], list[Judgement]]:
    """Means of the stored judgements, NaN where there are none, and the new judgements."""
    from tqdm import tqdm

    from medgrpo.rollout.rejudgements import write_rejudgements
    from medgrpo.rollout.schema import rollout_from_row
    from medgrpo.rollout.store import list_shards, read_rollouts

    steps = {(shard.run, shard.step) for shard in list_shards(args.rollouts, args.run)}
    old: list[float] = []
    new: list[Judgement] = []
    for run_id, step in tqdm(sorted(steps), desc=f"judge by {judge.id}", unit="step", leave=False):
        stored = read_rollouts(args.rollouts, run_id, step).to_pylist()
        rows = [row for row in stored if row["task"] in args.tasks and row["reference_text"]]
        if not rows:
            continue
        judgements = judge.judge([_request(row, "reference_text", "completion_text") for row in rows])
        write_rejudgements(args.rollouts, judge.id, judge.rubric.name, rows, judgements)
        earlier = [rollout_from_row(row).reward.judgement for row in rows]
        old += [math.nan if one is None else one.mean for one in earlier]
        new += judgements
    if not new:
        raise UserError(
            f"{args.rollouts}: no rollouts of {', '.join(args.tasks)}"
            + (f" in run {args.run}" if args.run else "")
        )
    return old, new
