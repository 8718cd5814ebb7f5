"""The demo as a list of public commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgrpo.demo.commands import RL_TASKS, base_model, evaluate, fit, sample, synthesize
from medgrpo.demo.plan import DemoPlan
from medgrpo.demo.runner import Stage

__all__ = ["base_model", "demo_stages"]


def demo_stages(plan: DemoPlan, root: Path) -> list[Stage]:
    """Everything the demo runs, in order.

    Args:
        plan: Sizes.
        root: Folder that all results go to.
    """
    world, sft, grpo = root / "world", root / "sft" / "hf", root / "grpo" / "hf"
    statistics = root / "statistics.json"
    train, rl, val, test = (world / f"{name}.json" for name in ("train", "rl", "val", "test"))
    answers: dict[str, Any] = {"max_new_tokens": plan.max_new_tokens, "seed": plan.seed}
    sampled: dict[str, Any] = {
        **answers,
        "prompts": plan.baseline_prompts,
        "samples": plan.baseline_samples,
    }

    def scored(name: str, title: str, model: Path, *extra: str, records: Path = test, beside: bool) -> Stage:
        stage = f"evaluate-{name}"
        return evaluate(stage, title, model, records, root, name, *extra, **answers, beside=beside)

    return [
        synthesize("world", world, plan.videos, plan.seed, plan.mp4_clips),
        fit(
            "sft",
            "supervised fine-tuning",
            ("sft.yaml", "demo/sft.yaml"),
            (
                f"--paths.model={base_model()}",
                f"--paths.records={train}",
                f"--paths.val_records={val}",
                f"--trainer.max_steps={plan.sft_steps}",
            ),
            root,
            "sft",
            plan.seed,
        ),
        scored("sft", "SFT on the test split", sft, beside=True),
        scored("blind", "SFT over wrong videos: the blind baseline", sft, "--shuffle-videos", beside=True),
        sample(
            "sft-sampled",
            "SFT, sampled answers",
            sft,
            test,
            root / "evaluation" / "sft_sampled.json",
            *RL_TASKS,
            **sampled,
            beside=True,
        ),
        sample(
            "baseline",
            "reward statistics of the SFT model on the RL prompts",
            sft,
            rl,
            statistics,
            *("--plots", str(root / "plots")),
            **sampled,
        ),
        fit(
            "grpo",
            "GRPO",
            ("grpo.yaml", "demo/grpo.yaml"),
            (
                f"--paths.model={sft}",
                f"--paths.records={rl}",
                f"--paths.replay_records={train}",
                f"--paths.statistics={statistics}",
                f"--trainer.max_epochs={plan.rounds}",
                f"--data.init_args.prompts_per_round={plan.prompts_per_round}",
                f"--model.init_args.max_new_tokens={plan.max_new_tokens}",
            ),
            root,
            "grpo",
            plan.seed,
        ),
        sample(
            "grpo-sampled",
            "GRPO, sampled answers",
            grpo,
            test,
            root / "evaluation" / "grpo_sampled.json",
            *RL_TASKS,
            **sampled,
            beside=True,
        ),
        scored("video-files", "GRPO on H.264 files", grpo, records=world / "test_mp4.json", beside=True),
        scored("grpo", "GRPO on the test split", grpo, beside=False),
    ]
