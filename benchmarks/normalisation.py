"""When normalisation across datasets matters: who drives the policy gradient, by normalizer and advantage.

Reads the answers of a run's first round from its rollout store, rewards them again from their stored raw
values under each normalizer, estimates advantages with each scaling, and reports the share of the summed
squared advantage that each (dataset, task) has, which is what scales its part of the gradient. Nothing is
sampled or judged again. Results go to ``benchmarks/results/normalisation.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import save, versions
from medgrpo.ablation.shares import shares, spread
from medgrpo.evaluation.tables import grid
from medgrpo.modules.advantages import GroupAdvantage, GroupRewards
from medgrpo.rewards import (
    CompositeReward,
    IdentityNormalizer,
    JudgeReward,
    LogisticNormalizer,
    Normalizer,
    RangeNormalizer,
    RankNormalizer,
    RawScore,
    RobustAffineNormalizer,
    SimilarityReward,
    Statistics,
    TaskMetricReward,
)
from medgrpo.rollout.store import read_rollouts
from medgrpo.tasks import Parsed
from medgrpo.types import PairKey

__all__ = ["main"]

NORMALIZERS: tuple[type[Normalizer], ...] = (
    IdentityNormalizer,
    RangeNormalizer,
    RobustAffineNormalizer,
    RankNormalizer,
    LogisticNormalizer,
)
SCALES: tuple[Literal["none", "batch", "group"], ...] = ("none", "batch", "group")

Array = NDArray[np.float64]


def main(argv: Sequence[str] = ()) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.normalisation", description=__doc__)
    folder = "folder that holds rollouts/ and statistics.json (default %(default)s)"
    parser.add_argument("--root", type=Path, default=Path("runs/demo"), help=folder)
    parser.add_argument("--run", default="grpo", help="run id (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="first rounds of the run (default %(default)s)")
    args = parser.parse_args(list(argv))
    statistics = Statistics.load(str(args.root / "statistics.json"))
    steps = (read_rollouts(args.root, args.run, step).to_pylist() for step in range(args.rounds))
    groups = _groups([row for rows in steps for row in rows])
    pairs = [pair for pair, _ in groups]
    mixed = {kind.name: _rewards(groups, kind(), statistics) for kind in NORMALIZERS}
    found = {
        (name, scale): GroupAdvantage(std=scale)(GroupRewards(values, tuple(pairs))).values
        for name, values in mixed.items()
        for scale in SCALES
    }
    table = {f"{name}, {scale}": shares(values, pairs) for (name, scale), values in found.items()}
    plain = found["identity", "group"]
    others = [name for name in mixed if name != "identity"]
    differences = {name: float(np.abs(found[name, "group"] - plain).max()) for name in others}
    print(_printed(table, differences))
    result = {
        "groups": len(groups),
        "shares": {
            name: {"/".join(pair): round(share, 4) for pair, share in part.items()}
            for name, part in table.items()
        },
        "largest over smallest": {
            name: round(spread(list(part.values())), 1) for name, part in table.items()
        },
        "largest difference to identity under group std": {
            name: round(value, 4) for name, value in differences.items()
        },
        "versions": versions("numpy"),
    }
    save("normalisation", result)


def _groups(rows: Sequence[dict[str, Any]]) -> list[tuple[PairKey, list[dict[str, Any]]]]:
    by_group: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_group[row["group_id"]].append(row)
    return [((group[0]["dataset"], group[0]["task"]), group) for group in by_group.values()]


def _rewards(
    groups: Sequence[tuple[PairKey, list[dict[str, Any]]]], normalizer: Normalizer, statistics: Statistics
) -> Array:
    """Rewards of the stored answers under another normalizer, ``[P, G]``."""
    captions = {"video_summary": 0.5, "region_caption": 0.5}
    composite = CompositeReward(
        {
            "metric": TaskMetricReward({"tal": 1.0, "stg": 1.0}),
            "similarity": SimilarityReward(captions),
            "judge": JudgeReward(captions),
        },
        normalizer,
        statistics,
    )
    composite.setup()
    return np.array(
        [[composite.mix(pair, _raw(row), _PARSED).value for row in group] for pair, group in groups]
    )


_PARSED = Parsed(None, "ok")


def _raw(row: dict[str, Any]) -> dict[str, RawScore]:
    return {
        part["name"]: RawScore(part["raw"], part["status"], dict(part["factors"] or ()).get("format"))
        for part in row["components"]
    }


def _printed(table: dict[str, dict[PairKey, float]], differences: dict[str, float]) -> str:
    pairs = list(next(iter(table.values())))
    body = [
        [name, *(f"{part[pair]:.2f}" for pair in pairs), f"{spread(list(part.values())):.1f}"]
        for name, part in table.items()
    ]
    told = ", ".join(f"{name} {value:.4f}" for name, value in differences.items())
    return (
        grid(["normalizer, std", *("/".join(pair) for pair in pairs), "max/min"], body)
        + f"\nlargest difference to the advantages of identity under group std: {told}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
