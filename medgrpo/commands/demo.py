"""Run the whole journey on the embedded default: world, SFT, statistics, GRPO, evaluation, report."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config", type=Path, help="a demo plan (default: configs/demo/demo.yaml; smoke.yaml is a small one)"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("runs/demo"), help="output folder (default %(default)s)"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes to the plan, for example seed=1 rounds=40"
    )


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then report."""
    from medgrpo.compose import config_folder
    from medgrpo.demo import available_cores, demo_stages, read_plan, run_stages
    from medgrpo.demo.report import write_report

    plan = read_plan(args.config or config_folder() / "demo" / "demo.yaml", args.overrides)
    args.root.mkdir(parents=True, exist_ok=True)
    processes = min(plan.processes, available_cores())
    times = run_stages(demo_stages(plan, args.root), args.root, processes)
    print(write_report(args.root, times))
    return 0
