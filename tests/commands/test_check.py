"""The check command: exit status, what it prints and writes, broken lines, duplicates, frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medgrpo import cli
from medgrpo.data.records import read_rows, write_records
from tests.data.test_records import region_row, row


def check(*arguments: Any) -> int:
    return cli.main(["check", *map(str, arguments)])


def test_a_right_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    human = row()["conversations"][:1]
    write_records([row(), row(conversations=human, id="x", struc_info=...)], tmp_path / "rows.json")
    assert check(tmp_path / "rows.json") == 0
    out = capsys.readouterr().out
    assert "rows.json: 2 rows, 0 with defects, 1 without a reference answer, 0 identical" in out
    assert "CholecTrack20" in out


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Six rows: two right, three with defects of four fields, one no object."""
    path = tmp_path / "bad.json"
    rows = [
        row(),
        row(id=3, metadata={}),
        row(id="b", struc_info=[{"bbox_dict": {"1": [1]}}]),
        7,
        row(id="c"),
        row(id="d", metadata={"fps": "0"}),
    ]
    path.write_text(json.dumps(rows))
    return path


def test_every_defect_is_listed(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(bad) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "row 1 (line 1): field 'id': expected text, found 3",
        "row 1 (line 1): field 'metadata.fps': is missing; expected a positive number of frames a second",
        "row 2 (line 1): field 'struc_info.bbox_dict': item 0: at 1: [1]; "
        "expected [x1, y1, x2, y2] with x1 < x2 and y1 < y2",
        "row 3 (line 1): expected an object, found 7",
        "row 5 (line 1): field 'metadata.fps': is '0'; expected a positive number of frames a second",
    ]
    assert ["metadata.fps", "2"] in [line.split() for line in lines]
    assert ["CholecTrack20", "5", "3", "4"] in [line.split() for line in lines]
    assert ["stg", "5", "3", "4"] in [line.split() for line in lines]
    assert ["unknown", "1", "1", "1"] in [line.split() for line in lines]


