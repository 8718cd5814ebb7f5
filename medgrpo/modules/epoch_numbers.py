"""The numbers of an epoch in its own checkpoint.

Lightning writes the checkpoint of an epoch before it tells the loggers what the epoch was like. A run that is
killed in between would continue behind an epoch that no logger knows.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

__all__ = ["EpochNumbers"]


class EpochNumbers:
    """Keeps what loggers are about to be told of an epoch, and tells it when the run continues."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}

    def take(self, trainer: L.Trainer) -> None:
        """Keep the numbers of the epoch that ends; all ranks must call it."""
        # What Lightning logs in a moment; `trainer.logged_metrics` would also hold those of earlier epochs.
        logged = trainer._logger_connector.metrics["log"]
        numbers = {name: v.item() if isinstance(v, torch.Tensor) else v for name, v in logged.items()}
        self._state = {
            "step": trainer.global_step - 1,
            "numbers": {**numbers, "epoch": trainer.current_epoch},
        }

    def state_dict(self) -> dict[str, Any]:
        """The numbers and their step; empty before the end of an epoch."""
        return self._state

    def tell(self, trainer: L.Trainer, state: dict[str, Any]) -> None:
        """Tell the loggers of a run that continues: once more, with the same values, where they know."""
        self._state = state
        for logger in trainer.loggers if state else ():
            logger.log_metrics(state["numbers"], step=state["step"])
            logger.save()
