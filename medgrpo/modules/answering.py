"""A policy that answers: with an engine that samples from it and a reward, it is validated by its answers."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from medgrpo.data.held_out import PromptBatch
from medgrpo.errors import UserError
from medgrpo.modules.base import PolicyModule
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.retention import Retention
from medgrpo.modules.schedule import Schedule
from medgrpo.modules.sharding import refuse_split_rollouts
from medgrpo.rewards import CompositeReward
from medgrpo.rollout.engine import RolloutEngine
from medgrpo.rollout.hf import HFEngine
from medgrpo.tasks import get_task
from medgrpo.types import Sample

__all__ = ["AnsweringModule"]


class AnsweringModule(PolicyModule):
    """Answers held-out rows greedily whenever the trainer validates, and tells what was kept since the start.

    The start is measured by Lightning's sanity check, if ``trainer.num_sanity_val_steps`` is -1, and is part
    of the checkpoint.

    Args:
        policy: The model in training.
        reward: Whose components score answers; validation takes their raw values.
        engine: Samples the answers; the policy itself by default.
        optimizer: Called with the trainable parameters.
        schedule: Learning rate over the optimizer steps; None keeps it constant.
        max_new_tokens: Longest answer; None takes each task's own limit.
    """

    def __init__(
        self,
        policy: QwenVLPolicy,
        reward: CompositeReward,
        engine: RolloutEngine | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        schedule: Schedule | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        super().__init__(policy, optimizer, schedule)
        self.reward = reward
        self.engine = engine if engine is not None else HFEngine()
        self.max_new_tokens = max_new_tokens
        self.encoder: Any = None
        self.retention = Retention()

    def bind(self, encoder: Any, held_out: list[Sample]) -> None:
        """Get ready to answer; called by the data module.

        Args:
            encoder: That makes the prompts.
            held_out: Rows to validate on, one a (dataset, task) or all.

        Raises:
            UserError: If no reward component scores a task of theirs, or the engine cannot sample from
                weights that the trainer's strategy keeps in pieces.
        """
        refuse_split_rollouts(self.trainer.strategy, self.engine)
        self.encoder = encoder
        self.engine.bind(self.policy, encoder)
        unscored = sorted({sample.task for sample in held_out} - self.reward.tasks)
        if unscored:
            raise UserError(
                f"data.val_records: no reward component is routed to {', '.join(unscored)}; name them in a "
                "component's tasks, or leave them out of data.val_tasks"
            )

    def validation_step(self, batch: PromptBatch, batch_idx: int) -> None:
        """Answer and score held-out rows; no random number is drawn."""
        if not batch.prompts:
            return
        samples = [prompt.sample for prompt in batch.prompts]
        answers = self.engine.generate(
            batch.prompts,
            n=1,
            max_new_tokens=[self.limit(sample.task) for sample in samples],
            temperature=0.0,
            seeds=[0] * len(samples),
        )
        texts = [completion.text for group in answers for completion in group]
        self.retention.add([s.pair for s in samples], self.reward.raw_metrics(samples, texts))

    def on_validation_epoch_end(self) -> None:
        """Log the look at the held-out rows; the first one becomes what later ones are compared with."""
        numbers = self.retention.close(self.reward.ranges())
        if self.trainer.sanity_checking:
            # A resumed run is checked too, and has its start from the checkpoint.
            if math.isinf(self.trainer.num_sanity_val_steps) and not self.retention.start:
                self.retention.start = numbers
                # Lightning logs nothing of a sanity check.
                for logger in self.loggers:
                    logger.log_metrics(numbers, step=0)
            return
        # The numbers are already those of all ranks.
        self.log_dict(numbers, sync_dist=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the start."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["retention"] = self.retention.start

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare with the same start."""
        super().on_load_checkpoint(checkpoint)
        self.retention.start = checkpoint.get("retention", {})

    def limit(self, task: str) -> int:
        """Longest answer to a task, in tokens."""
        return self.max_new_tokens if self.max_new_tokens is not None else get_task(task).max_new_tokens
