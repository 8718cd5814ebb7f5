"""SIGTERM: all ranks leave a run at the same place."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

__all__ = ["Termination"]


class Termination:
    """Whether a run was told to end.

    On several ranks Lightning's handler calls a collective, which waits for ever if another rank is inside of
    another one, and with a single process it ends the run between two micro-batches of a step. This one takes
    note alone, and ranks agree where all of them come by.
    """

    def __init__(self) -> None:
        self._trainer: L.Trainer | None = None
        self._noted = False

    def listen(self, trainer: L.Trainer) -> None:
        """Take SIGTERM over from Lightning, which has set its handler by then and restores the one before it.

        Args:
            trainer: Of the run.
        """
        if threading.current_thread() is threading.main_thread():
            self._trainer = trainer
            signal.signal(signal.SIGTERM, self._note)

    def told(self, trainer: L.Trainer) -> bool:
        """Whether this process has been told."""
        return self._noted or trainer.received_sigterm

    def leave_together(self, trainer: L.Trainer) -> None:
        """End the run if any rank has been told; all ranks must come by, and as often.

        Raises:
            SIGTERMException: On all ranks alike.
        """
        if trainer.strategy.reduce_boolean_decision(self.told(trainer), all=False):
            raise SIGTERMException

    def save_and_leave_together(self, trainer: L.Trainer) -> None:
        """The same, behind a checkpoint from which ``--ckpt_path=last`` continues.

        Raises:
            SIGTERMException: On all ranks alike.
        """
        try:
            self.leave_together(trainer)
        except SIGTERMException:
            _save_last(trainer)
            raise

    def _note(self, signum: int, frame: FrameType | None) -> None:
        assert self._trainer is not None
        launcher = self._trainer.strategy.launcher
        if launcher is not None and not self._noted:
            launcher.kill(signum)  # the processes that this one started
        self._noted = True


def _save_last(trainer: L.Trainer) -> None:
    """Write what the run's ModelCheckpoint calls its last checkpoint, if it keeps one."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.save_last and callback.dirpath is not None:
            name = f"{callback.CHECKPOINT_NAME_LAST}{callback.FILE_EXTENSION}"
            trainer.save_checkpoint(Path(callback.dirpath) / name)
            return
