"""Lightning callbacks: what a run leaves behind."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from medgrpo.modules.sampling_file import write_sampling
from medgrpo.modules.sharding import is_sharded, whole_state
from medgrpo.services.files import whole_folder

__all__ = ["ExportHF"]


class ExportHF(Callback):
    """Writes the policy as a Hugging Face directory when training ends.

    Args:
        directory: Where to; adapters are merged into the weights.
        merge: False writes the adapter alone.
    """

    def __init__(self, directory: str, merge: bool = True) -> None:
        self.directory = directory
        self.merge = merge

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Export on rank 0, after an ordinary end only."""
        if trainer.interrupted:
            return
        policy = pl_module.policy
        state = None
        if is_sharded(policy):
            state = whole_state(policy, merge=self.merge, keep=trainer.is_global_zero)
        if not trainer.is_global_zero:
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        with whole_folder(self.directory) as folder:
            policy.save_hf(folder, merge=self.merge, state=state)
            write_sampling(folder, datamodule.sampling)
