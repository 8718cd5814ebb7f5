"""What may happen to files while the dashboard looks at them."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.index import GroupFilter, RolloutIndex, tables
from app.index import scan as scanning
from medgrpo.errors import UserError
from medgrpo.rollout.compaction import compact_run
from medgrpo.rollout.numbers import NUMBERS
from medgrpo.rollout.store import RolloutStore
from tests.rollout.rollouts import make_rollout, make_sample


def write(root: Path, steps: int = 4, *, run: str = "r", text: str = "words") -> list[Path]:
    store = RolloutStore(root, run)
    return [
        store.write(
            step,
            [
                make_rollout(make_sample(), f"{text} {step} {index}", index=index, value=0.1 * step)
                for index in range(2)
            ],
            wall_time=1e9,
        )
        for step in range(steps)
    ]


def opened(root: Path, own: Path | None = None) -> RolloutIndex:
    index = RolloutIndex(root)
    if own is not None:
        own.mkdir(exist_ok=True)
        index._tables.keep_in(own)
    index.refresh()
    index._tables.keep()
    return index


def everything(index: RolloutIndex) -> list[Any]:
    parts = index.rows("SELECT * EXCLUDE (shard) FROM parts ORDER BY ALL")
    answers = index.rows("SELECT * EXCLUDE (shard, row) FROM answers ORDER BY ALL")
    return [answers, parts, index.groups(GroupFilter())]


def test_a_compaction_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    write(tmp_path, 6)
    index = opened(tmp_path)
    before = everything(index)
    whole = index.group("r", 2, "g0")
    compact_run(tmp_path, "r", keep_last=1)
    assert index.refresh()
    assert everything(index) == before
    assert index.problems == {}
    assert index.group("r", 2, "g0") == whole
    assert not index.refresh()
    assert everything(opened(tmp_path)) == before


def test_a_file_that_is_merged_between_listing_and_reading_is_found_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 6)
    index = RolloutIndex(tmp_path)
    look = scanning.Scan.look

    def slow(self: scanning.Scan) -> Any:
        seen = look(self)
        compact_run(tmp_path, "r", keep_last=1)
        return seen

    with monkeypatch.context() as patched:
        patched.setattr(scanning.Scan, "look", slow)
        index.refresh()
    assert index.steps("r") == [5]
    assert len(index.problems) == 5
    index.refresh()
    assert (index.steps("r"), index.problems) == ([5, 4, 3, 2, 1, 0], {})


def test_a_run_that_vanishes_is_told_and_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "runs")
    write(tmp_path / "runs", run="other")
    index = opened(tmp_path / "runs")
    before = everything(index)
    folder = tmp_path / "runs/rollouts/run=r"
    shutil.move(folder, tmp_path / "away")
    assert index.refresh()
    assert [run.run for run in index.runs()] == ["other"]
    assert "4 rounds have gone" in index.problems["run r"]
    assert not index.refresh()
    shutil.move(tmp_path / "away", folder)
    assert index.refresh()
    assert (everything(index), index.problems) == (before, {})
    shutil.move(tmp_path / "runs", tmp_path / "gone")
    assert index.refresh()
    assert "the folder has gone" in index.problems[str(tmp_path / "runs")]
    assert index.groups(GroupFilter()) == ([], 0)
    shutil.move(tmp_path / "gone", tmp_path / "runs")
    index.refresh()
    assert everything(index) == before


def test_truncated_foreign_and_newer_shards_are_told_until_they_are_whole(tmp_path: Path) -> None:
    paths = write(tmp_path)
    index = opened(tmp_path)
    before = everything(index)
    whole = paths[1].read_bytes()
    for content in (whole[:-50], b"", b"PAR1 something else PAR1"):
        paths[1].write_bytes(content)
        assert index.refresh() or str(paths[1]) in index.problems
        assert index.steps("r") == [3, 2, 0]
        assert str(paths[1]) in index.problems
        assert "round 1 have gone or cannot be read" in index.problems["run r"]
    paths[1].write_bytes(whole)
    index.refresh()
    assert (everything(index), index.problems) == (before, {})


def test_what_cannot_be_listed_or_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = write(tmp_path)
    link = first.with_name("rank=007-00000000.parquet")
    link.symlink_to(tmp_path / "nowhere")
    index = opened(tmp_path)
    assert "no such file" in index.problems[str(link)]
    assert len(index.steps("r")) == 4

    def refuse(store: Path) -> list[Path]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(store))

    with monkeypatch.context() as patched:
        patched.setattr(scanning, "find_shards", refuse)
        index.refresh()
    assert "Input/output error" in index.problems[str(tmp_path)]
    link.unlink()
    index.refresh()
    assert (len(index.steps("r")), index.problems) == (4, {})


def test_one_damaged_file_among_many_costs_no_other(tmp_path: Path) -> None:
    paths = write(tmp_path, 9)
    data = bytearray(paths[4].read_bytes())  # an intact footer over damaged pages
    data[4 : len(data) // 3] = bytes(len(data) // 3 - 4)
    paths[4].write_bytes(data)
    index = opened(tmp_path, tmp_path / "own")
    assert index.steps("r") == [8, 7, 6, 5, 3, 2, 1, 0]
    assert list(index.problems) == [str(paths[4])]
    assert not index.refresh()


def test_numbers_are_kept_for_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "runs", 40)
    own = tmp_path / "own"
    before = everything(opened(tmp_path / "runs", own))
    read: list[int] = []
    read_numbers = tables.read_numbers

    def counted(file: str, numbered: Any) -> Any:
        read.append(len(numbered))
        return read_numbers(file, numbered)

    monkeypatch.setattr(tables, "read_numbers", counted)
    assert everything(opened(tmp_path / "runs", own)) == before
    assert read == []
    write(tmp_path / "runs", 41, text="other")  # all are other files now
    again = opened(tmp_path / "runs", own)
    assert sum(read) == 41
    assert len(again.steps("r")) == 41
    after = everything(again)
    (segment,) = own.glob("numbers-*/*")  # that of the older files is of no use and has gone
    read.clear()
    (segment / "answers.parquet").write_bytes(b"damaged")
    assert everything(opened(tmp_path / "runs", own)) == after
    assert sum(read) == 41
    assert everything(opened(tmp_path / "runs", own)) == after


def test_older_shards_without_their_numbers_read_the_same(tmp_path: Path) -> None:
    paths = write(tmp_path, 4)
    before = everything(opened(tmp_path))
    for path in paths[:2]:
        with pq.ParquetFile(path) as file:
            table = file.read()
        pq.write_table(table.drop_columns(list(NUMBERS)), path)
    index = opened(tmp_path)
    assert everything(index) == before
    assert index.rows("SELECT DISTINCT tokens, surprise FROM answers") == [(2, 0.875)]
    compact_run(tmp_path, "r", keep_last=1)
    index.refresh()
    assert (everything(index), index.problems) == (before, {})


@pytest.mark.parametrize("lost", ["reward", "components", "judge"])
def test_a_shard_that_lacks_a_column_is_told_and_costs_no_other(tmp_path: Path, lost: str) -> None:
    paths = write(tmp_path, 3)
    with pq.ParquetFile(paths[1]) as file:
        table = file.read()
    pq.write_table(table.drop_columns([lost]), paths[1])
    index = opened(tmp_path)
    assert index.steps("r") == [2, 0]
    assert lost in index.problems[str(paths[1])]


def test_a_column_of_another_type_is_told(tmp_path: Path) -> None:
    paths = write(tmp_path, 3)
    with pq.ParquetFile(paths[1]) as file:
        table = file.read()
    words = pa.array(["much"] * len(table))
    place = table.column_names.index("reward")
    pq.write_table(table.set_column(place, "reward", words), paths[1])
    index = opened(tmp_path)
    assert index.steps("r") == [2, 0]
    assert "much" in index.problems[str(paths[1])]


def test_answers_that_have_gone_meanwhile_are_not_kept(tmp_path: Path) -> None:
    paths = write(tmp_path / "runs", 40)
    own = tmp_path / "own"
    own.mkdir()
    index = RolloutIndex(tmp_path / "runs")
    index._tables.keep_in(own)
    index.refresh()
    paths[0].unlink()
    index.refresh()
    index._tables.keep()
    (listed,) = own.glob("numbers-*/*/shards.json")
    assert len(json.loads(listed.read_text())) == 39
    paths[1].unlink()
    assert len(opened(tmp_path / "runs", own).steps("r")) == 38


def test_a_full_disk_costs_the_next_start_its_speed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "runs", 40)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        index = opened(tmp_path / "runs", tmp_path / "own")
    assert len(index.steps("r")) == 40
    assert index.problems == {}
    assert list((tmp_path / "own").glob("numbers-*/*")) == []


def test_a_group_whose_file_has_gone_is_one_line(tmp_path: Path) -> None:
    paths = write(tmp_path)
    index = opened(tmp_path)
    paths[0].unlink()
    with pytest.raises(UserError, match="cannot be read any more"):
        index.group("r", 0, "g0")
