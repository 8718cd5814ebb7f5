from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.extents import Extent, frame_times, parse_extent
from medgrpo.data.records import read_records, read_rows, write_records
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas, Region


def row(**changes: Any) -> dict[str, Any]:
    """A row in the benchmark's form; a change to ``...`` removes the field."""
    record = {
        "id": "VID02&&100&&250&&0.5",
        "qa_type": "stg",
        "conversations": [
            {"from": "human", "value": "<video>\nWhere is the grasper every 2 s?"},
            {"from": "gpt", "value": "0.0 seconds: [1, 2, 3, 4]"},
        ],
        "video": ["f/000100.jpg", "f/000150.jpg", "f/000200.jpg", "f/000250.jpg"],
        "sampled_video_frames": [100, 150, 200, 250],
        "metadata": {
            "fps": "0.5",
            "video_id": "VID02",
            "input_video_start_frame": "100",
            "input_video_end_frame": "250",
        },
        "data_source": "CholecTrack20",
        "struc_info": [{"bbox_dict": {"0.0": [1, 2, 3, 4]}}],
        "is_RC": False,
        "RC_info": None,
    }
    record |= changes
    return {name: value for name, value in record.items() if value is not ...}


def region_row(**info: Any) -> dict[str, Any]:
    details = {"start_frame": "f/000100.jpg", "start_frame_bbox": [10, 20, 110.5, 220]} | info
    return row(qa_type="region_caption_gpt", is_RC=True, RC_info=details)


def read(tmp_path: Path, *rows: Any, name: str = "rows.json") -> list[Any]:
    path = tmp_path / name
    path.write_text(json.dumps(list(rows)))
    return read_records(path)


def test_a_row_in_the_benchmarks_form(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, row())
    assert sample.task == sample.qa_type == "stg"
    assert sample.dataset == "CholecTrack20"
    assert sample.canvas == Canvas(854, 480)
    assert sample.video_id == "VID02"
    assert sample.question == "Where is the grasper every 2 s?"
    assert sample.answer == "0.0 seconds: [1, 2, 3, 4]"
    assert sample.truth == [{"bbox_dict": {"0.0": [1, 2, 3, 4]}}]
    assert sample.clip.frames[0] == tmp_path / "f/000100.jpg"
    assert sample.clip.times == (0.0, 2.0, 4.0, 6.0)
    assert sample.clip.fps == 0.5
    assert sample.region is None
    assert sample.key.startswith("VID02&&100&&250&&0.5|stg|")
    assert sample.metadata["input_video_end_frame"] == "250"


@pytest.mark.parametrize(
    ("metadata", "extent"),
    [
        (
            {"input_video_start_frame": "9", "input_video_end_frame": "99"},
            Extent(9, 99, "frames"),
        ),
        ({"start_frame": "0", "end_frame": "375"}, Extent(0, 375, "frames")),
        ({"input_video_start_time": "12.5", "input_video_end_time": "94"}, Extent(12.5, 94, "seconds")),
        ({}, None),
    ],
)
def test_extent_conventions(metadata: dict[str, str], extent: Extent | None, tmp_path: Path) -> None:
    assert parse_extent(metadata) == extent
    (sample,) = read(tmp_path, row(metadata={"fps": "1.0"} | metadata))
    assert sample.clip.times == (0.0, 1.0, 2.0, 3.0)
    assert sample.video_id == "VID02"  # from the id


def test_rows_without_answers_and_with_other_names(tmp_path: Path) -> None:
    human = row()["conversations"][:1]
    test_row = row(conversations=human, struc_info=..., data_source=..., dataset_name="CoPESD", RC_info=...)
    (sample,) = read(tmp_path, test_row)
    assert sample.answer is None
    assert sample.truth is None
    assert sample.dataset == "CoPESD"
    assert sample.canvas is None
    assert read(tmp_path, row(conversations=[*human, {"from": "gpt", "value": ""}]))[0].answer is None


def test_regions_are_boxes_on_the_canvas(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, region_row())
    assert sample.region == Region(tmp_path / "f/000100.jpg", Box(10, 20, 110.5, 220))
    assert sample.task == "region_caption"


def test_paths_start_at_the_media_root_and_absolute_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row(video=["a.jpg", "/elsewhere/b.jpg"], sampled_video_frames=[1, 2])]))
    (sample,) = read_records(path, media_root=tmp_path / "media")
    assert sample.clip.frames == (tmp_path / "media/a.jpg", Path("/elsewhere/b.jpg"))


