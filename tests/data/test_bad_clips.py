"""The report of rows set aside: each once, whoever writes, whatever a crash left."""

from __future__ import annotations

import json
import logging
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from medgrpo.data.bad_clips import BadClips, rows_set_aside
from medgrpo.errors import UserError
from medgrpo.types import Clip, Sample
from tests.tasks.samples import make_sample


def _sample(row: int, clip: int | None = None) -> Sample:
    sample = make_sample("video_summary", "A summary.")
    return replace(
        sample, row=row, id=f"v{row}", clip=Clip(video=Path(f"{row if clip is None else clip}.mp4"))
    )


def _lines(report: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in report.read_text().splitlines()]


def test_rows_and_clips_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "medgrpo.data.bad_clips")
    bad = BadClips(tmp_path / "run" / "bad.jsonl", 2)
    assert bad.counts() == {"data/bad_clips": 0, "data/bad_rows": 0}
    for row, clip in ((3, 0), (4, 0), (3, 0), (7, 1)):
        bad.set_aside("r.json", _sample(row, clip), "is broken")
    bad.set_aside("other.json", _sample(3, 0), "is broken")
    assert bad.counts() == {"data/bad_clips": 2, "data/bad_rows": 4}
    assert [(line["records"], line["row"]) for line in _lines(bad.report)] == [
        ("r.json", 3),
        ("r.json", 4),
        ("r.json", 7),
        ("other.json", 3),
    ]
    assert _lines(bad.report)[0].items() >= {"id": "v3", "field": "video", "problem": "is broken"}.items()
    assert ["row 3" in record.getMessage() for record in caplog.records] == [True, False]
    later = BadClips(bad.report, 2)  # the run that continues this one
    later.set_aside("r.json", _sample(4, 0), "is broken")
    assert later.counts() == bad.counts()
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"of 3 clips cannot be read, more than max_bad_clips=2; .*row 9 \(v9\)"
        ):
            pickle.loads(pickle.dumps(later)).set_aside("r.json", _sample(9), "is broken")
    assert len(_lines(bad.report)) == 5


def _set_aside(report: Path, order: list[int]) -> None:
    bad = BadClips(report, 1000)
    for row in order:
        bad.set_aside("r.json", _sample(row), "is broken " * 50)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_share_a_report(start: str, tmp_path: Path) -> None:
    rows = list(range(60))
    context = multiprocessing.get_context(start)
    orders = [rows, rows[::-1], rows[30:] + rows[:30]]
    workers = [context.Process(target=_set_aside, args=(tmp_path / "b", order)) for order in orders]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(int(str(line["row"])) for line in _lines(tmp_path / "b")) == rows


def test_what_a_crash_left_costs_no_row(tmp_path: Path) -> None:
    report = tmp_path / "b"
    BadClips(report, 9).set_aside("r.json", _sample(1), "is broken")
    report.write_bytes(report.read_bytes() + b'[1]\n{"records": "r.json", "row": 2, "cl')
    bad = BadClips(report, 9)
    bad.set_aside("r.json", _sample(2), "is broken")
    bad.set_aside("r.json", _sample(1), "is broken")
    assert bad.counts() == BadClips(report, 9).counts() == {"data/bad_clips": 2, "data/bad_rows": 2}
    assert json.loads(report.read_text().splitlines()[-1])["row"] == 2


def test_a_report_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/bad\.jsonl: cannot be written"):
        BadClips(tmp_path / "file" / "bad.jsonl", 1).set_aside("r.json", _sample(1), "is broken")


def test_a_report_is_read_back_without_what_a_crash_left(tmp_path: Path) -> None:
    report = tmp_path / "bad.jsonl"
    BadClips(report, 5).set_aside("train.json", _sample(3), "frame 0 is missing")
    with report.open("ab") as file:
        file.write(b'{"records": "train.json", "ro')
    (entry,) = rows_set_aside(report)
    assert (entry["records"], entry["row"], entry["problem"]) == ("train.json", 3, "frame 0 is missing")
    with pytest.raises(UserError, match="cannot be read"):
        rows_set_aside(tmp_path / "none.jsonl")
