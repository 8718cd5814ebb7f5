"""COCO boxes become corners; frame names by pattern; labels of frames become spans."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.annotations import Provenance
from medgrpo.data.sources.coco import corner_box
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.frame_names import FramePattern
from medgrpo.data.sources.numbered_frames import NumberedFrames, label_runs, numbered_frames
from medgrpo.errors import UserError
from medgrpo.types import Canvas

NUMBERS = st.floats(-1e6, 1e6)


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_corners_are_left_and_top_plus_width_and_height(width: int, height: int, data: st.DataObject) -> None:
    left, top = data.draw(st.floats(0, width - 0.5)), data.draw(st.floats(0, height - 0.5))
    w, h = data.draw(st.floats(0.25, width - left)), data.draw(st.floats(0.25, height - top))
    box = corner_box([left, top, w, h], Canvas(width, height))
    assert box.xyxy == pytest.approx((left, top, left + w, top + h))


@given(st.lists(NUMBERS, min_size=4, max_size=4))
def test_any_four_numbers_are_a_box_on_the_canvas_or_refused(numbers: list[float]) -> None:
    try:
        box = corner_box(numbers, Canvas(640, 480))
    except CellError:
        return
    assert 0 <= box.x1 <= box.x2 <= 640
    assert 0 <= box.y1 <= box.y2 <= 480


@pytest.mark.parametrize(
    "numbers", [None, [], [1, 2, 3], [1, 2, True, 4], ["1", 2, 3, 4], [1, 2, float("nan"), 4]]
)
def test_what_is_no_list_of_four_numbers_is_refused(numbers: object) -> None:
    with pytest.raises(CellError, match="is not a list of left, top, width and height"):
        corner_box(numbers, Canvas(9, 9))


def test_half_a_pixel_past_the_edge_is_cut() -> None:
    assert corner_box([-0.5, 2, 9.9, 3], Canvas(9, 9)).xyxy == (0, 2, 9, 5)
    with pytest.raises(CellError, match="leaves its image of 9x9 pixels"):
        corner_box([2, 2, 9, 3], Canvas(9, 9))


@pytest.mark.parametrize(
    ("pattern", "name", "parts"),
    [
        ("frames/{video}/{frame}.jpg", "frames/a b/0012.jpg", ("a b", 12)),
        ("frames/{video}/{frame}.jpg", "/data/x/a/12.jpg", ("a", 12)),
        ("{video}_{frame}.png", "imgs/01_2_0007.png", ("01_2", 7)),
        ("{video}/{video}-{frame}.jpg", "abc/abc-000000009.jpg", ("abc", 9)),
    ],
)
def test_patterns_read_names(pattern: str, name: str, parts: tuple[str, int]) -> None:
    frames = FramePattern(pattern)
    assert frames.parts_of(name) == parts
    folder, named = frames.files_of(parts[0])
    own = name.rpartition("/")[2]
    assert (
        named.fullmatch(own)[1] == own.rpartition("/")[2].rpartition(".")[0][-len(named.fullmatch(own)[1]) :]
    )
    assert "{" not in folder


@pytest.mark.parametrize("name", ["a/12.png", "12.jpg", "abc/abd-9.jpg", "a/x12.jpg"])
def test_other_names_are_refused(name: str) -> None:
    pattern = "{video}/{video}-{frame}.jpg" if "-" in name else "frames/{video}/{frame}.jpg"
    with pytest.raises(CellError, match="does not end like"):
        FramePattern(pattern).parts_of(name)


@pytest.mark.parametrize(
    "pattern", ["a/{frame}.jpg", "{video}/x.jpg", "{video}/{frame}/{frame}.jpg", "{frame}/{video}.jpg"]
)
def test_patterns_without_their_fields_are_refused(pattern: str) -> None:
    with pytest.raises(UserError, match=re.escape(pattern)):
        FramePattern(pattern)


LABELS = st.dictionaries(st.integers(0, 40), st.sampled_from("abc"), max_size=30)


@given(LABELS, st.sampled_from([0.5, 1.0, 25.0]), st.sampled_from([0, 1]))
def test_spans_hold_the_frames_that_have_their_label(
    labels: dict[int, str], clock: float, first: int
) -> None:
    labels = {number + first: label for number, label in labels.items()}
    frames = NumberedFrames("", {number: Path() for number in range(first, 60)}, clock, first)
    events = label_runs("phase", {n: (label, Provenance("x", n)) for n, label in labels.items()}, frames)
    covered = {
        number: event.label
        for event in events
        for number in range(first, 60)
        if event.start - 1e-9 <= frames.time(number) < event.end - 1e-9
    }
    assert covered == labels
    assert [event.start for event in events] == sorted(event.start for event in events)
    for before, after in itertools.pairwise(events):
        assert before.end <= after.start + 1e-9
        assert before.label != after.label or before.end < after.start - 1e-9


def test_frames_are_numbered_from_what_the_first_is_called(tmp_path: Path) -> None:
    for folder, names in (
        ("b", ["000.jpg", "001.jpg", "x.txt"]),
        ("c", ["003.png", "005.png"]),
        ("empty", []),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    named = re.compile(r"(\d+)\.(?:jpg|png)")
    assert numbered_frames(tmp_path, ["a", "empty"], named, 2.0) is None
    zero = numbered_frames(tmp_path, ["a", "empty", "b", "c"], named, 2.0)
    assert (zero.folder, zero.first, zero.footage().times, zero.duration) == ("b", 0, (0.0, 0.5), 1.0)
    one = numbered_frames(tmp_path, ["c", "b"], named, 2.0)
    assert (one.first, one.footage().times, one.duration) == (1, (1.0, 2.0), 2.5)
