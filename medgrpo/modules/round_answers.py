"""Where the answers of a round and their rewards come from: the engine, or the store after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities.exceptions import SIGTERMException
from tqdm import tqdm

from medgrpo.data.distributed import gather_objects
from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.prompts import derive_seed
from medgrpo.modules.overlong import penalise_overlong
from medgrpo.modules.rounds import RoundClock, settle_failures
from medgrpo.rewards import CompositeReward, Statistics
from medgrpo.rollout.failures import failures_of_round
from medgrpo.rollout.store import RolloutStore
from medgrpo.rollout.stored_answers import StoredAnswers, stored_answers
from medgrpo.types import Completion, Reward

if TYPE_CHECKING:
    from medgrpo.modules.grpo import GRPOModule

__all__ = ["RoundAnswers", "answer_settings"]


def answer_settings(settings: str, reward: CompositeReward, model: str) -> str:
    """Hash of what shapes answers and rewards besides trained weights and prompts, empty if it is not known.

    Args:
        settings: Hash of the configuration; empty if it is not known.
        reward: With its statistics read.
        model: The model's directory: trained weights say nothing of frozen ones, so its files count.
    """
    if not settings:
        return ""
    statistics = reward.statistics
    measured = statistics.digest() if isinstance(statistics, Statistics) else ""
    found = [(path.name, path.stat()) for path in sorted(Path(model).glob("*")) if path.is_file()]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]
    return hashlib.sha256(f"{settings}{measured}{files}".encode()).hexdigest()[:16]


class RoundAnswers:
    """Answers the prompts of one round.

    Args:
        module: Whose engine samples and whose reward scores.
        store: Of the run, with the policy's hash of the moment.
        prompts: That the round begins with on this rank, by slot.
        round_index: From 0.
        seed: Of the round, the same on all ranks.
        clock: Takes the time of the parts.
    """

    def __init__(
        self,
        module: GRPOModule,
        store: RolloutStore,
        prompts: Mapping[int, EncodedPrompt],
        *,
        round_index: int,
        seed: int,
        clock: RoundClock,
    ) -> None:
        self.module = module
        self.round_index = round_index
        self.seed = seed
        self.clock = clock
        found = stored_answers(store, round_index, module.global_rank)
        # All ranks or none: what is stored of a round is replaced as a whole.
        fits = gather_objects(found is not None and found.fit(prompts))
        self.stored: StoredAnswers | None = found if all(fits) else None
        clock.lap("store")

    def of(
        self, prompts: Mapping[int, EncodedPrompt], turn: int
    ) -> tuple[list[list[Completion]], list[list[Reward]]]:
        """Completions and rewards of some prompts, in groups.

        Args:
            prompts: By slot.
            turn: 0 for those that the round begins with, then their replacements.
        """
        if self.stored is not None:
            groups = [self.stored.take(slot, turn, prompt) for slot, prompt in prompts.items()]
            return [completions for completions, _ in groups], [rewards for _, rewards in groups]
        module = self.module
        asked = list(prompts.values())
        limits = [module.limit(prompt.sample.task) for prompt in asked]
        completions = self._sample(prompts, turn, limits)
        self.clock.lap("generate")
        flat = module.reward.score(
            [prompt.sample for prompt in asked for _ in range(module.group_size)],
            [completion.text for group in completions for completion in group],
        )
        grouped = [flat[i : i + module.group_size] for i in range(0, len(flat), module.group_size)]
        rewards = settle_failures(grouped, module.on_failed_reward)
        if module.overlong is not None:
            rewards = penalise_overlong(rewards, completions, limits, module.overlong)
        self.clock.lap("reward")
        return completions, rewards

    def _sample(
        self, prompts: Mapping[int, EncodedPrompt], turn: int, limits: list[int]
    ) -> list[list[Completion]]:
        module, trainer = self.module, self.module.trainer
        bar = tqdm(
            total=len(prompts),
            desc=f"round {self.round_index}: answers",
            unit="prompt",
            leave=False,
            disable=trainer.progress_bar_callback is None or not trainer.is_global_zero,
        )

        def progress(finished: int) -> None:
            bar.update(finished)
            if module.termination.told(trainer):  # Lightning looks at the end of a batch only
                raise SIGTERMException

        completions: list[list[Completion]] = []
        context = trainer.precision_plugin.forward_context()
        # Ranks that have their answers wait for this one: it stops early, and all leave together.
        with suppress(SIGTERMException), bar, context, failures_of_round(self.round_index):
            completions = module.engine.generate(
                list(prompts.values()),
                n=module.group_size,
                max_new_tokens=limits,
                temperature=module.temperature,
                seeds=[derive_seed(self.seed, 0, slot, turn) for slot in prompts],
                progress=progress,
            )
        module.termination.leave_together(trainer)
        return completions
