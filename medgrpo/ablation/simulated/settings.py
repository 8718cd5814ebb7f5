"""What the simulated ablations run: sizes, arms and comparisons, read from one YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medgrpo.ablation.settings_file import read_typed
from medgrpo.errors import UserError
from medgrpo.modules.advantages import AdvantageEstimator
from medgrpo.modules.objectives import Objective
from medgrpo.rewards import Normalizer

__all__ = ["Arm", "Difficulty", "SimulatedSettings", "Sizes", "read_settings"]

PAPER_TASKS = ("tal", "stg", "video_summary", "region_caption")


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        hidden: Units of each hidden layer of a policy.
        sft_steps: Optimizer steps of the fine-tuning that all arms start from.
        sft_questions: Of each pair in such a step.
        sft_learning_rate: Of Adam.
        baseline_questions: Of each pair, four answers each, for the statistics.
        test_questions: Of each pair.
        rounds: Of GRPO.
        groups: Questions a round.
        group_size: Answers a question.
        updates: Optimizer steps that a round's answers are used for.
        learning_rate: Of Adam.
        block: Seeds that are trained side by side in one process.
    """

    hidden: int = 64
    sft_steps: int = 800
    sft_questions: int = 16
    sft_learning_rate: float = 3e-3
    baseline_questions: int = 100
    test_questions: int = 250
    rounds: int = 300
    groups: int = 24
    group_size: int = 8
    updates: int = 2
    learning_rate: float = 1e-3
    block: int = 10


@dataclass(frozen=True)
class Difficulty:
    """A metric that changes while the policy trains.

    Attributes:
        datasets: Whose rewards change.
        exponent: What scores from 0 to 1 are raised to in the end; above 1 stricter, below 1 kinder. It moves
            evenly, in ten steps, over the first half of the rounds. Tests are measured as before.
    """

    datasets: tuple[str, ...]
    exponent: float


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        normalizer: Name among the settings' normalizers.
        advantage: Name among the settings' advantages.
        tasks: In the RL mix; None for the settings' own.
        captions: Weights of ``similarity`` and ``judge`` in captions; one that is left out is not used.
        objective: What is optimised.
        length: How many times the sizes' rounds.
        learning_rate: Of Adam; None for the sizes' own.
        difficulty: A metric that changes meanwhile.
    """

    normalizer: str
    advantage: str
    tasks: tuple[str, ...] | None = None
    captions: dict[str, float] = field(default_factory=lambda: {"similarity": 0.5, "judge": 0.5})
    objective: Objective = field(default_factory=Objective)
    length: float = 1.0
    learning_rate: float | None = None
    difficulty: Difficulty | None = None


@dataclass(frozen=True)
class SimulatedSettings:
    """Everything that the simulated ablations run.

    Attributes:
        normalizers: By name.
        advantages: By name.
        grid_normalizers: Names of those that are crossed with ``grid_advantages``.
        grid_advantages: Names.
        arms: Beside the grid, by name.
        comparisons: Pairs of arms' names; reported as the second minus the first, by seed.
        tasks: In the RL mix, unless an arm says otherwise.
        sizes: How much of everything.
    """

    normalizers: dict[str, Normalizer]
    advantages: dict[str, AdvantageEstimator]
    grid_normalizers: list[str] = field(default_factory=list)
    grid_advantages: list[str] = field(default_factory=list)
    arms: dict[str, Arm] = field(default_factory=dict)
    comparisons: list[tuple[str, str]] = field(default_factory=list)
    tasks: tuple[str, ...] = PAPER_TASKS
    sizes: Sizes = field(default_factory=Sizes)

    def all_arms(self) -> dict[str, Arm]:
        """The grid, named ``normalizer, advantage``, then the others.

        Raises:
            UserError: If an arm or a comparison names something that there is not.
        """
        grid = {
            f"{normalizer}, {advantage}": Arm(normalizer, advantage)
            for normalizer in self.grid_normalizers
            for advantage in self.grid_advantages
        }
        if shared := sorted(grid.keys() & self.arms.keys()):
            raise UserError(f"simulated ablations: arm {shared[0]!r} is also one of the grid")
        found = grid | self.arms
        for name, arm in found.items():
            for kind, key, known in (
                ("normalizer", arm.normalizer, self.normalizers),
                ("advantage", arm.advantage, self.advantages),
            ):
                if key not in known:
                    raise UserError(
                        f"simulated ablations: arm {name!r}: unknown {kind} {key!r}; "
                        f"known are: {', '.join(known)}"
                    )
        for name in (name for pair in self.comparisons for name in pair):
            if name not in found:
                raise UserError(f"simulated ablations: comparisons: there is no arm {name!r}")
        return found


def read_settings(path: Path, overrides: Sequence[str] = ()) -> SimulatedSettings:
    """Read and build the settings of a YAML file, with ``key=value`` overrides.

    Raises:
        UserError: Naming the file and the key that is wrong.
    """
    settings = read_typed(SimulatedSettings, path, overrides)
    settings.all_arms()
    return settings
