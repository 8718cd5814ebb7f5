"""How far a judge can be trusted: its biases, its quarrels with similarity, agreement with clinicians."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.verdict_option import verdicts_of
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.evaluation.judge_bias import JudgedAnswer
    from medgrpo.evaluation.raters import Agreement
    from medgrpo.evaluation.verdicts import Verdict

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rollouts", type=Path, required=True, help="folder that holds rollouts/")
    parser.add_argument("--run", help="only the rollouts of this run; default: all runs")
    parser.add_argument(
        "--verdicts",
        type=Path,
        help="clinicians' verdicts: the dashboard's verdicts.sqlite, or a .csv, .jsonl or .parquet with run, "
        "step, group_id, sample_index, reviewer, and a column with scores from 1 to 5 for each dimension of "
        "the rubric; default: paths.verdicts of the configs",
    )
    parser.add_argument(
        "--config",
        "-c",
        action="append",
        default=[],
        help="YAML file that names verdicts, e.g. configs/verdicts.yaml; may be given several times",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        help="JSON file for what a clinician's score would be at each of the judge's, with --verdicts",
    )
    parser.add_argument("--show", type=int, default=5, help="quarrels to print; default: 5")
    parser.add_argument("--seed", type=int, default=0, help="of resampled videos; default: 0")
    parser.add_argument("--json", action="store_true", help="print everything as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Read, measure, print."""
    from medgrpo.evaluation.judge_bias import disagreements, judged_answers, length_bias, writers
    from medgrpo.rollout.store import read_rollouts

    args.verdicts = verdicts_of(args.verdicts, args.config)
    answers = judged_answers(read_rollouts(args.rollouts, args.run).to_pylist())
    if not answers:
        where = f" in run {args.run}" if args.run else ""
        raise UserError(f"{args.rollouts}: no judged answers{where}")
    bias, by_writer, quarrels = length_bias(answers), writers(answers), disagreements(answers)
    if args.calibration is not None and args.verdicts is None:
        raise UserError("--calibration compares with clinicians: give their --verdicts")
    verdicts = [] if args.verdicts is None else _verdicts(args, answers)
    agreement = {} if args.verdicts is None else _agreement(verdicts, answers, args.seed)
    if args.calibration is not None:
        _calibrate(args, answers, verdicts)
    if args.json:
        content = {
            "answers": len(answers),
            "length": {"/".join(pair): asdict(one) for pair, one in bias.items()},
            "writers": {task: [asdict(one) for one in parts] for task, parts in by_writer.items()},
            "quarrels": [{"gap": gap, "key": list(answer.key)} for gap, answer in quarrels],
            "agreement": {name: [asdict(one) for one in found] for name, found in agreement.items()},
        }
        print(json.dumps(_plain(content)))
        return 0
    print(_page(args, answers, bias, by_writer, quarrels, agreement))
    return 0


def _verdicts(args: argparse.Namespace, answers: Sequence[JudgedAnswer]) -> list[Verdict]:
    """Those about the judged answers, which they may be compared with."""
    from medgrpo.evaluation.clinician_scores import check_rubric
    from medgrpo.evaluation.verdicts import read_verdicts

    place = {answer.key: answer for answer in answers}
    given = read_verdicts(args.verdicts, _dimensions(answers))
    known = [v for v in given if v.key in place and v.about(place[v.key].content)]
    if not known:
        raise UserError(f"{args.verdicts}: no verdict is about a judged answer in {args.rollouts}")
    for verdict in known:
        check_rubric([verdict], place[verdict.key].rubric, str(args.verdicts))
    return known


def _dimensions(answers: Sequence[JudgedAnswer]) -> list[str]:
    return list(dict.fromkeys(name for answer in answers for name in answer.scores))


def _agreement(
    verdicts: Sequence[Verdict], answers: Sequence[JudgedAnswer], seed: int
) -> dict[str, list[Agreement]]:
    """Of the judge and all reviewers, for each dimension and the mean."""
    import numpy as np

    from medgrpo.evaluation.raters import agreement_of
    from medgrpo.evaluation.ratings import JUDGE, ratings_of

    videos = [answer.video for answer in answers]
    keys = [answer.key for answer in answers]
    found = {}
    for name in [*_dimensions(answers), "mean"]:
        judge = np.array(
            [answer.judge if name == "mean" else answer.scores.get(name, math.nan) for answer in answers]
        )
        found[name] = agreement_of({JUDGE: judge, **ratings_of(verdicts, keys, name)}, videos, seed=seed)
    return found


def _calibrate(
    args: argparse.Namespace, answers: Sequence[JudgedAnswer], verdicts: Sequence[Verdict]
) -> None:
    """Write what the judge's scores are worth in clinicians'."""
    from medgrpo.evaluation.judge_calibration import calibration
    from medgrpo.services.files import write_whole

    content = calibration(answers, verdicts, seed=args.seed)
    write_whole(args.calibration, json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def _page(
    args: argparse.Namespace,
    answers: Sequence[JudgedAnswer],
    bias: Mapping[tuple[str, str], Any],
    by_writer: Mapping[str, Any],
    quarrels: Sequence[tuple[float, JudgedAnswer]],
    agreement: Mapping[str, list[Agreement]],
) -> str:
    from medgrpo.evaluation.raters import LEAST
    from medgrpo.evaluation.tables import grid

    length = [
        ["/".join(pair), str(one.answers), _number(one.correlation), _number(one.partial)]
        for pair, one in bias.items()
    ]
    written = [
        [task, one.writer or "unknown", str(one.answers), _number(one.judge), _number(one.similarity)]
        for task, parts in by_writer.items()
        for one in parts
    ]
    shown = [
        [
            f"{gap:+.2f}",
            *(str(part) for part in answer.key),
            _number(answer.judge),
            _number(answer.similarity),
        ]
        for gap, answer in quarrels[: args.show]
    ]
    head = ["gap", "run", "step", "group", "answer", "judge", "similarity"]
    parts = [
        "Length: does a longer answer score higher (Spearman), also at equal similarity (partial)?",
        grid(["dataset/task", "answers", "spearman", "partial"], length),
        "Writers: scores by the model that wrote the reference",
        grid(["task", "writer", "answers", "judge", "similarity"], written),
        f"Quarrels: {len(quarrels)} of {len(answers)} answers are ranked far apart by judge and similarity",
        grid(head, shown) if shown else "none",
    ]
    if agreement:
        rows = [
            [name, one.name, str(one.items), _number(one.value), f"{_number(one.low)} to {_number(one.high)}"]
            for name, found in agreement.items()
            for one in found
        ]
        parts += [
            f"Agreement with clinicians; no number below {LEAST} shared answers",
            grid(["dimension", "measure", "items", "value", "95%"], rows),
        ]
    return "\n\n".join(parts)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _plain(value: Any) -> Any:
    """With null for NaN, which is no JSON."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
