"""The tiny AVOS, NurViD and JIGSAWS: the same bytes for the same seed, others for another."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


def content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.mark.parametrize("name", ["avos", "nurvid", "jigsaws"])
def test_a_layout_is_the_same_for_the_same_seed(tmp_path: Path, name: str) -> None:
    layout = importlib.import_module(f"medgrpo.data.synthetic.layouts.{name}")
    for folder, seed in (("one", 5), ("two", 5), ("other", 6)):
        (tmp_path / folder).mkdir()
        layout.write(tmp_path / folder, 1, seed)
    one = content(tmp_path / "one")
    assert content(tmp_path / "two") == one
    assert content(tmp_path / "other") != one


EXPECTED = {
    "avos": {
        "MULTITASK_FILES/TSM_FILES/annotations/v0.5.0-anns-smoothed.csv",
        "MULTITASK_FILES/TSM_FILES/annotations/train.csv",
        "MULTITASK_FILES/RETINANET_FILES/src/data/test_data.csv",
    },
    "nurvid": {
        "annotations/NurViD_annotations.json",
        "annotations/Procedure&Action_ID.xlsx",
        "annotations/task1&3/val.csv",
        "annotations/task2/procedure_train.csv",
    },
    "jigsaws": {
        "Suturing/meta_file_Suturing.txt",
        "Suturing/transcriptions/Suturing_B001.txt",
        "Suturing/video/Suturing_B001_capture2.avi",
        "Knot_Tying/meta_file_Knot_Tying.txt",
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_files_are_where_the_source_has_them(tmp_path: Path, name: str) -> None:
    importlib.import_module(f"medgrpo.data.synthetic.layouts.{name}").write(tmp_path, 1, 0)
    assert set(content(tmp_path)) >= EXPECTED[name]
