"""Checkpoints that are there whole or not at all."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel

from medgrpo.errors import UserError
from medgrpo.modules.whole_checkpoints import WholeCheckpointIO
from medgrpo.services import files

CHECKPOINT = {"state_dict": {"w": torch.arange(100_000.0)}, "step": 3}


class _SmallDisk(io.FileIO):
    """Takes a thousand bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    plugin = WholeCheckpointIO()
    plugin.save_checkpoint(CHECKPOINT, path)
    monkeypatch.setattr(files.Path, "open", lambda self, mode: _SmallDisk(self, mode))
    with pytest.raises(UserError, match=r"last\.ckpt: cannot be written: no space is left on the disk"):
        plugin.save_checkpoint({**CHECKPOINT, "step": 4}, path)
    monkeypatch.undo()
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    loaded = plugin.load_checkpoint(path, weights_only=True)
    assert loaded["step"] == 3
    assert torch.equal(loaded["state_dict"]["w"], CHECKPOINT["state_dict"]["w"])  # type: ignore[index]


def test_lightning_saves_and_loads_through_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "plugins": [WholeCheckpointIO()],
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "limit_val_batches": 0,
    }
    trainer = L.Trainer(max_steps=2, **options)
    model = BoringModel()
    trainer.fit(model)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    again = BoringModel()
    resumed = L.Trainer(max_steps=3, **options)
    resumed.fit(again, ckpt_path=str(tmp_path / "end.ckpt"))
    assert resumed.global_step == 3