def test_fewer_are_shown_and_all_are_reported(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = bad.parent / "made" / "report.json"
    assert check(bad, "--show", 1, "--report", report) == 1
    out = capsys.readouterr().out
    assert "row 1 (line 1): field 'id'" in out
    assert "row 2" not in out
    assert "... and 4 more defects" in out
    content = json.loads(report.read_text())
    assert [defect["row"] for defect in content["list"]] == [1, 1, 2, 3, 5]
    assert content["list"][0] == {"row": 1, "line": 1, "field": "id", "problem": "expected text, found 3"}


def test_bad_rows_are_set_aside(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    side, clean = bad.parent / "side.jsonl", bad.parent / "clean.json"
    assert check(bad, "--quarantine", side, "--clean", clean, "--json") == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["rows"], summary["bad_rows"], summary["defects"]) == (6, 4, 5)
    assert summary["by_field"]["metadata.fps"] == 2
    assert summary["by_dataset"]["CholecTrack20"] == {"rows": 5, "bad_rows": 3, "defects": 4}
    aside = read_rows(side)
    assert [entry.pop("_row") for entry in aside] == [1, 2, 3, 5]
    assert [[d["field"] for d in entry.pop("_defects")] for entry in aside] == [
        ["id", "metadata.fps"],
        ["struc_info.bbox_dict"],
        ["row"],
        ["metadata.fps"],
    ]
    assert aside[2] == {"_value": 7}
    assert aside[3] == row(id="d", metadata={"fps": "0"})
    assert read_rows(clean) == [row(), row(id="c")]
    assert check(clean) == 0


def test_broken_files_are_one_line_and_broken_lines_can_be_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, side, clean = (tmp_path / name for name in ("rows.jsonl", "side.jsonl", "clean.jsonl"))
    path.write_text(json.dumps(row()) + '\n{"id": "cut\n' + json.dumps(row(id="b")) + "\n")
    assert check(path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "rows.jsonl: not valid JSON at line 2, column 8: Unterminated string" in error
    assert check(path, "--quarantine", side, "--clean", clean) == 1
    (entry,) = read_rows(side)
    assert entry["_row"] == 1
    assert entry["_line"] == '{"id": "cut'
    assert read_rows(clean) == [row(), row(id="b")]
    array = tmp_path / "cut.json"
    array.write_text(json.dumps([row(), row()], indent=1)[:-9])
    capsys.readouterr()
    assert check(array, "--quarantine", side) == 2
    assert "cut.json: not valid JSON at line" in capsys.readouterr().err.splitlines()[-1]
    assert check(tmp_path / "missing.json") == 2


def test_duplicates_are_told_apart_and_are_no_defects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = row(struc_info=[])
    rows = [row(), row(id="a"), row(), row(id="a", qa_type="tal", struc_info=[]), row(id="b"), other, row()]
    write_records([*rows, row(id="b")], tmp_path / "rows.json")
    assert check(tmp_path / "rows.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["duplicates"] == {
        "identical": {"keys": 2, "rows": 5},
        "conflicting": {"keys": 1, "rows": 4},
    }
    check(tmp_path / "rows.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "rows 0, 2, 6: identical",
        "rows 4, 7: identical",
        "rows 0, 2, 5, 6: one id, task and question, but different contents",
    ]


@pytest.mark.parametrize(
    "options", [["--show=-1"], ["--workers=0"], ["--clean=rows.json"], ["--media-prefix=x"]]
)
def test_wrong_options(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_records([row()], "rows.json")
    assert check("rows.json", *options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert read_rows("rows.json") == [row()]


def frames(folder: Path, sizes: dict[str, tuple[int, int]]) -> None:
    for name, size in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def test_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    media = tmp_path / "media"
    names = row()["video"]
    frames(media, dict.fromkeys((name.replace("f/", "moved/") for name in names), (64, 48)))
    frames(media, {"odd.png": (32, 48), "cut.jpg": (64, 48), "none.jpg": (64, 48)})
    whole = (media / "cut.jpg").read_bytes()
    (media / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (media / "none.jpg").write_bytes(b"no image")
    good = "f/000100.jpg"

    def four(*others: str) -> list[str]:
        return [*others, *[good] * (4 - len(others))]

    fps = {"fps": "1"}
    rows = [
        row(),
        row(id="a", metadata=fps | {"width": "64", "height": "48"}),
        row(id="b", metadata=fps | {"width": "640", "height": "x"}),
        row(id="c", video=four("odd.png")),
        row(id="d", video=four("cut.jpg", "none.jpg", "gone.jpg")),
        row(id="e", struc_info=[{"bbox_dict": {"1": [0, 0, 858, 480], "2": [-2.9, 0, 9, 482.9]}}]),
        row(id="f", data_source="CoPESD", struc_info=[{"bbox_dict": {"1": [0, 0, 66.9, 50.9]}}]),
        row(id="g", data_source="CoPESD", struc_info=[{"bbox_dict": {"1": [0, 0, 67.1, 40]}}]),
        region_row(start_frame_bbox=[0, -9, 10, 10]),
    ]
    write_records(rows, tmp_path / "rows.json")
    report = tmp_path / "report.json"
    options = ["--frames", "--media-root", media, "--media-prefix", "f=moved", "--workers", 2]
    assert check(tmp_path / "rows.json", *options, "--report", report) == 1
    found = [(d["row"], d["field"], d["problem"]) for d in json.loads(report.read_text())["list"]]
    assert [entry[:2] for entry in found] == [
        (2, "metadata.width"),
        (2, "metadata.height"),
        (3, "video"),
        (4, "video"),
        (5, "struc_info.bbox_dict"),
        (7, "struc_info.bbox_dict"),
        (8, "RC_info.start_frame_bbox"),
    ]
    problems = [entry[2] for entry in found]
    assert problems[0] == "is '640', the frames are 64x48"
    assert problems[2] == "frames differ in size: odd.png is 32x48, most are 64x48"
    assert problems[3].startswith("cut.jpg: cannot be decoded: ")
    assert problems[3].endswith("(and 2 more broken files)")
    assert problems[4] == "[0.0, 0.0, 858.0, 480.0] is outside of the 854x480 canvas"
    assert problems[5] == "[0.0, 0.0, 67.1, 40.0] is outside of the 64x48 canvas"
    assert "8 distinct frames and videos, 3 of them broken" in capsys.readouterr().out


def test_video_files(tmp_path: Path) -> None:
    (tmp_path / "rubbish.mp4").write_bytes(b"rubbish")
    kinds = {"video": "rubbish.mp4", "sampled_video_frames": ..., "metadata": {}}
    write_records([row(**kinds), row(**kinds | {"video": "gone.mp4"}, id="b")], tmp_path / "rows.json")
    report = tmp_path / "report.json"
    assert check(tmp_path / "rows.json", "--frames", "--report", report) == 1
    problems = [defect["problem"] for defect in json.loads(report.read_text())["list"]]
    assert problems[0].startswith("rubbish.mp4: cannot be decoded: ")
    assert problems[1] == "gone.mp4: no such file"


def test_the_synthetic_world_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["synthesize", str(tmp_path), "--videos=4", "--mp4=1", "--workers=1"]) == 0
    for name in ("train", "test", "test_mp4"):
        assert check(tmp_path / f"{name}.json", "--frames") == 0, capsys.readouterr().out
