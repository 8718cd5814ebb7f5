"""The demo over several seeds: what supervised fine-tuning and GRPO change, and how much of it is noise.

Runs ``medgrpo demo seed=N`` for each seed (finished ones are not run again) and aggregates their reports into
``benchmarks/results/demo_seeds.json`` and a table. Seeds differ in the world's videos, the batches and the
rollouts; the base model is the shipped one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.results import machine, save, versions
from medgrpo.evaluation.tables import grid
from medgrpo.rewards.statistics import Statistics

__all__ = ["aggregate", "difficulty", "main", "table"]


def main(argv: Sequence[str] = ()) -> None:
    """Run the seeds and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--root", type=Path, default=Path("runs/demo_seeds"))
    parser.add_argument(
        "--jobs", type=int, default=2, help="seeds at a time, one core each (default %(default)s)"
    )
    parser.add_argument(
        "--times",
        type=Path,
        metavar="REPORT",
        help="report.json of a `make demo` that ran by itself",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the demo plan")
    args = parser.parse_args(argv)

    def run(seed: int) -> Path:
        root = args.root / f"seed{seed}"
        root.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "medgrpo",
            "demo",
            "--root",
            str(root),
            f"seed={seed}",
            f"processes={2 if args.jobs == 1 else 1}",
            *args.overrides,
        ]
        with (root / "log.txt").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
        return root / "report.json"

    with ThreadPoolExecutor(args.jobs) as pool:
        reports = [json.loads(path.read_text()) for path in pool.map(run, args.seeds)]
    result = {
        "seeds": args.seeds,
        "jobs": args.jobs,
        "machine": machine(),
        "versions": versions("torch"),
        "rows": aggregate(reports),
        "difficulty": [
            difficulty(Statistics.load(args.root / f"seed{seed}" / "statistics.json")) for seed in args.seeds
        ],
        "retention_compared": len(reports[0]["retention"]),
        "retention_lost": [
            [
                f"{r['dataset']}/{r['task']}/{r['quantity']} {r['after'] - r['before']:+.3f} "
                f"(p {r['p']:.3f}, with Holm's correction {r['p_holm']:.2f})"
                for r in report["retention"]
                if r["verdict"] == "lost"
            ]
            for report in reports
        ],
    }
    if args.times:
        result["alone"] = json.loads(args.times.read_text())["stages"]
    path = save("demo_seeds", result)
    path.with_suffix(".md").write_text(_page(result))
    print(table(result))
    print(f"and {path.with_suffix('.md')}")


def aggregate(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread over seeds of every quantity that the reports hold.

    Returns:
        Rows with ``quantity``, ``dataset``, ``task``, ``metric`` and, by column, the mean, the standard
        deviation over seeds, and the values; ``change`` is paired by seed.
    """
    rows: list[dict[str, Any]] = []
    first = reports[0]
    for dataset, tasks in first["strict"]["SFT"].items():
        for task in tasks:
            for metric in ("score", "judge"):
                if tasks[task].get(metric) is None:
                    continue

                def read(
                    report: Mapping[str, Any], name: str, keys: tuple[str, ...] = (dataset, task, metric)
                ) -> float:
                    value = report["strict"][name]
                    for key in keys:
                        value = value[key]
                    return float(value)

                rows.append(
                    {"quantity": "greedy", "dataset": dataset, "task": task, "metric": metric}
                    | _columns(reports, read, ("SFT blind", "SFT", "GRPO"))
                )
    for index, entry in enumerate(first["sampled"]):

        def sampled(report: Mapping[str, Any], name: str, index: int = index) -> float:
            return float(report["sampled"][index][name.lower()])

        rows.append(
            {"quantity": "sampled", **{k: entry[k] for k in ("dataset", "task", "metric")}}
            | _columns(reports, sampled, ("SFT", "GRPO"))
        )
    return rows


def difficulty(statistics: Statistics) -> dict[str, list[float]]:
    """Quartiles of the SFT model's sampled rewards of every pair that has a task metric."""
    return {
        f"{dataset}/{task}": [round(value, 3) for value in (entry.p25, entry.p50, entry.p75)]
        for (dataset, task), metrics in sorted(statistics.entries.items())
        for metric, entry in metrics.items()
        if "similarity" not in metric and "judge" not in metric
    }


def _columns(
    reports: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any], str], float],
    names: Sequence[str],
) -> dict[str, Any]:
    values = {name: [read(report, name) for report in reports] for name in names}
    columns: dict[str, Any] = {name: _spread(numbers) for name, numbers in values.items()}
    columns["change"] = _spread(
        [after - before for before, after in zip(values["SFT"], values["GRPO"], strict=True)]
    )
    if "SFT blind" in values:
        columns["seen"] = _spread([s - b for b, s in zip(values["SFT blind"], values["SFT"], strict=True)])
    return columns


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean": round(statistics.fmean(values), 4),
        "std": round(statistics.stdev(values), 4) if len(values) > 1 else None,
        "values": [round(value, 4) for value in values],
    }


