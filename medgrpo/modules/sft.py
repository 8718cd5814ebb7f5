"""Supervised fine-tuning: knowledge injection before GRPO."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from medgrpo.data.batch import PolicyBatch
from medgrpo.modules.base import PolicyModule
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.schedule import Schedule
from medgrpo.modules.sharding import refuse_idle_rank
from medgrpo.modules.termination import Termination

__all__ = ["SFTModule", "answer_nll"]


def answer_nll(logps: torch.Tensor, completion_mask: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of the answer tokens of a batch.

    Args:
        logps: ``[B, L]``, 0 outside the answers.
        completion_mask: ``[B, L]`` bool.

    Returns:
        A scalar in nats a token. Prompt and video tokens take no part.
    """
    return -logps.sum() / completion_mask.sum().clamp(min=1)


class SFTModule(PolicyModule):
    """Teaches the reference answers.

    Args:
        policy: The model in training.
        optimizer: Called with the trainable parameters.
        schedule: Learning rate over the optimizer steps; None keeps it constant.
    """

    def __init__(
        self,
        policy: QwenVLPolicy,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(policy, optimizer, schedule)
        self.termination = Termination()
        self.save_hyperparameters(ignore=["policy", "optimizer", "schedule"])

    def on_train_start(self) -> None:
        """Let SIGTERM end the run behind an optimizer step."""
        self.termination.listen(self.trainer)

    def training_step(self, batch: PolicyBatch, batch_idx: int) -> torch.Tensor:
        """Answer-only loss of one batch."""
        loss = answer_nll(self.policy.logps(batch), batch.completion_mask)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save and leave behind an optimizer step if the run was told to end."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        trainer = self.trainer
        finished = trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch
        if stepped and not finished:
            self.termination.save_and_leave_together(trainer)

    def validation_step(self, batch: PolicyBatch | None, batch_idx: int) -> None:
        """Answer-only loss on held-out rows, weighted by tokens; None weighs nothing but is logged by all."""
        if batch is None:
            refuse_idle_rank(self.trainer.strategy)
            loss, tokens = torch.zeros((), device=self.device), 0
        else:
            loss = answer_nll(self.policy.logps(batch), batch.completion_mask)
            tokens = batch.completion_tokens
        self.log("val/loss", loss, prog_bar=True, sync_dist=True, batch_size=tokens)
