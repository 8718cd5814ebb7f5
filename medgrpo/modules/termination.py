"""SIGTERM: all ranks leave a run at the same place."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

__all__ = ["Termination"]


class Termination:
    """Whether a run was told to end.

    On several ranks Lightning's handler calls a collective, which waits for ever if another rank is inside of
    another one. This one takes note alone, and ranks agree where all of them come by.
    """

    def __init__(self) -> None:
        self._trainer: L.Trainer | None = None
        self._noted = False

    def listen(self, trainer: L.Trainer) -> None:
        """Take SIGTERM over from Lightning, which has set its handler by then and restores the one before it.

        Args:
            trainer: Of the run; with a single process Lightning's handler stays.
        """
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
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

    def _note(self, signum: int, frame: FrameType | None) -> None:
        assert self._trainer is not None
        launcher = self._trainer.strategy.launcher
        if launcher is not None and not self._noted:
            launcher.kill(signum)  # the processes that this one started
        self._noted = True
