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
            ``checkpoint`` when its last checkpoint is written but does not have its name yet, ``saved`` when
            it has and no logger knows of the round.
        round_index: Of the round.
        by: Name of the signal.
        rank: The process that it is sent to.
    """

    def __init__(
        self,
        moment: Literal["generate", "train", "checkpoint", "saved"],
        round_index: int,
        by: str = "SIGKILL",
        rank: int = 0,
    ) -> None:
        self.moment = moment
        self.round_index = round_index
        self.signal = signal.Signals[by]
        self.rank = rank

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        generate, replace = pl_module.engine.generate, os.replace

        def stopping_generate(prompts: Any, *, progress: Any, **options: Any) -> Any:
            def stopping(finished: int) -> None:
                self._stop("generate", trainer)
                progress(finished)

            return generate(prompts, progress=stopping, **options)

        def stopping_replace(source: Any, target: Any) -> None:
            is_last = str(target).endswith("last.ckpt")
            if is_last:
                self._stop("checkpoint", trainer, ended=1)
            replace(source, target)
            if is_last:
                self._stop("saved", trainer, ended=1)

        pl_module.engine.generate = stopping_generate
        files.os.replace = stopping_replace  # type: ignore[attr-defined]

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1:
            self._stop("train", trainer)

    def _stop(self, moment: str, trainer: L.Trainer, ended: int = 0) -> None:
        rounds = trainer.fit_loop.epoch_progress.current.processed
        if (moment, rounds - ended, trainer.global_rank) == (self.moment, self.round_index, self.rank):
            os.kill(os.getpid(), self.signal)
