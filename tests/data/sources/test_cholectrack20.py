"""CholecTrack20 is read as it was drawn: boxes on its canvas, tracks, operators; what is wrong is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgrpo.data.coordinates import CANVASES
from medgrpo.data.readers import open_reader
from medgrpo.data.sources.annotations import Instance, Reading
from medgrpo.data.sources.cholec import INSTRUMENTS
from medgrpo.data.sources.cholectrack20 import CholecTrack20
from medgrpo.data.sources.cholectrack20_entry import CANVAS
from medgrpo.data.synthetic.layouts import cholectrack20 as layout
from medgrpo.errors import UserError

SEED = 1
VIDEOS = 3
NAMES = [layout.video_id_of(number) for number in range(VIDEOS)]
FOLDER = "Training/VID02"
LABELS = f"{FOLDER}/vid02.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cholectrack20")
    layout.write(folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "cholectrack20")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = CholecTrack20(root)
    assert source.videos() == NAMES
    assert source.problems() == []
    found = [source.read(name) for name in NAMES]
    assert [reading.problems for reading in found] == [()] * VIDEOS
    return found


def edit(copy: Path, change: Callable[[dict[str, list[Any]]], object]) -> Reading:
    """What is read of the first video once its annotations are changed."""
    labels = json.loads((copy / LABELS).read_text())
    change(labels["annotations"])
    (copy / LABELS).write_text(json.dumps(labels))
    return CholecTrack20(copy).read("VID02")


def said(reading: Reading) -> list[str]:
    return [f"{p.provenance.key}: {p.field}: {p.problem}" for p in reading.problems]


def test_boxes_are_those_of_the_scene_on_the_benchmarks_canvas(readings: list[Reading]) -> None:
    assert (CANVASES["CholecTrack20"].width, CANVASES["CholecTrack20"].height) == (854, 480)
    for number, reading in enumerate(readings):
        assert reading.video.canvas == CANVAS == CANVASES["CholecTrack20"]
        operation = layout.operation_of(number, SEED)
        for second in range(layout.DURATION):
            found = [i for i in reading.video.instances if i.time == layout.BEGIN + second]
            drawn = [state for _, state in operation.seen(second)]
            assert [i.label for i in found] == [state.tool for state in drawn]
            for instance, state in zip(found, drawn, strict=True):
                true = np.multiply(state.box, (854, 480, 854, 480))
                assert instance.box.xyxy == pytest.approx(true, abs=0.01)


def test_frame_numbers_are_seconds_of_the_film(readings: list[Reading]) -> None:
    for reading in readings:
        video = reading.video
        assert (video.clock, video.first_id) == (25.0, 1)
        assert video.frame_id(layout.BEGIN) == 76
        assert min(video.annotated) == video.instances[0].time >= layout.BEGIN
        assert all(time == int(time) for time in video.annotated)
        assert video.duration == pytest.approx(layout.BEGIN + layout.DURATION)


def test_frames_and_film_show_the_annotated_moment(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        video = reading.video
        reader = open_reader(video.footage)
        times = reader.times()
        moment = video.instances[5].time
        at = int(np.abs(times - moment).argmin())
        assert times[at] == pytest.approx(moment, abs=0.5 / 25)
        shown = reader.read([at], 126, 224)[0].transpose(1, 2, 0).astype(float)
        drawn = layout.operation_of(number, SEED).draw(moment - layout.BEGIN)
        assert np.abs(shown - drawn).mean() < 6
    frames, film, _ = (reading.video.footage for reading in readings)
    assert (len(frames.frames), frames.fps, frames.times[0]) == (layout.DURATION, 1.0, layout.BEGIN)
    assert film.video.name == "VID03.mp4"
    assert film.fps == pytest.approx(25)


def test_the_official_split_is_the_folder(readings: list[Reading]) -> None:
    assert [r.video.official_split for r in readings] == ["train", "test", "val"]
    assert [r.video.canonical_id for r in readings] == ["cholec:2", "cholec:3", "cholec:4"]


def drawn(readings: list[Reading]) -> Iterator[tuple[Instance, int, dict[str, int]]]:
    """Every instrument that was read, with the hand and the flags that were drawn."""
    for number, reading in enumerate(readings):
        operation = layout.operation_of(number, SEED)
        for time in reading.video.annotated:
            second = time - layout.BEGIN
            found = [one for one in reading.video.instances if one.time == time]
            for instance, (hand, _) in zip(found, operation.seen(second), strict=True):
                yield instance, hand, layout.flags_of(operation, second)


def test_both_spellings_of_tracks_are_read_and_a_track_is_one_instrument(
    root: Path, readings: list[Reading]
) -> None:
    texts = [
        (root / layout.part_of(n) / name / f"{name.lower()}.json").read_text() for n, name in enumerate(NAMES)
    ]
    assert ["_track_id" in text for text in texts] == [False, True, False]
    for instance, hand, _ in drawn(readings):
        assert instance.track == str(10 * hand + INSTRUMENTS.labels.index(instance.label))
        assert set(instance.attributes) > {"intracorporeal track", "visibility track"}
    visible = CholecTrack20(root, "visibility").read(NAMES[0]).video
    assert {i.track for i in visible.instances} == {
        i.attributes["visibility track"] for i in readings[0].video.instances
    }


def test_operators_and_flags_are_in_plain_words(readings: list[Reading]) -> None:
    words: set[str] = set()
    for instance, hand, flags in drawn(readings):
        true = [key for key in layout.FLAGS if key != "visible" and flags[key]]
        assert instance.attributes["flags"] == ", ".join(true)
        words.add(instance.attributes["operator"])
        assert instance.attributes["operator"].startswith(("main", "assistant")[hand])
    assert words == {
        "main surgeon's left hand",
        "main surgeon's right hand",
        "assistant surgeon's right hand",
    }


def test_triplets_and_phases_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        operation = layout.operation_of(number, SEED)
        for time in reading.video.annotated:
            second = time - layout.BEGIN
            acting = [(s.tool, s.verb, s.target) for _, s in operation.seen(second) if s.verb != "idle"]
            found = [t for t in reading.video.triplets if t.time == time]
            assert [(t.instrument, t.verb, t.target) for t in found] == acting
            [phase] = [e.label for e in reading.video.events if e.start <= time < e.end]
            assert phase == operation.phase(second)
        assert {event.kind for event in reading.video.events} == {"phase"}


def entry(**changes: object) -> dict[str, object]:
    return {"instrument": 6, "tool_bbox": [0.5, 0.5, 0.25, 0.25], "operator": 0, "phase": -1} | changes


def only(found: object) -> Callable[[dict[str, list[Any]]], object]:
    """Frame 76 holds this alone."""
    return lambda annotations: annotations.update({"76": [found]})


def test_null_is_nothing(copy: Path) -> None:
    nothing = {"intraoperative_track": -1, "intracorporeal_track": None, "visibility": None, "smoke": None}
    given = entry(verb=-1, target=14, visible=0, **nothing)
    video = edit(copy, only(given)).video
    [instance] = [one for one in video.instances if one.time == 3.0]
    assert (instance.label, instance.track) == ("specimen bag", None)
    assert instance.box.xyxy == (427, 240, 640.5, 360)
    assert instance.attributes == {"flags": "not visible"}
    assert not [t for t in video.triplets if t.time == 3.0]
    assert not [e for e in video.events if e.start <= 3.0 < e.end]


def test_words_are_read_like_codes(copy: Path) -> None:
    given = entry(instrument="grasper", operator="ASRH", phase="calotTriangleDissection", verb="retract")
    video = edit(copy, only(given)).video
    [instance] = [one for one in video.instances if one.time == 3.0]
    assert (instance.label, instance.attributes["operator"]) == ("grasper", "assistant surgeon's right hand")
    assert [t.verb for t in video.triplets if t.time == 3.0] == ["retract"]
    assert video.events[0].label == "carlot-triangle-dissection"


def test_the_pixel_box_of_the_documentation_is_refused_by_name(copy: Path) -> None:
    reading = edit(copy, only(entry(tool_bbox=[120, 132, 23, 65])))
    assert said(reading) == [
        "annotations/76/0: tool_bbox: [120, 132, 23, 65] is not left, top, width and height as shares from 0 "
        "to 1; these look like pixels"
    ]
    assert reading.counts["bad_entries"] == 1
    assert not [one for one in reading.video.instances if one.time == 3.0]


def test_boxes_that_leave_the_picture_by_a_little_are_cut_and_counted(copy: Path) -> None:
    reading = edit(copy, only(entry(tool_bbox=[0.8, -0.004, 0.203, 0.2])))
    assert reading.problems == ()
    assert reading.counts["boxes_cut"] == 1
    [box] = [one.box for one in reading.video.instances if one.time == 3.0]
    assert box.xyxy == pytest.approx((683.2, 0, 854, 94.08))


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"operator": 0}, "instrument: is missing"),
        ({"instrument": 1}, "tool_bbox: is missing"),
        (entry(instrument=-1), "instrument: is null; an entry is about an instrument"),
        (entry(instrument=7), "instrument: 7 is the code of no instrument; codes go from 0 to 6"),
        (
            entry(instrument="graspr"),
            "instrument: 'graspr' is not a known instrument; the nearest is 'grasper'",
        ),
        (entry(operator=4), "operator: 4 is the code of no operator; codes go from 0 to 3"),
        (entry(phase=9), "phase: 9 is the code of no phase; codes go from 0 to 6"),
        (entry(verb=10), "verb: 10 is the code of no verb; codes go from 0 to 9"),
        (entry(smoke=3), "smoke: 3 is neither 0 nor 1"),
        (entry(tool_bbox=[0.1, 0.2, 0.3]), "tool_bbox: [0.1, 0.2, 0.3] is not left, top, width and height"),
        (entry(tool_bbox=[0.1, 0.2, 0.3, "x"]), 'tool_bbox: "x" is not a number'),
        (entry(tool_bbox=[0.1, 0.2, 0.0, 0.3]), "tool_bbox: the box [0.1, 0.2, 0, 0.3] has no area"),
        (entry(tool_bbox=[0.9, 0.2, 0.3, 0.3]), "tool_bbox: the box [0.9, 0.2, 0.3, 0.3] leaves the picture"),
        (
            entry(visibility_track=3, visibility_track_id=4),
            "visibility_track_id: 4 is not the visibility_track beside it",
        ),
        ("grasper", 'annotations: "grasper" is not an object'),
    ],
)
def test_bad_entries_are_named_and_left_out(copy: Path, bad: object, problem: str) -> None:
    reading = edit(copy, only(bad))
    assert said(reading)[0].startswith(f"annotations/76/0: {problem}")
    assert len(reading.problems) == reading.counts["bad_entries"] == 1
    assert reading.problems[0].provenance.file == LABELS
    assert not [one for one in reading.video.instances if one.time == 3.0]


def test_bad_frames_are_named_and_left_out(copy: Path, readings: list[Reading]) -> None:
    (copy / FOLDER / "Frames/000651.png").unlink()
    more = {"80": [entry()], "9001": [entry()], "x": [], "651": [entry()], "0651": []}
    reading = edit(copy, lambda annotations: annotations.update(more))
    assert sorted(said(reading)) == [
        "annotations/0651: annotations: the frame 651 is there twice",
        "annotations/651: annotations: the picture 000651.png is missing in Training/VID02",
        "annotations/80: annotations: frame 80 is not one of 1, 26, 51 and so on, one a second",
        "annotations/9001: annotations: the picture 009001.png is missing in Training/VID02",
        "annotations/x: annotations: 'x' is not the number of a frame",
    ]
    assert reading.video.instances == tuple(i for i in readings[0].video.instances if i.time != 26)
    differ = edit(copy, lambda annotations: annotations.update({"76": [entry(phase=0), entry(phase=1)]}))
    told = "phase: the entries of the frame differ: carlot-triangle-dissection, preparation"
    assert f"annotations/76: {told}" in said(differ)


def test_labels_past_the_end_of_a_film_are_named(copy: Path) -> None:
    path = copy / "Testing/VID03/vid03.json"
    labels = json.loads(path.read_text())
    labels["annotations"]["2501"] = [entry()]
    path.write_text(json.dumps(labels))
    reading = CholecTrack20(copy).read("VID03")
    assert said(reading) == ["annotations/2501: annotations: frame 2501 is past the end of the film, 27 s"]


def test_broken_labels_and_films_are_named_and_other_videos_are_read(copy: Path) -> None:
    (copy / LABELS).write_text('{"annotations": {"76": [], "76": []}}')
    [problem] = CholecTrack20(copy).read("VID02").problems
    assert str(problem).startswith(f"{LABELS}: field 'annotations': is not valid JSON: the key '76' is twice")
    (copy / LABELS).write_text("{}")
    assert said(CholecTrack20(copy).read("VID02")) == [": annotations: is missing"]
    film = copy / "Testing/VID03/VID03.mp4"
    film.write_bytes(film.read_bytes()[:2000])
    reading = CholecTrack20(copy).read("VID03")
    assert reading.video is None
    assert (reading.problems[0].provenance.file, reading.problems[0].field) == (
        "Testing/VID03/VID03.mp4",
        "video",
    )
    assert CholecTrack20(copy).read("VID04").video is not None


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    (copy / LABELS).unlink()
    [problem] = CholecTrack20(copy).read("VID02").problems
    assert (problem.provenance.file, problem.problem) == (LABELS, "is missing")
    (copy / "Testing/VID03/VID03.mp4").unlink()
    [problem] = CholecTrack20(copy).read("VID03").problems
    assert problem.problem == "holds neither Frames/006701.png and so on nor a film VID03.mp4"
    with pytest.raises(UserError, match=r"has no video 'VID99', like Training/VID02"):
        CholecTrack20(copy).read("VID99")
    shutil.copytree(copy / "Validation/VID04", copy / "Testing/VID04")
    [twice] = CholecTrack20(copy).problems()
    assert str(twice) == "Testing/VID04: field '': the video is in Validation/VID04 too, which is read"
    shutil.rmtree(copy / "Training")
    assert str(CholecTrack20(copy).problems()[0]) == "Training: field '': the folder of this part is missing"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no videos; expected folders like Training/VID02"):
        CholecTrack20(tmp_path / "empty").videos()
    with pytest.raises(UserError, match="there is no perspective 'sideways'; known are: intraoperative, "):
        CholecTrack20(copy, "sideways")


def test_names_of_files_may_have_another_case(copy: Path, readings: list[Reading]) -> None:
    (copy / LABELS).rename(copy / FOLDER / "VID02.json")
    (copy / "Training").rename(copy / "training")
    source = CholecTrack20(copy)
    video = source.read("VID02").video
    assert [i.box for i in video.instances] == [i.box for i in readings[0].video.instances]
    assert video.official_split == "train"
    assert source.files("VID02") == [copy / "training/VID02/VID02.json"]
