"""The commands that stages of the demo and of the ablations run, each with what it leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medgrpo.compose import config_folder
from medgrpo.demo.runner import Stage

__all__ = ["RL_TASKS", "base_model", "evaluate", "fit", "sample", "synthesize"]

RL_TASKS = ("--tasks", "tal", "stg", "video_summary", "region_caption")
"""The paper's four tasks in the RL mix."""


def base_model() -> Path:
    """The tiny vision-pretrained base that ships with medgrpo."""
    return Path(__file__).resolve().parents[1] / "assets" / "tiny_base"


def synthesize(name: str, world: Path, videos: int, seed: int, mp4: int) -> Stage:
    """Make the synthetic world.

    Args:
        name: Of the stage.
        world: Folder to make.
        videos: How many.
        seed: Of the world.
        mp4: Test clips that are also written as films.
    """
    arguments = ("synthesize", str(world), "--videos", str(videos), "--seed", str(seed), "--mp4", str(mp4))
    records = tuple(world / f"{split}.json" for split in ("train", "rl", "val", "test"))
    return Stage(name, "make the synthetic surgical world", arguments, records)


def fit(
    name: str, title: str, configs: Sequence[str], overrides: Sequence[str], root: Path, run: str, seed: int
) -> Stage:
    """Train, and go on from the last checkpoint if it was interrupted.

    Args:
        name: Of the stage.
        title: For people.
        configs: Below ``configs/``, later over earlier.
        overrides: Further arguments.
        root: Folder of the outputs.
        run: Name of the run, a folder in it.
        seed: Of everything.
    """
    arguments = ["fit"]
    for config in configs:
        arguments += ["--config", str(config_folder() / config)]
    arguments += [f"--paths.root={root}", f"--seed_everything={seed}", *overrides]
    out = root / run
    made = (out / "hf" / "config.json",)
    return Stage(name, title, tuple(arguments), made, out / "checkpoints" / "last.ckpt")


def sample(
    name: str,
    title: str,
    model: Path,
    records: Path,
    out: Path,
    *extra: str,
    prompts: int,
    samples: int,
    max_new_tokens: int,
    seed: int,
    beside: bool = False,
) -> Stage:
    """Sample answers at temperature 1 and write the statistics of their raw rewards.

    Args:
        name: Of the stage.
        title: For people.
        model: Hugging Face directory.
        records: What is asked.
        out: Statistics file.
        *extra: Further arguments.
        prompts: Questions of each (dataset, task).
        samples: Answers to each.
        max_new_tokens: Longest answer.
        seed: Of the sampling.
        beside: See :class:`~medgrpo.demo.runner.Stage`.
    """
    arguments = (
        *("baseline", "--config", str(config_folder() / "grpo.yaml")),
        *("--model", str(model), "--records", str(records), "--out", str(out)),
        *("--prompts-per-pair", str(prompts), "--samples", str(samples)),
        *("--max-new-tokens", str(max_new_tokens), "--seed", str(seed), *extra),
    )
    return Stage(name, title, arguments, (out,), beside=beside)


def evaluate(
    name: str,
    title: str,
    model: Path,
    records: Path,
    root: Path,
    of: str,
    *extra: str,
    max_new_tokens: int,
    seed: int,
    beside: bool = False,
) -> Stage:
    """Answer greedily and score strictly, with the lexicon judge.

    Args:
        name: Of the stage.
        title: For people.
        model: Hugging Face directory.
        records: What is asked.
        root: Folder of ``evaluation/`` and ``predictions/``.
        of: Name of the files in both.
        *extra: Further arguments.
        max_new_tokens: Longest answer.
        seed: Of shuffled videos.
        beside: See :class:`~medgrpo.demo.runner.Stage`.
    """
    out = root / "evaluation" / f"{of}.json"
    predictions = root / "predictions" / f"{of}.json"
    arguments = (
        *("evaluate", "--model", str(model), "--records", str(records), "--protocol", "strict"),
        *("--judge", "lexicon", "--batch-size", "128", "--seed", str(seed)),
        *("--max-new-tokens", str(max_new_tokens)),
        *("--save-predictions", str(predictions), "--out", str(out), *extra),
    )
    return Stage(name, title, arguments, (out, predictions), beside=beside)
