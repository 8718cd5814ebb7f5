"""The demo as a list of public commands."""

from __future__ import annotations

from pathlib import Path

from medgrpo.compose import config_folder
from medgrpo.demo.plan import DemoPlan
from medgrpo.demo.runner import Stage

__all__ = ["base_model", "demo_stages"]

RL_TASKS = ("--tasks", "tal", "stg", "video_summary", "region_caption")
"""The paper's four tasks in the RL mix."""


def base_model() -> Path:
    """The tiny vision-pretrained base that ships with medgrpo."""
    return Path(__file__).resolve().parents[1] / "assets" / "tiny_base"


def demo_stages(plan: DemoPlan, root: Path) -> list[Stage]:
    """Everything the demo runs, in order.

    Args:
        plan: Sizes.
        root: Folder that all results go to.
    """
    world, sft, grpo = root / "world", root / "sft", root / "grpo"
    statistics = root / "statistics.json"
    train, rl, val, test = (world / f"{name}.json" for name in ("train", "rl", "val", "test"))

    def fit(name: str, title: str, overrides: tuple[str, ...], out: Path) -> Stage:
        arguments = ["fit"]
        for config in (f"{name}.yaml", f"demo/{name}.yaml"):
            arguments += ["--config", str(config_folder() / config)]
        arguments += [f"--paths.root={root}", f"--seed_everything={plan.seed}", *overrides]
        return Stage(
            name, title, tuple(arguments), (out / "hf" / "config.json",), out / "checkpoints" / "last.ckpt"
        )

    def sample(
        name: str, title: str, model: Path, records: Path, out: Path, *extra: str, beside: bool = False
    ) -> Stage:
        arguments = (
            *("baseline", "--config", str(config_folder() / "grpo.yaml")),
            *("--model", str(model), "--records", str(records), "--out", str(out)),
            *("--prompts-per-pair", str(plan.baseline_prompts), "--samples", str(plan.baseline_samples)),
            *("--max-new-tokens", str(plan.max_new_tokens), "--seed", str(plan.seed), *extra),
        )
        return Stage(name, title, arguments, (out,), beside=beside)

    def evaluate(
        name: str, title: str, model: Path, *extra: str, records: Path = test, beside: bool = False
    ) -> Stage:
        out = root / "evaluation" / f"{name}.json"
        predictions = root / "predictions" / f"{name}.json"
        arguments = (
            *("evaluate", "--model", str(model), "--records", str(records), "--protocol", "strict"),
            *("--judge", "lexicon", "--batch-size", "128", "--seed", str(plan.seed)),
            *("--max-new-tokens", str(plan.max_new_tokens)),
            *("--save-predictions", str(predictions), "--out", str(out), *extra),
        )
        return Stage(f"evaluate-{name}", title, arguments, (out, predictions), beside=beside)

    return [
        Stage(
            "world",
            "make the synthetic surgical world",
            (
                *("synthesize", str(world), "--videos", str(plan.videos)),
                *("--seed", str(plan.seed), "--mp4", str(plan.mp4_clips)),
            ),
            (train, rl, val, test),
        ),
        fit(
            "sft",
            "supervised fine-tuning",
            (
                f"--paths.model={base_model()}",
                f"--paths.records={train}",
                f"--paths.val_records={val}",
                f"--trainer.max_steps={plan.sft_steps}",
            ),
            sft,
        ),
        evaluate("sft", "SFT on the test split", sft / "hf", beside=True),
        evaluate(
            "blind", "SFT over wrong videos: the blind baseline", sft / "hf", "--shuffle-videos", beside=True
        ),
        sample(
            "sft-sampled",
            "SFT, sampled answers",
            sft / "hf",
            test,
            root / "evaluation" / "sft_sampled.json",
            *RL_TASKS,
            beside=True,
        ),
        sample(
            "baseline",
            "reward statistics of the SFT model on the RL prompts",
            sft / "hf",
            rl,
            statistics,
            "--plots",
            str(root / "plots"),
        ),
        fit(
            "grpo",
            "GRPO",
            (
                f"--paths.model={sft / 'hf'}",
                f"--paths.records={rl}",
                f"--paths.replay_records={train}",
                f"--paths.statistics={statistics}",
                f"--trainer.max_epochs={plan.rounds}",
                f"--data.init_args.prompts_per_round={plan.prompts_per_round}",
                f"--model.init_args.max_new_tokens={plan.max_new_tokens}",
            ),
            grpo,
        ),
        sample(
            "grpo-sampled",
            "GRPO, sampled answers",
            grpo / "hf",
            test,
            root / "evaluation" / "grpo_sampled.json",
            *RL_TASKS,
            beside=True,
        ),
        evaluate(
            "video-files", "GRPO on H.264 files", grpo / "hf", records=world / "test_mp4.json", beside=True
        ),
        evaluate("grpo", "GRPO on the test split", grpo / "hf"),
    ]
