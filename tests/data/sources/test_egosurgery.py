"""EgoSurgery is read as it was drawn: phases to the frame, boxes to the pixel; the rest is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medgrpo.data.sources.annotations import Reading
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.egosurgery import HANDS, PHASES, STEPS, EgoSurgery, session_and_frame
from medgrpo.data.splits import canonical_video_id
from medgrpo.data.synthetic.layouts import egosurgery as layout
from medgrpo.data.synthetic.layouts import write_layout
from medgrpo.errors import UserError
from medgrpo.types import Canvas

SEED, SESSIONS = 3, 5
IDS = [layout.session_of(number) for number in range(SESSIONS)]
TRAIN = "egosurgery_tool/instances_train.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("egosurgery")
    write_layout("EgoSurgery", folder, SESSIONS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "egosurgery", copy_function=shutil.os.link)


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = EgoSurgery(root)
    assert source.videos() == sorted(IDS)
    return [source.read(session) for session in IDS]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file; the file is another one afterwards, for copies are links."""
    content = json.loads(path.read_text())
    change(content)
    path.unlink()
    path.write_text(json.dumps(content))


def rewrite(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(problem.field, problem.problem) for problem in reading.problems]


def test_phases_are_those_of_the_scene_frame_by_frame(readings: list[Reading]) -> None:
    # A frame in two seconds, numbers from 1: frame n is at 2 (n - 1) seconds.
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        truth = {time: PHASES[scene.state(time).phase] for time in layout.frame_times()}
        if number == 0:
            for bare in (layout.UNLABELLED, layout.UNLISTED):
                del truth[2.0 * (bare - 1)]
        read = {
            time: event.label
            for event in reading.video.events
            for time in layout.frame_times()
            if event.start <= time < event.end
        }
        assert read == truth
        assert {event.kind for event in reading.video.events} == {"phase"}
        assert reading.video.duration == layout.DURATION
    assert readings[0].counts["frames_without_phase"] == 1


def test_phases_have_the_benchmark_s_names(readings: list[Reading]) -> None:
    assert set(PHASES.values()) <= set(STEPS)
    assert len(STEPS) == len(PHASES) == 9
    for reading in readings:
        assert reading.video.steps == reading.video.actions == STEPS


