"""Lightning callbacks: what a run leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn

from medgrpo.errors import UserError
from medgrpo.modules.hf_weights import refuse_partial_export
from medgrpo.modules.sampling_file import FILE_NAME, write_sampling
from medgrpo.modules.sharding import is_sharded
from medgrpo.services.files import clear_parts, whole_folder

__all__ = ["ExportHF"]


class ExportHF(Callback):
    """Writes the policy as a Hugging Face directory when training ends.

    Args:
        directory: Where to, in place of an earlier export; adapters are merged into the weights.
        merge: False writes the adapter alone.
    """

    def __init__(self, directory: str, merge: bool = True) -> None:
        self.directory = directory
        self.merge = merge
        self._exported = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Refuse, before training, what cannot be exported after it.

        Raises:
            UserError: If the folder holds anything but an earlier export, or an adapter alone would leave out
                other weights that are trained.
        """
        refuse_partial_export(pl_module.policy, merge=self.merge)
        folder = Path(self.directory)
        self._exported = False
        if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE_NAME).is_file():
            raise UserError(
                f"{folder}: holds other files than an exported model, which takes the folder's place; "
                "set another directory of ExportHF (trainer.callbacks.export)"
            )

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Export on rank 0, after an ordinary end only."""
        if not trainer.interrupted:
            self._export(trainer, pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Export if a finished run was started again: it may have been killed before it could."""
        if self._exported:
            return
        if is_sharded(pl_module.policy):  # a strategy that has ended brings no shards together
            rank_zero_warn(f"{self.directory} stays as it is: export the finished run with medgrpo export")
            return
        self._export(trainer, pl_module)

    def _export(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._exported = True
        policy = pl_module.policy
        if not trainer.is_global_zero:
            if is_sharded(policy):  # rank 0 needs this one's pieces
                policy.save_hf(self.directory, merge=self.merge)
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        clear_parts(self.directory)
        with whole_folder(self.directory) as folder:
            policy.save_hf(folder, merge=self.merge)
            write_sampling(folder, datamodule.sampling)
