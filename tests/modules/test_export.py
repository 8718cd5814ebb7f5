"""The exported model appears whole, where nothing else is lost for it, also after a late end."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.errors import UserError
from medgrpo.modules import ExportHF
from tests.modules import grpo_scene as scenes


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("export"))


def _fit(scene: Path, out: Path, folder: Path) -> None:
    run, module, data = scenes.make_run(scene, out, rounds=1, callbacks=[ExportHF(str(folder))])
    run.fit(module, data, ckpt_path="last")


def test_a_folder_with_other_files_is_refused_before_training(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="holds other files than an exported model"):
        _fit(scene, tmp_path / "out", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert not list(tmp_path.glob("out/rollouts/*"))


def test_a_finished_run_that_is_started_again_exports(scene: Path, tmp_path: Path) -> None:
    folder, leftover = tmp_path / "hf", tmp_path / ".hf.0123.part"
    _fit(scene, tmp_path / "out", folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    leftover.mkdir()
    _fit(scene, tmp_path / "out", folder)
    assert (folder / "model.safetensors").read_bytes() == weights
    assert not leftover.exists()
