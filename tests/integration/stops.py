"""A callback that ends its own process at a precise moment, as a power cut or a scheduler would."""

from __future__ import annotations

import os
import signal
from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import Callback

from medgrpo.services import files


class Stop(Callback):
    """Ends the process.

    Args:
        moment: ``generate`` while a round's answers are sampled, ``train`` in its second micro-batch,
            ``checkpoint`` when its last checkpoint is written but does not have its name yet.
        round_index: Of the round.
        by: Name of the signal.
    """

    def __init__(
        self, moment: Literal["generate", "train", "checkpoint"], round_index: int, by: str = "SIGKILL"
    ) -> None:
        self.moment = moment
        self.round_index = round_index
        self.signal = signal.Signals[by]

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        generate, replace = pl_module.engine.generate, os.replace

        def stopping_generate(prompts: Any, *, progress: Any, **options: Any) -> Any:
            def stopping(finished: int) -> None:
                if self.moment == "generate" and self._round(trainer) == self.round_index:
                    os.kill(os.getpid(), self.signal)
                progress(finished)

            return generate(prompts, progress=stopping, **options)

        def stopping_replace(source: Any, target: Any) -> None:
            is_last = self.moment == "checkpoint" and str(target).endswith("last.ckpt")
            if is_last and self._round(trainer) >= self.round_index:
                os.kill(os.getpid(), self.signal)
            replace(source, target)

        pl_module.engine.generate = stopping_generate
        files.os.replace = stopping_replace  # type: ignore[attr-defined]

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self.moment == "train" and trainer.current_epoch == self.round_index and batch_idx == 1:
            os.kill(os.getpid(), self.signal)

    @staticmethod
    def _round(trainer: L.Trainer) -> int:
        return trainer.fit_loop.epoch_progress.current.processed
