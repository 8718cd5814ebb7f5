"""The trained ablations as commands: of each seed one world, SFT checkpoint, statistics file, all arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgrpo.ablation.trained.graph import Node
from medgrpo.ablation.trained.plan import BASE, TrainedPlan
from medgrpo.demo.commands import RL_TASKS, base_model, evaluate, fit, sample, synthesize

__all__ = ["arm_folder", "seed_folder", "trained_nodes"]


def seed_folder(root: Path, seed: int) -> Path:
    """Where all of a seed is."""
    return root / f"seed{seed}"


def arm_folder(arm: str) -> str:
    """Name of an arm's run and files: ``A full`` is ``a_full``."""
    return "_".join(arm.lower().split())


def trained_nodes(plan: TrainedPlan, root: Path, seed: int) -> list[Node]:
    """All commands of one seed and what they wait for.

    Args:
        plan: Sizes and arms.
        root: Folder of the ablations.
        seed: Of the world, the batches and the rollouts.
    """
    folder = seed_folder(root, seed)
    world, sft, statistics = folder / "world", folder / "sft" / "hf", folder / "statistics.json"
    train, rl, val, test = (world / f"{name}.json" for name in ("train", "rl", "val", "test"))
    name = f"seed{seed}"
    answers: dict[str, Any] = {"max_new_tokens": plan.max_new_tokens, "seed": seed}
    sampled: dict[str, Any] = {**answers, "prompts": plan.baseline_prompts, "samples": plan.baseline_samples}

    def measured(of: str, title: str, model: Path, after: str) -> list[Node]:
        rows = ("--rows-per-pair", str(plan.test_rows))
        out = folder / "evaluation" / f"{of}_sampled.json"
        greedy = evaluate(
            f"{name}-evaluate-{of}", f"{title}, greedy", model, test, folder, of, *rows, **answers
        )
        drawn = sample(f"{name}-sample-{of}", f"{title}, sampled", model, test, out, *RL_TASKS, **sampled)
        return [Node(greedy, (after,), 3.0), Node(drawn, (after,), 2.0)]

    tuned = fit(
        f"{name}-sft",
        f"seed {seed}: supervised fine-tuning",
        ("sft.yaml", "demo/sft.yaml"),
        (
            f"--paths.model={base_model()}",
            f"--paths.records={train}",
            f"--paths.val_records={val}",
            f"--trainer.max_steps={plan.sft_steps}",
        ),
        folder,
        "sft",
        seed,
    )
    blind = evaluate(
        f"{name}-evaluate-blind",
        f"seed {seed}: SFT over wrong videos",
        sft,
        test,
        folder,
        "blind",
        *("--shuffle-videos", "--rows-per-pair", str(plan.test_rows)),
        **answers,
    )
    quartiles = sample(
        f"{name}-statistics", f"seed {seed}: statistics of the SFT model", sft, rl, statistics, **sampled
    )
    nodes = [
        Node(synthesize(f"{name}-world", world, plan.videos, seed, 0), (), 1.0),
        Node(tuned, (f"{name}-world",), 16.0),
        Node(quartiles, (f"{name}-sft",), 2.0),
    ]
    for arm, overlays in plan.arms.items():
        of = arm_folder(arm)
        trained = fit(
            f"{name}-{of}",
            f"seed {seed}: GRPO, {arm}",
            (*BASE, *overlays),
            (
                f"--paths.model={sft}",
                f"--paths.records={rl}",
                f"--paths.statistics={statistics}",
                f"--paths.run={of}",
                f"--trainer.max_epochs={plan.rounds}",
                f"--data.init_args.prompts_per_round={plan.prompts_per_round}",
                f"--model.init_args.max_new_tokens={plan.max_new_tokens}",
            ),
            folder,
            of,
            seed,
        )
        nodes.append(Node(trained, (f"{name}-statistics",), 8.0))
        nodes += measured(of, f"seed {seed}: {arm}", folder / of / "hf", f"{name}-{of}")
    nodes += measured("sft", f"seed {seed}: SFT", sft, f"{name}-sft")
    nodes.append(Node(blind, (f"{name}-sft",), 3.0))
    return nodes
