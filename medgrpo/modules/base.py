"""What every training module of medgrpo shares: the policy, its optimizer and its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn

from medgrpo.modules.epoch_numbers import EpochNumbers
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.precision import ZeROPrecision, refuse_casting_plugin, refuse_lost_steps
from medgrpo.modules.schedule import Schedule
from medgrpo.modules.sharding import data_parallel, refuse_unserved, shard_policy

__all__ = ["PolicyModule"]


class PolicyModule(L.LightningModule):
    """Owns a policy, optimises what it marks as trainable, and saves only that.

    Args:
        policy: The model in training.
        optimizer: Called with the trainable parameters.
        schedule: Learning rate over the optimizer steps; None keeps it constant.
    """

    def __init__(
        self,
        policy: QwenVLPolicy,
        optimizer: OptimizerCallable,
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.optimizer = optimizer
        self.schedule = schedule
        # Frozen weights come from the base model's directory, so a checkpoint need not hold them.
        self.strict_loading = False
        self.epoch_numbers = EpochNumbers()

    def setup(self, stage: str) -> None:
        """Refuse strategies that policies are not made for, before weights are loaded."""
        refuse_unserved(type(self.trainer.strategy).__name__)

    def configure_model(self) -> None:
        """Load the weights, once, and split them over the ranks where the strategy is FSDP2."""
        self.policy.setup()
        if self.device_mesh is not None:
            for part in list(self.modules()):
                if isinstance(part, QwenVLPolicy):
                    shard_policy(part, data_parallel(self.device_mesh))

    def configure_optimizers(self) -> Any:
        """Optimise the trainable parameters under the schedule.

        Raises:
            UserError: If the weights are kept in a format in which steps of the learning rate are lost.
        """
        plugin = self.trainer.precision_plugin
        refuse_casting_plugin(plugin)
        optimizer = self.optimizer([p for p in self.policy.parameters() if p.requires_grad])
        if not isinstance(plugin, ZeROPrecision):
            refuse_lost_steps(self.policy.named_parameters(), max(g["lr"] for g in optimizer.param_groups))
        if self.schedule is None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log how much the run has set aside, where it may."""
        bad_clips = getattr(getattr(self.trainer, "datamodule", None), "bad_clips", None)
        if bad_clips is not None and bad_clips.limit > 0:
            self.log_dict(bad_clips.counts())

    def on_train_epoch_end(self) -> None:
        """Keep what the loggers are told after the epoch's checkpoint is written."""
        self.epoch_numbers.take(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out frozen weights."""
        checkpoint["epoch_numbers"] = self.epoch_numbers.state_dict()
        trainable = {name for name, p in self.named_parameters() if p.requires_grad}
        state: Mapping[str, torch.Tensor] = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if name in trainable}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Tell the loggers of the epoch that ended with the checkpoint, if training continues from it."""
        if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            self.epoch_numbers.tell(self.trainer, checkpoint.get("epoch_numbers", {}))
