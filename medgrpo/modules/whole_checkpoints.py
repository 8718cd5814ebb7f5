"""Checkpoints that are there whole or not at all, on whatever disk.

Lightning writes to the machine's folder for temporary files and moves the result, which across file systems
is a copy: killed in the middle of it, half a checkpoint has the name of a whole one.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from medgrpo.services.files import clear_parts, whole_file

__all__ = ["WholeCheckpointIO"]


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint's own place, to the disk, and renames; remote places are Lightning's."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """See :meth:`TorchCheckpointIO.save_checkpoint`.

        Raises:
            UserError: If the disk is full or the folder may not be written.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        clear_parts(path)  # rank 0 alone writes checkpoints of one file
        with whole_file(path) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # The archive writer covers the reason with a complaint about its own position.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
