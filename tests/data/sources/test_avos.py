"""AVOS is read as it was drawn: actions to the second, boxes to the pixel; what is wrong in it is named."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medgrpo.data.readers import open_reader
from medgrpo.data.sources.annotations import Event, Provenance, Reading
from medgrpo.data.sources.avos import AVOS, join_events
from medgrpo.data.sources.avos_boxes import TOOLS, image_moment
from medgrpo.data.sources.csv_rows import CellError, Row
from medgrpo.data.synthetic.layouts import avos as layout
from medgrpo.errors import UserError
from medgrpo.types import Canvas

SEED = 4
VIDEOS = 3
IDS = [layout.video_id_of(number, SEED) for number in range(VIDEOS)]
TABLE = f"{layout.ANNOTATIONS}/v0.5.0-anns-smoothed.csv"
TRAIN_BOXES = f"{layout.BOXES}/train_data.csv"
LENGTH = layout.DURATION - layout.MISSING


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avos")
    layout.write(folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "avos")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = AVOS(root)
    assert source.videos() == sorted(IDS)
    assert source.problems() == ()
    return [source.read(video_id) for video_id in IDS]


def edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def test_actions_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        drawn = [
            (layout.LABELS[a.verb], float(a.start), min(float(a.end), LENGTH))
            for a in layout.scene_of(number, SEED).actions
        ]
        found = [(e.label, e.start, e.end) for e in reading.video.events]
        assert found == [(label, start, pytest.approx(end, abs=1 / 15)) for label, start, end in drawn]
        assert {event.kind for event in reading.video.events} == {"action"}


def test_rows_that_are_no_action_are_counted(readings: list[Reading]) -> None:
    for reading in readings:
        counts = reading.counts
        assert counts["abstain_dropped"] == 1
        assert counts["contradicted_dropped"] == 1
        kept = ("background", "abstain_dropped", "contradicted_dropped", "joined", "events", "bad_rows")
        assert counts["rows"] == sum(counts.get(key, 0) for key in kept)
    assert readings[0].counts["joined"] == 1
    assert [reading.counts.get("bad_rows", 0) for reading in readings] == [2, 0, 0]


def test_times_outside_the_video_are_named(readings: list[Reading]) -> None:
    first, second = readings[0].problems
    assert first.field == "start_seconds"
    assert first.problem == "-1 is before the start of the video"
    assert second.field == "end_seconds"
    assert second.problem.startswith("50 is past the end of the video, which lasts 29.8")
    assert first.provenance.file == TABLE
    assert second.provenance.line == first.provenance.line + 1
    assert first.video_id == IDS[0]
    assert readings[1].problems == readings[2].problems == ()


def test_boxes_are_those_of_the_scene(readings: list[Reading]) -> None:
    size = (2 * layout.SPEC.width, 2 * layout.SPEC.height)
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        times = [frame / layout.CLOCK for frame in layout.image_frames()]
        drawn = {time: scene.state(time) for time in times if scene.state(time).visible}
        tools = [i for i in reading.video.instances if i.label != "hand"]
        assert [i.time for i in tools] == sorted(drawn)
        for instance in tools:
            state = drawn[instance.time]
            assert instance.label == TOOLS.read(layout.TOOLS[state.tool], "class")
            assert instance.box.xyxy == pytest.approx(np.multiply(state.box, size * 2), abs=1)
        assert reading.video.canvas == Canvas(*size)
        assert reading.video.annotated == tuple(times)
        assert reading.counts["images"] == len(times)
        assert reading.counts.get("images_without_boxes", 0) == len(times) - len(drawn)
    assert sum(reading.counts.get("images_without_boxes", 0) for reading in readings) > 0


def test_hands_have_a_side(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        for hand in (i for i in reading.video.instances if i.label == "hand"):
            track = scene.tracks[scene.current(hand.time)]
            assert hand.attributes == {"side": "right" if track.from_right else "left"}


def picture_at(reading: Reading, time: float) -> np.ndarray:
    reader = open_reader(reading.video.footage)
    index = int(np.argmin(np.abs(reader.times() - time)))
    return reader.read([index], *reader.size())[0].transpose(1, 2, 0)


def test_videos_and_images_show_the_scene_at_their_times(root: Path, readings: list[Reading]) -> None:
    # Numbers count 15 frames a second; the films have 29.97 and 25, and the third video is frames.
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        for frame in (layout.image_frames()[4], layout.image_frames()[9]):
            time = frame / 15
            assert reading.video.frame_id(time) == frame
            image = Image.open(root / f"data/images/{IDS[number]}-{frame:09d}.jpg").resize((168, 96))
            assert np.abs(scene.render(time) - np.asarray(image, float)).mean() < 4
            # A film shows a drawn picture for a fifth of a second.
            shown = time if reading.video.footage.frames else int(time * 5) / 5
            here = picture_at(reading, time).astype(float)
            assert (
                np.abs(scene.render(shown) - here).mean() < 6 < np.abs(scene.render(time / 2) - here).mean()
            )


def test_what_the_source_says_of_its_videos(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        video = reading.video
        assert video.source == "AVOS"
        assert video.canonical_id == f"avos:{IDS[number]}"
        assert video.official_split == layout.split_of(number)
        assert video.actions == video.steps == ("cutting", "tying", "suturing")
        assert video.clock == 15
        assert video.duration == pytest.approx(LENGTH, abs=1 / 15)
    assert [round(r.video.footage.fps, 2) for r in readings] == [29.97, 25.0, 15.0]
    assert readings[2].video.footage.frames[7].name == f"{IDS[2]}-000000007.jpg"
    assert readings[2].video.footage.times[7] == 7 / 15


def test_tables_may_be_in_one_folder(copy: Path) -> None:
    for path in [*(copy / layout.ANNOTATIONS).iterdir(), *(copy / layout.BOXES).iterdir()]:
        path.rename(copy / path.name)
    source = AVOS(copy)
    assert [p.name for p in source.files(IDS[0])][:3] == ["v0.5.0-anns-smoothed.csv", "train.csv", "test.csv"]
    reading = source.read(IDS[0])
    assert reading.video.official_split == "train"
    assert reading.counts["instances"] > 0


def test_a_row_that_is_in_two_tables_counts_once(copy: Path) -> None:
    before = AVOS(copy).read(IDS[0]).counts["instances"]
    shutil.copy(copy / TRAIN_BOXES, copy / layout.BOXES / "raw_data.csv")
    assert AVOS(copy).read(IDS[0]).counts["instances"] == before


def test_missing_tables_are_named(copy: Path) -> None:
    (copy / layout.ANNOTATIONS / "test.csv").unlink()
    source = AVOS(copy)
    [problem] = source.problems()
    assert str(problem) == "test.csv: field 'video_id': the file is missing; official splits are not known"
    assert source.read(IDS[1]).video.official_split is None
    (copy / TABLE).unlink()
    with pytest.raises(UserError, match=r"v0\.5\.0-anns-smoothed\.csv: is missing; it is looked for in"):
        AVOS(copy).videos()
    with pytest.raises(UserError, match="there is no such folder; expected a copy of AVOS"):
        AVOS(copy / "none")


def test_other_columns_are_refused(copy: Path) -> None:
    edit(copy / TABLE, lambda text: text.replace("start_seconds", "start", 1))
    with pytest.raises(UserError, match=r"line 1: the column 'start_seconds' is missing"):
        AVOS(copy).videos()
    edit(copy / TABLE, lambda text: text.replace("start", "start_seconds", 1))
    edit(copy / TRAIN_BOXES, lambda text: "path,x1\n" + text)
    with pytest.raises(
        UserError, match="line 1 has 2 cells; expected 6 columns: path, x1, y1, x2, y2, class"
    ):
        AVOS(copy).videos()


def test_a_missing_or_broken_video_is_named(copy: Path) -> None:
    film = copy / f"data/videos/{IDS[0]}.mp4"
    film.write_bytes(film.read_bytes()[:9000])
    reading = AVOS(copy).read(IDS[0])
    assert reading.video is None
    assert reading.problems[0].provenance.file == f"data/videos/{IDS[0]}.mp4"
    assert "cannot be read" in reading.problems[0].problem
    film.unlink()
    frame = copy / f"images-fps_15/{IDS[2]}/{IDS[2]}-000000000.jpg"
    frame.write_bytes(frame.read_bytes()[:200])
    reading = AVOS(copy).read(IDS[2])
    assert reading.video is None
    assert reading.problems[0].provenance.file == frame.relative_to(copy).as_posix()
    assert reading.problems[0].problem.startswith("the first frame is broken")
    reading = AVOS(copy).read(IDS[0])
    assert reading.video is None
    assert reading.problems[0].problem.startswith(
        f"its video is missing; expected data/videos/{IDS[0]}.mp4 or"
    )
    assert reading.counts["events"] > 0
    with pytest.raises(UserError, match="says nothing about a video 'nobody'"):
        AVOS(copy).read("nobody")


def test_bad_rows_are_named_and_left_out(copy: Path) -> None:
    whole = AVOS(copy).read(IDS[1])

    def spoil(text: str) -> str:
        lines = text.splitlines()
        own = [k for k, line in enumerate(lines) if IDS[1] in line and ",background," not in line]
        lines[own[0]] = lines[own[0]].replace("cutting", "cuting").replace("suturing", "cuting")
        lines[own[0]] = lines[own[0]].replace("tying", "cuting")
        lines[own[1]] = lines[own[1]].rpartition(",")[0] + ",soon"
        return "\n".join((*lines, "99,,cutting,,1.0,,cutting,0.0,1.0", "100,x")) + "\n"

    edit(copy / TABLE, spoil)
    source = AVOS(copy)
    reading = source.read(IDS[1])
    assert [p.field for p in reading.problems] == ["label", "end_seconds"]
    assert reading.problems[0].problem.startswith("'cuting' is not a known label; the nearest is 'cutting'")
    assert reading.problems[1].problem == "'soon' is not a number"
    assert reading.counts["events"] == whole.counts["events"] - 2
    assert reading.video.events == whole.video.events[2:]
    assert [(p.field, p.problem) for p in source.problems()] == [
        ("video_id", "is empty"),
        ("labeler_2", "the row has 2 cells; expected 9"),
    ]


def box_problems(copy: Path, row: str) -> tuple[list[str], list[str]]:
    """Problems of the first video, and of no video, with one more row in a table of boxes."""
    edit(copy / TRAIN_BOXES, lambda text: text + row + "\n")
    source = AVOS(copy)
    own = [f"{p.field}: {p.problem}" for p in source.read(IDS[0]).problems]
    return [p for p in own if "seconds" not in p], [f"{p.field}: {p.problem}" for p in source.problems()]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "{a},5,5,9,9,spoon",
            "class: 'spoon' is not a known tool; known are: bovie, forceps, needledriver, scalpel",
        ),
        ("{a},5,5,4,9,bovie", "x2: the box 5,5,4,9 has no area"),
        ("{a},5,5,9,5,bovie", "y2: the box 5,5,9,5 has no area"),
        ("{a},5,5,990,9,bovie", "x2: the box 5,5,990,9 leaves its image of 336x192 pixels"),
        ("{a},5,,9,9,bovie", "y1: '' is not a number"),
        ("{none},5,5,9,9,bovie", "path: the image {none} is missing, whose size the box needs; expected in"),
        ("{late},5,5,9,9,bovie", "path: {late} is at 400 s, the video lasts 29.8"),
    ],
)
def test_bad_boxes_are_named_and_left_out(copy: Path, row: str, problem: str) -> None:
    frames = {"a": layout.image_frames()[0], "none": 7, "late": 6000}
    names = {key: f"{IDS[0]}-{frame:09d}.jpg" for key, frame in frames.items()}
    before = AVOS(copy).read(IDS[0]).counts["instances"]
    [found], loose = box_problems(copy, row.format(**names))
    assert found.startswith(problem.format(**names))
    assert loose == []
    assert AVOS(copy).read(IDS[0]).counts["instances"] == before


def test_images_of_another_size_or_name_are_named(copy: Path) -> None:
    own, loose = box_problems(copy, "/somewhere/else.jpg,5,5,9,9,bovie")
    assert own == []
    assert loose == ["path: '/somewhere/else.jpg' does not end with an image <YouTube id>-<9 digits>.jpg"]
    name = f"{IDS[0]}-{layout.image_frames()[5]:09d}.jpg"
    Image.new("RGB", (64, 48)).save(copy / "data/images" / name)
    problems = [p.problem for p in AVOS(copy).read(IDS[0]).problems if p.field == "path"]
    assert problems
    assert set(problems) == {f"{name} is 64x48, images before it are not"}
    (copy / "data/images" / name).write_text("no image")
    problems = [p.problem for p in AVOS(copy).read(IDS[0]).problems if p.field == "path"]
    assert f"data/images/{name}: the image is not an image that Pillow can read" in problems


def test_a_video_in_both_splits_is_named(copy: Path) -> None:
    edit(copy / layout.ANNOTATIONS / "test.csv", lambda text: f"{text}{IDS[0]}\n")
    [problem] = AVOS(copy).problems()
    assert problem.video_id == IDS[0]
    assert problem.problem == "is in both official splits; expected in one"


EVENTS = st.lists(
    st.builds(
        lambda label, start, length: Event("action", label, start, start + length, Provenance("t", 1)),
        st.sampled_from(["cutting", "tying"]),
        st.integers(0, 30),
        st.integers(1, 8),
    )
)


@given(EVENTS)
def test_joined_events_cover_the_same_seconds(events: list[Event]) -> None:
    def seconds(of: list[Event]) -> set[tuple[str, int]]:
        return {(e.label, second) for e in of for second in range(int(e.start), int(e.end))}

    joined = join_events(events)
    assert seconds(joined) == seconds(events)
    assert [e.start for e in joined] == sorted(e.start for e in joined)
    for label in ("cutting", "tying"):
        own = [e for e in joined if e.label == label]
        assert all(a.end < b.start for a, b in itertools.pairwise(own))


IDS_OF_YOUTUBE = st.text(st.sampled_from("aZ09-_"), min_size=11, max_size=11)


@given(IDS_OF_YOUTUBE, st.integers(0, 999_999_999), st.sampled_from(["", "/a b/", "C:\\images\\"]))
def test_names_of_images_tell_video_and_time(video_id: str, frame: int, folder: str) -> None:
    row = Row(Provenance("t", 1), {"path": 0}, (f"{folder}{video_id}-{frame:09d}.jpg",))
    assert image_moment(row, 15.0) == (f"{video_id}-{frame:09d}.jpg", video_id, frame / 15)
    short = Row(Provenance("t", 1), {"path": 0}, (f"{folder}{video_id}-{frame}.png",))
    with pytest.raises(CellError):
        image_moment(short, 15.0)