def test_video_files_with_their_extent(tmp_path: Path) -> None:
    timed = {"input_video_start_time": "2.5", "input_video_end_time": "7"}
    (sample,) = read(tmp_path, row(video="a.mp4", sampled_video_frames=..., metadata=timed))
    assert (sample.clip.video, sample.clip.start, sample.clip.end) == (tmp_path / "a.mp4", 2.5, 7.0)
    (sample,) = read(tmp_path, row(video="a.mp4", metadata={"fps": "2"}))
    assert (sample.clip.fps, sample.clip.start, sample.clip.end) == (2.0, 0.0, None)
    counted = {"start_frame": "50", "end_frame": "100", "source_fps": "25"}
    (sample,) = read(tmp_path, row(video="a.mp4", metadata=counted))
    assert (sample.clip.start, sample.clip.end) == (2.0, 4.0)
    del counted["source_fps"]
    with pytest.raises(
        UserError, match=r"field 'metadata.source_fps': is missing; expected a positive number"
    ):
        read(tmp_path, row(video="a.mp4", metadata=counted))


def test_rows_about_one_clip_share_it(tmp_path: Path) -> None:
    first, second = read(tmp_path, row(), row(qa_type="tal"))
    assert first.clip is second.clip
    assert [first.row, second.row] == [0, 1]
    assert first.key != second.key


