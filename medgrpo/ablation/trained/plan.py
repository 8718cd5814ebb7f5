"""What the trained ablations run: sizes and arms, read from one YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medgrpo.compose import config_folder
from medgrpo.errors import UserError

__all__ = ["BASE", "TrainedPlan", "read_plan"]

BASE = (
    *("grpo.yaml", "demo/grpo.yaml", "ablation/tiny.yaml", "ablation/a_full.yaml"),
    "metrics/gradient_shares.yaml",
)
"""Configs of every arm, below ``configs/``; an arm's overlays come behind them."""


@dataclass
class TrainedPlan:
    """How much of everything, and which arms.

    Attributes:
        videos: Source videos of a seed's synthetic world.
        sft_steps: Optimizer steps of the fine-tuning that all arms of a seed start from.
        rounds: Of GRPO.
        prompts_per_round: Groups of eight answers a round.
        baseline_prompts: Prompts of each (dataset, task) for the statistics, and for sampled answers to the
            test split.
        baseline_samples: Answers to each of them.
        test_rows: Rows of each (dataset, task) of the test split that are answered greedily.
        max_new_tokens: Longest answer.
        arms: Name to overlays below ``configs/``, behind :data:`BASE`.
        reference: Arm that the others are compared with.
    """

    videos: int = 960
    sft_steps: int = 560
    rounds: int = 40
    prompts_per_round: int = 12
    baseline_prompts: int = 60
    baseline_samples: int = 4
    test_rows: int = 60
    max_new_tokens: int = 96
    arms: dict[str, list[str]] = field(default_factory=dict)
    reference: str = ""


def read_plan(path: Path, overrides: Sequence[str] = ()) -> TrainedPlan:
    """Read a plan and apply ``key=value`` overrides.

    Raises:
        UserError: If the file is missing, a key or a value is wrong, or an arm names a missing file.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not path.is_file():
        raise UserError(f"no plan of ablations at {path}")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(TrainedPlan), OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides))
        )
        plan = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {error.full_key or 'plan'}: {str(error).splitlines()[0]}") from error
    assert isinstance(plan, TrainedPlan)
    if plan.reference not in plan.arms:
        raise UserError(f"{path}: reference: there is no arm {plan.reference!r}")
    for arm, overlays in plan.arms.items():
        for overlay in overlays:
            if not (config_folder() / overlay).is_file():
                raise UserError(f"{path}: arms: {arm}: there is no configs/{overlay}")
    return plan
