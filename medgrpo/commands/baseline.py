"""Measure how a checkpoint scores before GRPO: p25, p50, p75 and more of every (dataset, task, metric)."""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.grpo_config import GRPOConfig
from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.commands.stored_baseline import add_rollout_options, scorers, stored_baseline
from medgrpo.commands.verdict_option import verdicts_of
from medgrpo.errors import UserError
from medgrpo.types import PairKey, Sample

if TYPE_CHECKING:
    from medgrpo.rewards.statistics import Provenance

__all__ = ["add_arguments", "run", "spread_over_pairs"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    answers = parser.add_mutually_exclusive_group(required=True)
    answers.add_argument(
        "--model", type=Path, help="Hugging Face directory of the SFT checkpoint, which answers --records"
    )
    answers.add_argument(
        "--rollouts", type=Path, help="folder that holds rollouts/: take the answers that a run stored"
    )
    parser.add_argument("--records", type=Path, help="records with answers, usually the RL prompts")
    add_rollout_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="statistics file to write")
    parser.add_argument(
        "--config",
        "-c",
        action="append",
        required=True,
        help="the GRPO config whose reward is measured and whose engine samples, e.g. configs/grpo.yaml; may "
        "be given several times, e.g. with configs/rollout/vllm.yaml",
    )
    parser.add_argument("--tasks", nargs="+", help="only these tasks (default: all that the reward scores)")
    parser.add_argument(
        "--prompts-per-pair", type=int, default=100, help="questions of each pair (default %(default)s)"
    )
    parser.add_argument("--samples", type=int, default=4, help="answers a question (default %(default)s)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="of the sampling; use the rollouts' (default %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=128, help="answers decoded together (default %(default)s)"
    )
    parser.add_argument("--max-new-tokens", type=int, help="longest answer (default: each task's own limit)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default %(default)s)")
    parser.add_argument(
        "--on-error",
        choices=("stop", "quarantine"),
        default="stop",
        help="what a row whose frames cannot be read does: stop, or be set aside in OUT.quarantine.jsonl and "
        "counted; default: stop",
    )
    add_media_options(parser)
    parser.add_argument("--plots", type=Path, help="folder for a plot of each metric's distributions")


def run(args: argparse.Namespace) -> int:
    """Sample and score, or read what is stored; then summarise and write."""
    args.verdicts = verdicts_of(args.verdicts, args.config)
    config = GRPOConfig(args.config)
    return _stored(args, config.reward()) if args.model is None else _sampled(args, config)


def _stored(args: argparse.Namespace, reward: Any) -> int:
    """Statistics of the answers that a run stored."""
    found, provenance = stored_baseline(args, reward)
    _finish(args, found.samples, found.raw, reward, provenance)
    if args.verdicts is not None:
        print(f"clinicians: {found.replaced} of {len(found.raw)} answers have their score, ", end="")
        print(f"{found.left_out} are left out", end="")
        print(f"; {found.foreign} verdicts are about other texts and not used" if found.foreign else "")
    print(f"wrote {args.out}")
    return 0


