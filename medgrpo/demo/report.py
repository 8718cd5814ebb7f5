"""What the demo shows at its end, and the same as numbers in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medgrpo.demo.runner import StageTime
from medgrpo.evaluation import evaluate
from medgrpo.evaluation.judging import named_judge
from medgrpo.evaluation.paired import Difference, difference_table, paired_differences
from medgrpo.evaluation.report import write_report as write_document
from medgrpo.evaluation.scores import Scores, read_scores
from medgrpo.evaluation.tables import board_by_dataset_table, board_table, comparison_table, grid
from medgrpo.rewards.statistics import Statistics

__all__ = ["SETS", "TRAINED", "write_report"]

SETS = {"SFT blind": "blind", "SFT": "sft", "GRPO": "grpo"}
"""Columns of the final table and the prediction files behind them."""

SURE = 0.05
"""p-value, corrected for all that is compared, below which a change counts as more than noise."""

TRAINED = ("tal", "stg", "video_summary", "region_caption")
"""Tasks in the RL mix, which are the paper's four."""


def write_report(root: Path, times: Sequence[StageTime]) -> str:
    """Compare the stages' strict scores, add the leaderboard's columns, and lay the results out.

    Args:
        root: Folder of a demo whose stages are done.
        times: Of the stages.

    Returns:
        The text to print; ``root/report.json`` holds the numbers, ``root/report.html`` the strict scores as
        a page.
    """
    from medgrpo.data.records import read_records

    samples = read_records(root / "world" / "test.json")
    judge = named_judge("lexicon")
    strict: dict[str, Scores] = {}
    official: dict[str, Scores] = {}
    for title, name in SETS.items():
        predictions = json.loads((root / "predictions" / f"{name}.json").read_text())
        strict[title] = read_scores(root / "evaluation" / f"{name}.json")
        official[title] = evaluate(samples, predictions, "official", judge)
    kept = paired_differences(strict["SFT"], strict["GRPO"], quantities=("score", "validity"), skip=TRAINED)
    sampled = _sampled(root)
    sections = [
        (
            "Greedy answers on the test split (strict metrics; captions: similarity; valid: exact format)",
            comparison_table(strict),
        ),
        ("The leaderboard's own columns on the same answers", board_table(official)),
        ("The same by dataset", board_by_dataset_table(official)),
        (
            "Sampled answers at temperature 1 on the test split, mean raw reward of the trained pairs",
            _sampled_table(sampled),
        ),
        (
            "Retention: tasks outside the RL mix, SFT against GRPO",
            f"{difference_table(kept)}\n{_retained(kept)}",
        ),
        ("Time of each stage", _time_table(times)),
        ("What was made", _paths(root)),
    ]
    (root / "report.json").write_text(
        json.dumps(
            {
                "strict": {name: scores.to_dict()["by_dataset"] for name, scores in strict.items()},
                "official": {
                    name: {"board": dict(scores.board), "by_dataset": scores.to_dict()["by_dataset"]}
                    for name, scores in official.items()
                },
                "sampled": sampled,
                "retention": [asdict(row) for row in kept],
                "stages": [asdict(stage) for stage in times],
            },
            indent=1,
        )
        + "\n"
    )
    write_document(root / "report.html", strict)
    return "\n".join(f"\n{title}\n\n{body}" for title, body in sections)


def _retained(kept: Sequence[Difference]) -> str:
    """What the retention check says, corrected for its many comparisons: some intervals miss 0 by chance."""
    below = sum(row.verdict == "lost" for row in kept)
    sure = sum(row.p_holm < SURE and row.after < row.before for row in kept)
    if sure:
        fell = f"{sure} of {len(kept)} quantities outside the RL mix"
        return f"{fell} fell by more than noise (p (Holm) < {SURE})."
    seen = f"; {below} of {len(kept)} single intervals lie below 0" if below else ""
    return f"Outside the RL mix nothing fell by more than noise (p (Holm) < {SURE}){seen}."


def _sampled(root: Path) -> list[dict[str, Any]]:
    """Mean raw metrics of sampled answers before and after GRPO."""
    before = Statistics.load(root / "evaluation" / "sft_sampled.json")
    after = Statistics.load(root / "evaluation" / "grpo_sampled.json")
    return [
        {
            "dataset": dataset,
            "task": task,
            "metric": metric,
            "n": entry.n,
            "sft": entry.mean,
            "grpo": after.get((dataset, task), metric).mean,
        }
        for (dataset, task), metrics in sorted(before.entries.items())
        for metric, entry in sorted(metrics.items())
    ]


def _sampled_table(rows: Sequence[dict[str, Any]]) -> str:
    body = [
        [
            row["dataset"],
            row["task"],
            row["metric"].split(":")[0].split("@")[0],
            str(row["n"]),
            f"{row['sft']:.3f}",
            f"{row['grpo']:.3f}",
            f"{row['grpo'] - row['sft']:+.3f}",
        ]
        for row in rows
    ]
    return grid(["dataset", "task", "metric", "n", "SFT", "GRPO", "change"], body)


def _time_table(times: Sequence[StageTime]) -> str:
    notes = {(True, False): "done before", (True, True): "done before, beside", (False, True): "beside"}
    body = [
        [stage.title, f"{stage.seconds:.0f}", notes.get((stage.reused, stage.beside), "")] for stage in times
    ]
    body.append(
        ["one after the other", f"{sum(stage.seconds for stage in times if not stage.beside):.0f}", ""]
    )
    return grid(["stage", "seconds", ""], body)


def _paths(root: Path) -> str:
    places = {
        "SFT model (Hugging Face directory)": "sft/hf",
        "GRPO model (Hugging Face directory)": "grpo/hf",
        "reward statistics of the SFT model": "statistics.json",
        "their distributions": "plots",
        "every rollout with all of its numbers": "rollouts",
        "training curves (TensorBoard, CSV)": "grpo",
        "predictions and scores": "evaluation",
        "these numbers": "report.json",
        "strict scores with intervals and plots": "report.html",
    }
    lines = [f"{title:40} {root / place}" for title, place in places.items()]
    return "\n".join(
        [*lines, "", "Look at the rollouts in a browser:", "", f"  .venv/bin/python -m app --runs {root}"]
    )