DEFECTS = {
    "id": (row(id=...), "'id': expected text, found nothing"),
    "numeric id": (row(id=5), "'id': expected text, found 5"),
    "qa_type": (row(qa_type="guess"), "'qa_type': unknown task or qa_type 'guess'"),
    "source": (row(data_source=...), "'dataset_name': expected text, found nothing"),
    "no turns": (row(conversations=...), "'conversations': expected a list of turns, found nothing"),
    "turn": (row(conversations=["hello"]), "'conversations': turn 0: expected an object"),
    "no question": (row(conversations=[]), "'conversations': no human turn"),
    "only marker": (
        row(conversations=[{"from": "human", "value": "<video>\n"}]),
        "'conversations': no human turn with a question",
    ),
    "two answers": (
        row(conversations=row()["conversations"] + row()["conversations"][1:]),
        "'conversations': turn 2: expected one human and at most one gpt turn, found 'gpt'",
    ),
    "speaker": (row(conversations=[{"from": "me", "value": "?"}]), "'conversations': turn 0: .* found 'me'"),
    "no frames": (row(video=[]), "'video': expected a list of frame files or a video file, found empty list"),
    "frame name": (row(video=["a.jpg", 3]), "'video': entry 1: expected a file name, found 3"),
    "frame count": (row(sampled_video_frames=[1]), "'sampled_video_frames': has 1 entries, 'video' has 4"),
    "frame ids": (
        row(sampled_video_frames=["1"] * 4),
        "'sampled_video_frames': expected a list",
    ),
    "frame order": (
        row(sampled_video_frames=[1, 3, 2, 4]),
        "'sampled_video_frames': .*go backwards",
    ),
    "metadata": (row(metadata=...), "'metadata': expected an object, found nothing"),
    "metadata value": (row(metadata={"fps": ["1"]}), "'metadata.fps': expected a string, found list"),
    "fps beyond any camera": (
        row(metadata={"fps": "3e7"}),
        "'metadata.fps': is '3e7'; no camera has over 10000 frames a second",
    ),
    "fps below any camera": (
        row(metadata={"fps": "1e-9"}),
        "'metadata.fps': is '1e-9'; no camera has under 0.0001 frames a second",
    ),
    "negative fps": (row(metadata={"fps": "-1"}), "'metadata.fps': is '-1'; expected a positive number"),
    "no fps": (row(metadata={}), "'metadata.fps': is missing; expected a positive number of frames a second"),
    "zero fps": (row(metadata={"fps": "0"}), "'metadata.fps': is '0'; expected a positive number"),
    "absurd fps": (row(metadata={"fps": "nan"}), "'metadata.fps': is 'nan'; expected a positive number"),
    "half extent": (
        row(metadata={"fps": "1", "start_frame": "3"}),
        "'metadata.end_frame': is None; expected a number of frames",
    ),
    "extent": (
        row(metadata={"fps": "1", "input_video_start_time": "9", "input_video_end_time": "3"}),
        "'metadata.input_video_end_time': 3 is before input_video_start_time 9",
    ),
    "RC_info": (row(is_RC=True), "'RC_info': expected an object because is_RC is true, found nothing"),
    "RC frame": (region_row(start_frame="g.jpg"), "'RC_info.start_frame': 'g.jpg' is not one of the frames"),
    "RC box": (region_row(start_frame_bbox=[1, 2, 3]), r"'RC_info.start_frame_bbox': \[1, 2, 3\]; expected"),
    "RC corners": (region_row(start_frame_bbox=[9, 2, 3, 4]), "'RC_info.start_frame_bbox'.*x1 <= x2"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_named_with_file_row_and_field(name: str, tmp_path: Path) -> None:
    wrong, message = DEFECTS[name]
    with pytest.raises(UserError, match=rf"rows\.json: row 1: field {message}") as caught:
        read(tmp_path, row(), wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a JSON array or JSON Lines"),
        (b"hello", "found 'hello'"),
        (b'[{"id": 1},', "not valid JSON at line 1, column"),
        (b'{"id": 1}\n{"id": ', "not valid JSON at line 2, column"),
        (b"[1]", "row 0: expected an object, found 1"),
        (b"\xff\xfe[]", "not UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_files_that_are_not_records(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"rows.json: .*{message}"):
        read_rows(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such records file"):
        read_rows(tmp_path / "rows.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_records([], tmp_path / "file" / "rows.json")


def test_a_byte_order_mark_is_no_defect(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_bytes(b"\xef\xbb\xbf[]")
    assert read_rows(tmp_path / "rows.json") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4),
    suffix=st.sampled_from(["json", "jsonl"]),
)
def test_rows_survive_writing(
    rows: list[dict[str, Any]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"rows.{suffix}"
    if suffix == "jsonl" and not rows:
        rows = [{}]
    write_records(rows, path)
    assert read_rows(path) == rows
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@settings(max_examples=200, deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(sorted(row())), JSON, min_size=1, max_size=3),
    nested=st.dictionaries(st.sampled_from(["fps", "start_frame", "end_frame", "video_id"]), JSON),
)
def test_whatever_a_row_holds_is_read_or_refused_in_one_line(
    changes: dict[str, Any], nested: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    base = row()
    write_records([base | {"metadata": base["metadata"] | nested} | changes], path)
    try:
        (sample,) = read_records(path)
    except UserError as error:
        message = str(error)
    else:
        message = f"{path}: row {sample.row}: field"
    assert message.startswith(f"{path}: row 0: field")


@pytest.mark.parametrize(
    ("ids", "fps", "times"),
    [
        ([100, 150, 200], 0.5, [0, 2, 4]),
        ([7], 1.0, [0]),
        ([0, 8, 15, 23, 30, 38], 2.0, [0, 0.5, 1, 1.5, 2, 2.5]),  # a regular schedule, rounded to ids
        ([4, 4, 5, 5, 6, 6], 2.0, [0, 0.5, 1, 1.5, 2, 2.5]),  # the same, with repeated frames
        ([0, 15, 30, 45, 75, 90], 1.0, [0, 1, 2, 3, 5, 6]),  # a gap
        ([0, 1, 2, 3, 8], 1.0, [0, 1, 2, 3, 8]),
        ([0, 15, 31, 55], 1.0, [0, 15 / 15.5, 2, 55 / 15.5]),
        ([10, 20, 30, 40, 40, 40], 1.0, [0, 1, 2, 3, 3, 3]),  # padded by repetition
        ([5, 5, 5, 5, 90], 1.0, [0, 1, 2, 3, 4]),  # ids that tell no time
    ],
)
def test_times_of_frame_lists(ids: list[int], fps: float, times: list[float]) -> None:
    assert frame_times(ids, fps) == pytest.approx(times)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=0, max_size=80), st.floats(0.1, 30), st.integers(0, 10**6))
def test_times_start_at_zero_and_do_not_go_backwards(strides: list[int], fps: float, first: int) -> None:
    times = frame_times(np.cumsum([first, *strides]).tolist(), fps)
    assert times[0] == 0.0
    assert (np.diff(times) >= 0).all()
    assert np.isfinite(times).all()


@settings(max_examples=60, deadline=None)
@given(st.floats(1, 60), st.integers(3, 120), st.floats(0.1, 5))
def test_rounded_regular_schedules_are_regular(stride: float, count: int, fps: float) -> None:
    ids = np.floor(np.arange(count) * stride + 0.5).astype(int).tolist()
    assert frame_times(ids, fps) == pytest.approx(np.arange(count) / fps)