def _sampled(args: argparse.Namespace, config: GRPOConfig) -> int:
    """Statistics of answers that a checkpoint gives now."""
    import numpy as np

    from medgrpo.data.lazy_records import open_records
    from medgrpo.evaluation.inputs import unread_rows, write_quarantine
    from medgrpo.evaluation.runner import predict
    from medgrpo.services.files import file_hash
    from medgrpo.tasks import canonical_task

    if args.records is None:
        raise UserError("--model answers questions: name a file of them with --records")
    if unused := [name for name in ("run", "steps", "verdicts") if getattr(args, name) is not None]:
        raise UserError(f"--{unused[0]} is about stored answers: give --rollouts instead of --model")
    reward, engine = config.reward(), config.engine()
    tasks = {canonical_task(task) for task in args.tasks} if args.tasks else reward.tasks
    records = open_records(args.records, **media_options(args)).where(tasks=tasks & reward.tasks)
    unknown = np.flatnonzero(~(records.answered | records.has_truth))
    if len(unknown):
        raise UserError(
            f"{args.records}: row {records.rows[unknown[0]]}: no answer; statistics need them, "
            "the test split has none"
        )
    samples = records.select(spread_over_pairs(records.pairs, args.prompts_per_pair))
    if not samples:
        raise UserError(f"{args.records}: no row of the tasks {', '.join(sorted(tasks))}")
    problems: dict[int, str] = {}
    texts = predict(
        args.model,
        samples,
        temperature=args.temperature,
        n=args.samples,
        seed=args.seed,
        batch_size=args.batch_size,
        engine=engine,
        max_new_tokens=args.max_new_tokens,
        progress="sample answers",
        problems=problems if args.on_error == "quarantine" else None,
    )
    if len(problems) == len(samples):
        raise UserError(f"{args.records}: no row has frames that can be read; the first: {problems[0]}")
    asked = [sample for sample, group in zip(samples, texts, strict=True) for _ in group]
    raw = reward.raw_metrics(asked, [text for group in texts for text in group])
    names = {name for metrics in raw for name in metrics}
    provenance = replace(
        scorers(names),
        checkpoint=_weights_hash(args.model),
        records_hash=file_hash(args.records),
        temperature=args.temperature,
        samples_per_prompt=args.samples,
        seed=args.seed,
        engine="HFEngine" if engine is None else type(engine).__name__,
    )
    _finish(args, asked, raw, reward, provenance)
    if problems:
        aside = args.out.with_name(f"{args.out.stem}.quarantine.jsonl")
        write_quarantine(unread_rows(samples, problems), aside)
        print(f"set aside: {len(problems)} of {len(samples)} rows, with their reasons in {aside}")
    print(f"wrote {args.out}")
    return 0


def _finish(
    args: argparse.Namespace,
    asked: Sequence[Sample],
    raw: Sequence[Mapping[str, float]],
    reward: Any,
    provenance: Provenance,
) -> None:
    """Summarise, write, show."""
    from medgrpo.rewards.statistics import Statistics

    statistics = Statistics.build(asked, raw, reward.ranges(), provenance)
    statistics.save(args.out)
    print(_table(statistics))
    if args.plots is not None:
        from medgrpo.evaluation.plots import plot_distributions

        plot_distributions(asked, raw, statistics, args.plots)
        print(f"wrote {args.plots}")


def spread_over_pairs(pairs: Sequence[PairKey], prompts_per_pair: int) -> list[int]:
    """The rows of at most so many questions of each (dataset, task), evenly spread over the file.

    Args:
        pairs: (dataset, task) of each row.
        prompts_per_pair: Questions of each pair.
    """
    rows_of: dict[PairKey, list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        rows_of[pair].append(row)
    chosen: list[int] = []
    for pair in sorted(rows_of):
        rows = rows_of[pair]
        count = min(prompts_per_pair, len(rows))
        chosen += [rows[i * len(rows) // count] for i in range(count)]
    return chosen


def _weights_hash(model: Path) -> str:
    """sha256 prefix of the weights, which names the checkpoint wherever it is moved."""
    digest = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return f"{model.name}:{digest.hexdigest()[:16]}"


def _table(statistics: Any) -> str:
    """The quartiles for people."""
    lines = [f"{'dataset':16} {'task':18} {'metric':24} {'n':>5} {'p25':>7} {'p50':>7} {'p75':>7}  scale"]
    for (dataset, task), metrics in sorted(statistics.entries.items()):
        for metric, entry in sorted(metrics.items()):
            note = f"{entry.scale:.3f} ({', '.join((entry.scale_method, *entry.flags))})"
            short = metric if len(metric) <= 24 else metric[:23] + "…"
            lines.append(
                f"{dataset:16} {task:18} {short:24} {entry.n:5d} "
                f"{entry.p25:7.3f} {entry.p50:7.3f} {entry.p75:7.3f}  {note}"
            )
    return "\n".join(lines)
