"""The ``baseline`` command on answers that a run has stored, with clinicians' verdicts where given."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.evaluation.stored_metrics import StoredMetrics
    from medgrpo.rewards.statistics import Provenance

__all__ = ["add_rollout_options", "scorers", "stored_baseline"]


def add_rollout_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that go with ``--rollouts``."""
    parser.add_argument("--run", help="with --rollouts: only this run; default: all runs")
    parser.add_argument(
        "--steps",
        nargs=2,
        type=int,
        metavar=("FIRST", "LAST"),
        help="with --rollouts: only these rounds; the first ones are the nearest to the SFT checkpoint",
    )
    parser.add_argument(
        "--verdicts",
        type=Path,
        help="with --rollouts: clinicians' verdicts (.sqlite, .csv, .jsonl, .parquet): where there are any, "
        "their median replaces the judge's score, 1 if rejected or unsafe; an answer with a wrong reference "
        "or that cannot be judged is left out; default: paths.verdicts of the configs",
    )


def stored_baseline(args: argparse.Namespace, reward: Any) -> tuple[StoredMetrics, Provenance]:
    """What statistics of stored answers are made of.

    Args:
        args: With the options of :func:`add_rollout_options`, ``rollouts`` and ``tasks``.
        reward: What scored them.

    Raises:
        UserError: If there are no such answers, or the verdicts are about none of them.
    """
    from medgrpo.evaluation.stored_metrics import stored_metrics
    from medgrpo.evaluation.verdict_files import verdicts_hash
    from medgrpo.evaluation.verdicts import read_verdicts
    from medgrpo.rewards.judges import load_rubric
    from medgrpo.rollout.store import read_rollouts
    from medgrpo.tasks import canonical_task

    tasks = {canonical_task(task) for task in args.tasks} if args.tasks else reward.tasks
    first, last = args.steps or (0, None)
    rows = [
        row
        for row in read_rollouts(args.rollouts, args.run).to_pylist()
        if row["task"] in tasks & reward.tasks
        and row["step"] >= first
        and (last is None or row["step"] <= last)
    ]
    if not rows:
        raise UserError(
            f"{args.rollouts}: no stored answers of the tasks {', '.join(sorted(tasks))}"
            + (f" in run {args.run}" if args.run else "")
            + (f" in rounds {first} to {last}" if args.steps else "")
        )
    made_by = scorers({part["metric"] for row in rows for part in row["components"]})
    verdicts = []
    if args.verdicts is not None:
        rubric = load_rubric(made_by.rubric) if made_by.rubric else None
        dimensions = [] if rubric is None else [dimension.name for dimension in rubric.dimensions]
        verdicts = read_verdicts(args.verdicts, dimensions)
    found = stored_metrics(rows, reward, verdicts, str(args.verdicts))
    if args.verdicts is not None and not found.replaced and not found.left_out:
        raise UserError(f"{args.verdicts}: no verdict is about a judged answer in {args.rollouts}")
    steps = [row["step"] for row in rows]
    runs, policies = (sorted({row[name] for row in rows}) for name in ("run", "policy_hash"))
    sizes = Counter((row["run"], row["step"], row["group_id"]) for row in rows)
    provenance = replace(
        made_by,
        checkpoint=policies[0] if len(policies) == 1 else f"{len(policies)} policies",
        samples_per_prompt=next(iter(sizes.values())) if len(set(sizes.values())) == 1 else None,
        rollouts=f"{', '.join(runs)}, rounds {min(steps)} to {max(steps)}",
        verdicts="" if args.verdicts is None else verdicts_hash(verdicts),
        replaced=found.replaced,
        left_out=found.left_out,
    )
    return found, provenance


def scorers(metrics: Iterable[str]) -> Provenance:
    """Encoder, judge and rubric that metric names speak of; empty where none does."""
    from medgrpo.rewards.statistics import Provenance

    names = sorted(metrics)
    encoder = next((name.split(":")[1] for name in names if name.startswith("similarity:")), "")
    judged = next((name.removeprefix("judge:") for name in names if name.startswith("judge:")), "")
    judge, _, rubric = judged.rpartition(":")
    return Provenance(encoder=encoder, judge=judge, rubric=rubric)