def table(result: Mapping[str, Any], style: str = "text") -> str:
    """Mean and standard deviation over seeds; ``seen`` is SFT minus blind, ``change`` is GRPO minus SFT."""

    def cell(entry: Mapping[str, Any] | None) -> str:
        if entry is None:
            return "-"
        return f"{entry['mean']:.3f}" + (f" ± {entry['std']:.3f}" if entry["std"] is not None else "")

    head = ["answers", "dataset", "task", "metric", "SFT blind", "SFT", "GRPO", "seen", "change"]
    body = [
        [
            *(row["quantity"], row["dataset"], row["task"], row["metric"].split(":")[0].split("@")[0]),
            *(cell(row.get(name)) for name in ("SFT blind", "SFT", "GRPO", "seen", "change")),
        ]
        for row in result["rows"]
    ]
    return grid(head, body, style)


def _page(result: Mapping[str, Any]) -> str:
    """The result as a page: the table, what was lost outside the RL mix, and how long a demo takes."""
    quartiles = [
        [pair, *(" / ".join(f"{value:.2f}" for value in by_seed[pair]) for by_seed in result["difficulty"])]
        for pair in result["difficulty"][0]
    ]
    lost = [
        f"- seed {seed}: {', '.join(names) or 'nothing'}"
        for seed, names in zip(result["seeds"], result["retention_lost"], strict=True)
    ]
    return "\n".join(
        [
            f"# The demo over {len(result['seeds'])} seeds",
            "",
            f"Written by `python -m benchmarks demo_seeds` (seeds {', '.join(map(str, result['seeds']))}).",
            "Mean ± standard deviation over seeds; `seen` is SFT minus its blind baseline, `change` is",
            "GRPO minus SFT, both paired by seed. `greedy` rows are greedy answers on the test split,",
            "`sampled` rows answers at temperature 1.",
            "",
            table(result, "markdown"),
            "",
            "## Difficulty: p25 / p50 / p75 of the SFT model's sampled rewards, as `baseline` measures them",
            "",
            grid(["pair", *(f"seed {seed}" for seed in result["seeds"])], quartiles, "markdown"),
            "",
            "## Retention: what fell outside the RL mix",
            "",
            f"Of {result['retention_compared']} quantities a seed, those whose 95% interval (bootstrap by",
            "video) lies below 0, with the p-value of the sign-flip test; by chance one in forty does.",
            "",
            *lost,
            "",
            *_alone(result.get("alone", [])),
        ]
    )


def _alone(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The stage times of one demo by itself."""
    if not stages:
        return []
    body = [[s["name"], f"{s['seconds']:.0f}", "beside" if s["beside"] else ""] for s in stages]
    body.append(["one after the other", f"{sum(s['seconds'] for s in stages if not s['beside']):.0f}", ""])
    title = "## Stage times of one `make demo` on two cores, seconds"
    return [title, "", grid(["stage", "seconds", ""], body, "markdown"), ""]


if __name__ == "__main__":
    main(sys.argv[1:])
