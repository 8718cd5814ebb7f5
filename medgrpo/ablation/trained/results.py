"""What the trained arms came to: every number by seed, changes and differences paired by seed."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.ablation.intervals import mean_interval
from medgrpo.ablation.trained.plan import TrainedPlan
from medgrpo.ablation.trained.stages import arm_folder, seed_folder
from medgrpo.errors import UserError
from medgrpo.evaluation.scores import read_scores
from medgrpo.rewards.statistics import Statistics

__all__ = ["BOARD", "trained_results"]

BOARD = (
    *("CVS_acc", "NAP_acc", "SA_acc", "STG_mIoU", "TAG_mIoU@0.3", "TAG_mIoU@0.5"),
    *("DVC_F1", "VS_llm", "RC_llm"),
)
"""Columns of the strict board that are compared; the lexicon judge stands for the leaderboard's."""

Numbers = dict[str, float]
Measured = dict[str, Numbers]
"""Kind of measurement to name to value, of one set of answers and one seed."""


def trained_results(plan: TrainedPlan, root: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Read what the stages left and compare.

    Args:
        plan: That was run.
        root: Folder of the ablations.
        seeds: In order.

    Returns:
        Ready for JSON. ``sets``: by name (``blind``, ``SFT``, each arm), by kind of measurement (``board``,
        ``score`` and ``valid`` by dataset/task of greedy answers, ``sampled`` raw rewards by dataset/task),
        by name. ``change``: of each arm against the SFT checkpoint of its seed. ``difference``: of each other
        arm against the reference. ``training``: of each arm ``gradient_share`` by dataset, ``entropy`` and
        ``start_kl`` of the first and the last round. Every number is a
        :func:`~medgrpo.ablation.intervals.mean_interval` over seeds.

    Raises:
        UserError: If a file is missing or broken.
    """
    names = {"blind": "blind", "SFT": "sft"} | {arm: arm_folder(arm) for arm in plan.arms}
    measured = {
        name: [_measured(seed_folder(root, seed), of, sampled=name != "blind") for seed in seeds]
        for name, of in names.items()
    }
    change = {arm: _less(measured[arm], measured["SFT"]) for arm in plan.arms}
    against = measured[plan.reference]
    difference = {arm: _less(measured[arm], against) for arm in plan.arms if arm != plan.reference}
    training = {
        arm: [_training(seed_folder(root, seed) / arm_folder(arm)) for seed in seeds] for arm in plan.arms
    }
    return {
        "seeds": list(seeds),
        "plan": vars(plan) | {"arms": {arm: list(files) for arm, files in plan.arms.items()}},
        "reference": plan.reference,
        **{
            title: {name: _intervals(seedwise) for name, seedwise in table.items()}
            for title, table in (
                ("sets", measured),
                ("change", change),
                ("difference", difference),
                ("training", training),
            )
        },
    }


def _measured(folder: Path, of: str, *, sampled: bool) -> Measured:
    scores = read_scores(folder / "evaluation" / f"{of}.json")
    found: Measured = {
        "board": {column: _number(scores.board.get(column)) for column in BOARD},
        "score": {},
        "valid": {},
    }
    for dataset, tasks in scores.by_dataset.items():
        for task, table in tasks.items():
            for kind in ("score", "valid"):
                found[kind][f"{dataset}/{task}"] = _number(table.get(kind))
    if sampled:
        statistics = Statistics.load(folder / "evaluation" / f"{of}_sampled.json")
        found["sampled"] = {
            f"{dataset}/{task} {metric.partition(':')[0].partition('@')[0]}": entry.mean
            for (dataset, task), metrics in sorted(statistics.entries.items())
            for metric, entry in sorted(metrics.items())
        }
    return found


def _training(run: Path) -> Measured:
    """Of a run: shares of the gradient, and entropy and distance from the start at both ends."""
    rounds = _rounds(run)
    prefix = "train/grad_share/"
    measured = [
        {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
        for row in rounds
    ]
    measured = [row for row in measured if row]
    # A dataset without a prompt in a measured step has no part in it: the means, too, add up to 1.
    datasets = sorted({name for row in measured for name in row})
    shares = {name: math.fsum(row.get(name, 0.0) for row in measured) / len(measured) for name in datasets}

    def ends(name: str) -> Numbers:
        values = [row[name] for row in rounds if name in row]
        return {"first": values[0], "last": values[-1]} if values else {}

    return {
        "gradient_share": shares,
        "entropy": ends("train/entropy"),
        "start_kl": ends("train/start_kl"),
    }


def _rounds(run: Path) -> list[Numbers]:
    """The numbers of each round.

    Every attempt has a file. One that went on from a checkpoint replaces the rounds that it repeats; one that
    began with the first round again, as after a change of settings, replaces all.
    """
    rounds: dict[int, Numbers] = {}
    files = sorted(run.glob("csv/version_*/metrics.csv"), key=lambda path: int(path.parent.name[8:]))
    if not files:
        raise UserError(f"{run}: no csv/version_0/metrics.csv in it")
    for path in files:
        own: dict[int, Numbers] = {}
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                numbers = {name: float(value) for name, value in row.items() if value}
                if "epoch" in numbers:  # learning rates have lines of their own
                    own.setdefault(int(numbers["epoch"]), {}).update(numbers)
        rounds = own if 0 in own else rounds | own
    return [rounds[number] for number in sorted(rounds)]


def _less(after: Sequence[Measured], before: Sequence[Measured]) -> list[Measured]:
    """Differences by seed of all that both have."""
    return [
        {
            kind: {name: value - b[kind][name] for name, value in numbers.items() if name in b[kind]}
            for kind, numbers in a.items()
            if kind in b
        }
        for a, b in zip(after, before, strict=True)
    ]


def _intervals(seedwise: Sequence[Measured]) -> dict[str, Any]:
    return {
        kind: {
            name: mean_interval([one[kind].get(name, math.nan) for one in seedwise])
            for name in sorted({name for one in seedwise for name in one[kind]})
        }
        for kind in seedwise[0]
    }


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