def test_boxes_are_corners_of_what_is_drawn(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        found = {(one.time, one.label): one.box.xyxy for one in reading.video.instances}
        assert len(found) == reading.counts["instances"]
        truth = {
            (time, name.lower()): corners
            for time in layout.frame_times()
            for name, corners in layout.boxes_of(scene, time).items()
        }
        assert found.keys() == truth.keys()
        for key, corners in found.items():
            assert corners == pytest.approx(truth[key], abs=0.02)
        assert reading.video.canvas == Canvas(*layout.SIZE)
        assert reading.video.annotated == tuple(layout.frame_times())


def test_hands_are_of_somebody_and_on_a_side(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        hands = [one for one in reading.video.instances if one.attributes]
        assert hands
        for one in hands:
            right = scene.tracks[scene.current(one.time)].from_right
            assert one.attributes == {"whose": "own", "side": "right" if right else "left"}
            assert one.label == f"own hands {one.attributes['side']}"
        assert all(
            one.label.capitalize() not in HANDS for one in reading.video.instances if not one.attributes
        )


def test_a_box_of_two_files_counts_once(readings: list[Reading], copy: Path) -> None:
    repeated = [reading.counts.get("repeated_boxes", 0) for reading in readings]
    assert min(repeated[:2]) > 0  # both files of the training split hold the tools
    assert repeated[2:4] == [0, 0]  # the hands of the test split have a file of their own
    (copy / TRAIN).unlink()
    assert EgoSurgery(copy).read(IDS[1]).video.instances == readings[1].video.instances


def test_the_video_is_that_of_the_name_and_has_one_split(readings: list[Reading], root: Path) -> None:
    locals_ = [json.loads((root / f"egosurgery_tool/instances_{s}.json").read_text())["images"][0]["video_id"]
               for s in ("train", "val", "test")]  # fmt: skip
    assert locals_ == [0, 0, 0]  # numbers begin anew in every split
    for number, reading in enumerate(readings):
        assert reading.video.canonical_id == canonical_video_id(IDS[number], "EgoSurgery")
        assert reading.video.canonical_id == f"egosurgery:{IDS[number][:2]}"
        assert reading.video.official_split == layout.split_of(number)
    assert {reading.video.official_split for reading in readings} == {"train", "val", "test"}


def test_frames_show_the_scene_at_their_times(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene, footage = layout.scene_of(number, SEED), reading.video.footage
        assert footage.times == tuple(layout.frame_times())
        assert footage.frames[6].name == f"{IDS[number]}_0007.jpg"
        assert reading.video.frame_id(12.0) == 7
        assert footage.fps == reading.video.clock == 0.5
        shown = np.asarray(Image.open(footage.frames[6]), float)
        assert np.abs(shown - scene.render(12.0)).mean() < 4 < np.abs(shown - scene.render(30.0)).mean()


def test_what_is_wrong_in_the_first_session_is_named(readings: list[Reading], root: Path) -> None:
    assert told(readings[0]) == [
        ("category_id", "'Kidney Dish' is not a known instrument or hand"),
        ("bbox", "the box [400, 9, 99, 9] leaves its image of 480x270 pixels"),
    ]
    assert str(readings[0].problems[0].provenance).startswith(f"{TRAIN}, annotations/")
    source = EgoSurgery(root)
    assert [(p.field, p.problem) for p in source.problems()] == [
        ("image_id", "77777 is the number of no image")
    ]
    assert all(reading.problems == () for reading in readings[1:])


def test_other_names_of_phases_are_an_option(root: Path) -> None:
    own = {phase: f"the {phase}" for phase in PHASES}
    reading = EgoSurgery(root, phases=own).read(IDS[0])
    assert {event.label for event in reading.video.events} <= set(own.values())
    assert set(own.values()) <= set(reading.video.steps)


@pytest.mark.parametrize(
    "place", ["frames/train/01", "images/01_1", "images/01/01_1", "raw/ego/train", "frames"]
)
def test_frames_may_be_elsewhere(copy: Path, place: str) -> None:
    (copy / place).mkdir(parents=True, exist_ok=True)
    for path in (copy / "train/01").glob("01_1_*.jpg"):
        path.rename(copy / place / path.name)
    assert len(EgoSurgery(copy).read("01_1").video.footage.frames) == len(layout.frame_times())


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ("01_2_0003,incison", "Phase", "'incison' is not a known phase; the nearest is 'incision'"),
        ("01_2_0003,Incision", "Phase", "'Incision' is not a known phase; the nearest is 'incision'"),
        ("3,incision", "Frame", "'3' is not <video>_<session>_<frame>"),
        ("01_1_0003,incision", "Frame", "'01_1_0003' is of another session"),
        ("01_2_0900,incision", "Frame", "the frame 01_2_0900 is missing in train/01"),
        ("01_2_0001,incision", "Frame", "01_2_0001 is there twice"),
        ("01_2_0003", "", "has 1 cells; expected 2"),
    ],
)
def test_bad_rows_are_named_and_left_out(copy: Path, row: str, field: str, problem: str) -> None:
    path = copy / "egosurgery_phase/01_2.csv"
    lines = path.read_text().splitlines()
    rewrite(path, "\n".join((*lines[:3], row, *lines[4:])) + "\n")
    reading = EgoSurgery(copy).read("01_2")
    [found] = reading.problems
    assert problem in found.problem
    assert field in (found.field, "")
    assert (found.provenance.file, found.provenance.line) == ("egosurgery_phase/01_2.csv", 4)
    assert not [event for event in reading.video.events if event.start <= 4.0 < event.end]


def test_a_table_that_is_none_costs_its_session_the_phases(copy: Path) -> None:
    rewrite(copy / "egosurgery_phase/01_2.csv", "Frame,Label\n01_2_0001,incision\n")
    reading = EgoSurgery(copy).read("01_2")
    [problem] = reading.problems
    assert problem.problem == "line 1: the column 'Phase' is missing; found are: Frame, Label"
    assert reading.video.events == ()
    assert reading.video.instances


def change(part: str, index: int, **values: Any) -> Callable[[Any], None]:
    return lambda content: content[part][index].update(values)


@pytest.mark.parametrize(
    ("edited", "field", "problem"),
    [
        (
            change("images", 2, file_name="train/01/front.jpg"),
            "file_name",
            "'front' is not <video>_<session>",
        ),
        (change("images", 2, file_name=None), "file_name", "is missing or no text"),
        (change("images", 2, width=0), "width", "0 is no number of pixels"),
        (
            change("images", 2, width=481),
            "width",
            "train/01/01_1_0003.jpg is 481x270, images before it are not",
        ),
        (
            change("images", 2, file_name="train/01/01_1_0903.jpg"),
            "file_name",
            "0903.jpg is missing in train/01",
        ),
        (change("images", 2, id=1), "id", "1 is the number of an image before"),
        (change("annotations", 2, bbox=[1, 2, 3]), "bbox", "is not a list of left, top, width and height"),
        (change("annotations", 2, bbox=[1, 2, 0, 3]), "bbox", "the box [1, 2, 0, 3] has no area"),
        (change("annotations", 2, bbox=None), "bbox", "None is not a list of left, top"),
        (change("annotations", 2, category_id=55), "category_id", "55 is the number of no category"),
    ],
)
def test_bad_entries_of_boxes_are_named(copy: Path, edited: Any, field: str, problem: str) -> None:
    edit(copy / TRAIN, edited)
    source = EgoSurgery(copy)
    own = [*source.read("01_1").problems, *source.problems()]
    found = [p for p in own if problem in p.problem]
    assert [p.field for p in found] == [field]
    assert found[0].provenance.file == TRAIN


def test_missing_and_broken_files_are_named(copy: Path) -> None:
    for path in (copy / "train/01").glob("01_1_*"):
        path.unlink()
    reading = EgoSurgery(copy).read("01_1")
    assert reading.video is None
    assert told(reading) == [("Frame", "its frames are missing; expected <split>/01/01_1_0001.jpg")]
    rewrite(copy / "train/01/01_2_0001.jpg", "no picture")
    reading = EgoSurgery(copy).read("01_2")
    assert reading.video is None
    assert str(reading.problems[0].provenance) == "train/01/01_2_0001.jpg"
    assert "is not an image that Pillow can read" in reading.problems[0].problem
    with pytest.raises(UserError, match="says anything about a session '99_1'"):
        EgoSurgery(copy).read("99_1")
    rewrite(copy / TRAIN, '{"images": [],\n "annotations": [}')
    with pytest.raises(UserError, match=r"instances_train\.json.*is not valid JSON.*"):
        EgoSurgery(copy).videos()
    rewrite(copy / TRAIN, '{"images": [], "annotations": []}')
    with pytest.raises(UserError, match=r"instances_train\.json: the list 'categories' is missing"):
        EgoSurgery(copy).videos()
    for folder in ("egosurgery_phase", "egosurgery_tool", "egosurgery_tool_hand"):
        shutil.rmtree(copy / folder)
    with pytest.raises(UserError, match="holds neither phases nor boxes; expected egosurgery_phase/"):
        EgoSurgery(copy).videos()
    with pytest.raises(UserError, match="there is no such folder; expected a copy of EgoSurgery"):
        EgoSurgery(copy / "none")


def test_a_video_of_two_splits_is_reported(copy: Path) -> None:
    test = json.loads((copy / "egosurgery_tool/instances_test.json").read_text())
    edit(copy / TRAIN, lambda content: content["images"].append(test["images"][0] | {"id": 999}))
    source = EgoSurgery(copy)
    assert [p.problem for p in source.problems() if p.field == "images"] == [
        "egosurgery:02 is in split test too; expected in one"
    ]


def test_phases_alone_are_enough(copy: Path) -> None:
    for folder in ("egosurgery_tool", "egosurgery_tool_hand"):
        shutil.rmtree(copy / folder)
    source = EgoSurgery(copy)
    video = source.read(IDS[3]).video
    assert (video.canvas, video.instances, video.official_split) == (None, (), None)
    assert video.events
    assert [path.name for path in source.files(IDS[3])] == [f"{IDS[3]}.csv"]


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 10**9 - 1))
def test_names_of_frames_tell_session_and_number(video: int, session: int, number: int) -> None:
    name = f"{video:02d}_{session}"
    assert session_and_frame(f"{name}_{number:04d}", "Frame") == (name, number)
    for other in (name, f"x{name}_1", f"{name}_1.5"):
        with pytest.raises(CellError):
            session_and_frame(other, "Frame")
