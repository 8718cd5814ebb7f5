"""Rows read one at a time equal rows read together, and an index never outlives its file."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data import index
from medgrpo.data.index import build_index, index_paths, load_index, prepare_index, stamp_of
from medgrpo.data.lazy_records import Records, answered_of, clips_of, keys_of, open_records, pairs_of
from medgrpo.data.media import AUTHOR_ROOT
from medgrpo.data.records import read_records, write_records
from medgrpo.errors import UserError
from tests.data.test_records import region_row, row


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def varied() -> list[dict[str, Any]]:
    """Rows of all kinds: shared clips, other tasks and sources, no answers, video files, no ASCII."""
    asked = row()["conversations"][:1]
    return [
        row(),
        row(qa_type="tal"),
        row(id="ü&&𝄞", qa_type="tal", data_source="AVOS", metadata={"fps": "2", "video_id": "é"}),
        region_row(),
        row(conversations=asked, struc_info=..., qa_type="next_action", data_source="AVOS"),
        row(video="a.mp4", sampled_video_frames=..., metadata={"start_frame": "0", "end_frame": "9"})
        | {"metadata": {"input_video_start_time": "1", "input_video_end_time": "4"}},
        row(sampled_video_frames=[100, 100, 115, 131]),
        row(video=[f"{AUTHOR_ROOT}/X/{k}.jpg" for k in range(4)]),
    ]


def write(tmp_path: Path, rows: list[dict[str, Any]], name: str = "rows.json") -> Path:
    path = tmp_path / name
    write_records(rows, path)
    return path


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_rows_read_one_at_a_time_equal_rows_read_together(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, varied(), name)
    options = {"media_root": tmp_path / "media", "media_prefixes": {"f": "/disk"}}
    together, records = read_records(path, **options), open_records(path, **options)
    assert list(records) == together
    assert len(records) == len(together)
    assert records[-1] == together[-1]
    assert [records.raw(i) for i in range(len(records))] == varied()
    for columns in (keys_of, pairs_of, answered_of):
        assert columns(records) == columns(together)
    assert records.tasks == [s.task for s in together]
    assert records.datasets == [s.dataset for s in together]
    assert records.video_ids == [s.video_id for s in together]
    assert records.has_truth.tolist() == [s.truth is not None for s in together]
    same = [[a == b for b in clips_of(together)] for a in clips_of(together)]
    assert [[a == b for b in clips_of(records)] for a in clips_of(records)] == same
    assert records[0].clip is records[1].clip
    with pytest.raises(IndexError):
        records[len(records)]


def test_selections_are_views(tmp_path: Path) -> None:
    records = open_records(write(tmp_path, varied()))
    assert [s.row for s in records[1::3]] == [1, 4, 7]
    assert [s.row for s in records[::-1][:2]] == [7, 6]
    view = records.select([5, 2, 2, 0]).select([3, 1])
    assert [s.row for s in view] == [0, 2]
    assert view.video_ids == ["VID02", "é"]
    assert len(records.select([])) == 0
    assert records.select([]).pairs == []
    assert [s.row for s in records.where(tasks={"tal", "next_action"})] == [1, 2, 4]
    assert [s.row for s in records.where(tasks={"tal", "next_action"}, answered=True)] == [1, 2]
    assert records.where(answered=False).answered.tolist() == [False]
    assert len(open_records(write(tmp_path, [], "empty.json"))) == 0


TEXT = st.text(min_size=1).filter(lambda text: text.replace("<video>", "", 1).strip() != "")


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_any_text_is_found_again(
    texts: list[tuple[str, str]],
    indent: int | None,
    ascii_only: bool,
    mark: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "unicode.json"
    rows = [row(id=a, conversations=[{"from": "human", "value": b}]) for a, b in texts]
    path.write_bytes(mark + json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode())
    assert list(open_records(path)) == read_records(path)


def test_a_kept_index_is_used_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, varied())
    kept = load_index(path, keep=True)
    assert kept.place == path.with_name("rows.json.index.arrow")
    assert list(tmp_path.glob("*.tmp")) == []
    built: list[Path] = []

    def counted(records: Path, **options: Any) -> pa.Table:
        built.append(records)
        return build_index(records, **options)

    monkeypatch.setattr(index, "build_index", counted)
    again = load_index(path, keep=True)
    assert again.table.equals(kept.table)
    assert built == []
    stat = path.stat()
    content = path.read_text()
    changes = {
        "size": lambda: path.write_text(content + "\n"),
        "time": lambda: os.utime(path, ns=(1, 1)),
        "content": lambda: (
            path.write_text(content.replace("VID02", "VID03")),
            os.utime(path, ns=(stat.st_atime_ns, 1)),
        ),
        "version": lambda: monkeypatch.setattr(index, "VERSION", -1),
        "damage": lambda: kept.place.write_bytes(kept.place.read_bytes()[:200]),
        "rubbish": lambda: kept.place.write_bytes(b"rubbish"),
    }
    for count, change in enumerate(changes.values(), 1):
        change()
        load_index(path, keep=True)
        load_index(path, keep=True)
        assert len(built) == count
    assert load_index(path).table["id"][0].as_py().startswith("VID03")


def test_small_files_leave_no_index_and_large_ones_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, varied())
    open_records(path)
    prepare_index(path)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.json"]
    monkeypatch.setattr(index, "KEPT_FROM", 1)
    prepare_index(path)
    assert index_paths(path)[0].is_file()
    prepare_index(tmp_path / "missing.json")


def test_a_folder_that_cannot_be_written_to_sends_the_index_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, varied())
    index_paths(path)[0].mkdir()  # in the way of the file
    kept = load_index(path, keep=True)
    assert kept.place == index_paths(path)[1]
    assert kept.place.is_relative_to(tmp_path / "cache" / "medgrpo")
    assert load_index(path).place == kept.place
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))  # no folder either
    assert load_index(path, keep=True).place is None


@pytest.mark.parametrize("keep", [False, True])
def test_workers_get_the_index_and_not_the_rows(keep: bool, tmp_path: Path) -> None:
    path = write(tmp_path, varied())
    load_index(path, keep=keep)
    records = open_records(path)[1:]
    expected = list(records)
    pickled = pickle.dumps(records)
    assert (b"id\x00" in pickled or b"&&250" in pickled) is not keep  # a kept index is named by its file
    assert list(pickle.loads(pickled)) == expected
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(records.__getitem__, range(len(records))) == expected
    if keep:
        index_paths(path)[0].unlink()
        with pytest.raises(UserError, match="this index is gone"):
            pickle.loads(pickled)


def test_a_file_that_changes_under_a_run_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, [row(), row(id="other")])
    records = open_records(path)
    write_records([row(id="other"), row()], path)
    with pytest.raises(UserError, match=r"rows\.json: changed since it was opened"):
        records[0]
    path.write_text("{}")
    with pytest.raises(UserError, match="changed since it was opened"):
        records[1]
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        records[1]
    with pytest.raises(UserError, match="no such records file"):
        stamp_of(path)


def test_a_defect_is_found_when_the_file_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path, [row(), row(sampled_video_frames=[3, 2, 1, 0])])
    with pytest.raises(UserError, match="row 1: field 'sampled_video_frames': the frame ids go backwards"):
        open_records(path)


def test_only_asked_rows_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = open_records(write(tmp_path, varied()))
    parsed: list[int] = []
    parse = Records._parse
    monkeypatch.setattr(Records, "_parse", lambda self, r: parsed.append(r) or parse(self, r))
    view = records.where(tasks={"stg"}, answered=True)[::2]
    assert (len(view.pairs), len(view.keys), len(view.clip_ids)) == (2, 2, 2)
    assert parsed == []
    assert view[1].row == view[1].row == 6
    assert parsed == [6]
