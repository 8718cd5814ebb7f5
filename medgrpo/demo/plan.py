"""The sizes of a demo, read from one YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["DemoPlan", "read_plan"]


@dataclass
class DemoPlan:
    """How much of everything a demo does.

    Attributes:
        videos: Source videos in the synthetic world.
        mp4_clips: Test clips that are also written as H.264 files and read back by the video reader.
        sft_steps: Optimizer steps of supervised fine-tuning.
        rounds: GRPO rounds; one round is one rollout of ``prompts_per_round`` groups.
        prompts_per_round: Groups of eight answers a round.
        baseline_prompts: Prompts of each (dataset, task) that the statistics are measured on.
        baseline_samples: Sampled answers a prompt, for the statistics and for the rewards before and after.
        max_new_tokens: Longest answer.
        processes: 2 evaluates beside the training where there is a second core; 1 uses one core.
        seed: Of the world's videos, the batches, the rollouts.
    """

    videos: int = 960
    mp4_clips: int = 12
    sft_steps: int = 700
    rounds: int = 80
    prompts_per_round: int = 12
    baseline_prompts: int = 100
    baseline_samples: int = 4
    max_new_tokens: int = 96
    processes: int = 2
    seed: int = 0


def read_plan(path: Path, overrides: list[str]) -> DemoPlan:
    """Read a plan and apply ``key=value`` overrides.

    Raises:
        UserError: If the file is missing, or a key or a value is wrong.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not path.is_file():
        raise UserError(f"no demo plan at {path}")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(DemoPlan), OmegaConf.load(path), OmegaConf.from_dotlist(overrides)
        )
        plan = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {error.full_key or 'plan'}: {str(error).splitlines()[0]}") from error
    assert isinstance(plan, DemoPlan)
    return plan
