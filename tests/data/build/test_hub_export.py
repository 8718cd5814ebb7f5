"""The export to Parquet: opened by Hugging Face's library, and back to the same records."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medgrpo.data.build.output.hub_export import SCHEMA, export_parquet, open_datasets, record_of
from medgrpo.errors import UserError
from tests.data.build.test_output import build
from tests.data.build.verify_scene import corpus


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build(out, list(corpus(videos=8, clips=1)))
    return out


def records(built: Path, split: str) -> list[object]:
    return json.loads((built / f"{split}.json").read_text())


def test_the_library_opens_it_and_nothing_is_lost(built: Path, tmp_path: Path) -> None:
    files = export_parquet(built, tmp_path / "hub")
    assert [path.relative_to(tmp_path / "hub").as_posix() for path in files] == [
        "README.md",
        "data/train-00000.parquet",
        "data/val-00000.parquet",
    ]
    found = open_datasets(tmp_path / "hub", tmp_path / "cache")
    assert sorted(found) == ["train", "val"]
    for split in found:
        assert [record_of(row) for row in found[split]] == records(built, split)
    row = found["val"][0]
    assert row["canonical_video_id"].startswith("cholec:")
    assert row["task"] == "video_summary"


@pytest.mark.parametrize("rows", [1, 7, 40, 10_000])
def test_files_hold_at_most_so_many_rows(built: Path, tmp_path: Path, rows: int) -> None:
    files = [path for path in export_parquet(built, tmp_path, rows) if path.name.startswith("val")]
    tables = [pq.read_table(path) for path in files]
    expected = records(built, "val")
    assert [record_of(row) for table in tables for row in table.to_pylist()] == expected
    assert [len(table) for table in tables] == [
        min(rows, len(expected) - start) for start in range(0, len(expected), rows)
    ]
    assert tables[0].schema.equals(SCHEMA)


def test_the_same_build_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    first, second = (export_parquet(built, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_empty_split_is_a_file_without_rows(tmp_path: Path) -> None:
    build(tmp_path / "built", [])
    files = export_parquet(tmp_path / "built", tmp_path / "hub")
    assert [len(pq.read_table(path)) for path in files if path.suffix == ".parquet"] == [0, 0]


def test_a_folder_that_is_no_build_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.json: cannot be read"):
        export_parquet(tmp_path, tmp_path / "hub")
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="names no splits"):
        export_parquet(tmp_path, tmp_path / "hub")
