"""CholecT50 is read as it was drawn: phases, triplets and boxes frame by frame; what is wrong is named."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgrpo.data.readers import open_reader
from medgrpo.data.sources.annotations import Reading
from medgrpo.data.sources.cholec import STEPS
from medgrpo.data.sources.cholect50 import CholecT50
from medgrpo.data.synthetic.layouts import cholect50 as layout
from medgrpo.data.synthetic.layouts.cholec import SPEC
from medgrpo.errors import UserError
from medgrpo.tasks.next_action import inventory
from medgrpo.types import Canvas

SEED = 1
VIDEOS = 2
NAMES = [layout.video_id_of(number) for number in range(VIDEOS)]
SHOWN = [second for second in range(layout.DURATION) if second not in (layout.EMPTY, *layout.BLACK)]
LABELS = "labels/VID01.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cholect50")
    layout.write(folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "cholect50")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = CholecT50(root)
    assert source.videos() == NAMES
    assert source.problems() == []
    return [source.read(name) for name in NAMES]


def edit(copy: Path, change: Callable[[dict[str, Any]], object]) -> Reading:
    """What is read of the first video once its labels are changed."""
    labels = json.loads((copy / LABELS).read_text())
    change(labels)
    (copy / LABELS).write_text(json.dumps(labels))
    return CholecT50(copy).read("VID01")


def said(reading: Reading) -> list[str]:
    return [f"{p.provenance.key}: {p.field}: {p.problem}" for p in reading.problems]


def test_boxes_are_those_of_the_scene(readings: list[Reading]) -> None:
    video, operation = readings[0].video, layout.operation_of(0, SEED)
    assert video.canvas == Canvas(SPEC.width, SPEC.height)
    for second in SHOWN:
        drawn = sorted((s.tool, np.multiply(s.box, (224, 126, 224, 126))) for _, s in operation.seen(second))
        found = [(i.label, i.box.xyxy) for i in video.instances if i.time == second]
        assert [label for label, _ in found] == [label for label, _ in drawn]
        for (_, box), (_, true) in zip(found, drawn, strict=True):
            assert box == pytest.approx(true, abs=0.01)
    assert readings[0].counts["boxes"] == readings[0].counts["instances"] > 20
    assert max(len(operation.seen(second)) for second in SHOWN) == 2


def test_without_boxes_there_is_no_canvas_and_presence_stays(readings: list[Reading]) -> None:
    video, operation = readings[1].video, layout.operation_of(1, SEED)
    assert video.canvas is None
    assert "boxes" not in readings[1].counts
    for second in SHOWN:
        tools = sorted(state.tool for _, state in operation.seen(second))
        assert [i.label for i in video.instances if i.time == second] == tools
    assert {i.box for i in video.instances} == {None}


def test_triplets_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        operation = layout.operation_of(number, SEED)
        for second in range(layout.DURATION):
            seen = operation.seen(second) if second in SHOWN else []
            acting = sorted((s.tool, s.verb, s.target) for _, s in seen if s.verb != "idle")
            found = [(t.instrument, t.verb, t.target) for t in reading.video.triplets if t.time == second]
            assert sorted(found) == acting


def test_runs_of_a_triplet_are_actions(readings: list[Reading]) -> None:
    for reading in readings:
        video = reading.video
        runs = [event for event in video.events if event.kind == "action"]
        assert set(video.actions) == {event.label for event in runs}
        marks = {(f"{t.instrument} {t.verb} {t.target}", t.time) for t in video.triplets}
        inside = {(e.label, float(s)) for e in runs for s in range(int(e.start), int(e.end))}
        assert inside == marks
        for a, b in itertools.combinations(runs, 2):
            assert a.label != b.label or a.end < b.start or b.end < a.start


def test_runs_of_a_phase_are_phases_in_the_benchmarks_spelling(readings: list[Reading]) -> None:
    assert set(STEPS) == set(inventory()["CholecT50"])
    for number, reading in enumerate(readings):
        operation = layout.operation_of(number, SEED)
        phases = [event for event in reading.video.events if event.kind == "phase"]
        told = {s: e.label for e in phases for s in range(int(e.start), int(e.end))}
        # Out of the body the phase goes on; in the frame without rows nobody tells it.
        assert told == {s: operation.phase(s) for s in range(layout.DURATION) if s != layout.EMPTY}
        assert reading.video.steps == STEPS
        assert reading.counts["frames_without_phase"] == reading.counts["frames_without_rows"] == 1


def test_black_frames_are_read_and_show_no_instrument(readings: list[Reading]) -> None:
    video = readings[0].video
    assert not [i for i in video.instances if i.time in layout.BLACK]
    assert set(layout.BLACK) < set(video.annotated)
    frames = open_reader(video.footage).read(range(layout.DURATION), 126, 224)
    assert tuple(second for second, frame in enumerate(frames) if not frame.any()) == layout.BLACK


def test_frames_count_from_zero_at_one_a_second(readings: list[Reading]) -> None:
    video = readings[0].video
    assert (video.clock, video.first_id, video.duration) == (1.0, 0, layout.DURATION)
    assert [video.frame_id(time) for time in (0.0, 7.0)] == [0, 7]
    assert video.footage.times == tuple(float(s) for s in range(layout.DURATION))
    assert video.canonical_id == "cholec:1"
    picture = open_reader(video.footage).read([7], 126, 224)[0]
    assert (picture.transpose(1, 2, 0) == layout.operation_of(0, SEED).draw(7)).all()


def test_what_a_reading_depends_on(root: Path) -> None:
    assert CholecT50(root).files("VID01") == [root / LABELS]


def row(**cells: float) -> list[float]:
    """A row without anything but a phase, and what is put into it."""
    places = {
        "triplet": 0,
        "instrument": 1,
        "x": 3,
        "y": 4,
        "w": 5,
        "h": 6,
        "verb": 7,
        "target": 8,
        "phase": 14,
    }
    found: list[float] = [-1] * 14 + [3]
    for name, value in cells.items():
        found[places[name]] = value
    return found


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row()[:14], "annotations: the row has 14 numbers; expected 15"),
        (row(instrument=17), "instrument: 17 is the code of no instrument in the file's categories"),
        (row(phase=7), "phase: 7 is the code of no phase in the file's categories"),
        (row(phase=100), "phase: 100 is the code of no phase in the file's categories"),
        (row(triplet=100), "triplet: 100 is the code of no triplet in the file's categories"),
        (
            row(triplet=0, instrument=5),
            "triplet: 'bipolar coagulate cystic artery' contradicts the instrument",
        ),
        (row(instrument=0.5), "instrument: 0.5 is not a whole number"),
        (row(instrument=0, x=0.1, y=0.1, w=0.2, h=0), "instrument: the box [0.1, 0.1, 0.2, 0] has no area"),
        (row(instrument=0, x=0.5, y=0.1, w=0.6, h=0.2), "instrument: the box [0.5, 0.1, 0.6, 0.2] leaves"),
        (
            row(instrument=0, x=120, y=132, w=23, h=65),
            "instrument: [120, 132, 23, 65] is not left, top, width",
        ),
        (row(instrument=0, x=0.5), "instrument: [0.5, -1, -1, -1] is not left, top, width and height as"),
        ("grasper", 'annotations: "grasper" is not a list'),
    ],
)
def test_bad_rows_are_named_and_left_out(
    copy: Path, readings: list[Reading], bad: object, problem: str
) -> None:
    reading = edit(copy, lambda labels: labels["annotations"]["12"].append(bad))
    [found] = said(reading)
    assert found.startswith(f"annotations/12/1: {problem}")
    assert reading.counts["bad_rows"] == 1
    assert reading.problems[0].provenance.file == LABELS
    assert reading.video.instances == readings[0].video.instances
    assert reading.video.events == readings[0].video.events


def test_rows_of_a_frame_that_contradict_each_other_are_named(copy: Path) -> None:
    reading = edit(copy, lambda labels: labels["annotations"].update({"12": [row(phase=0), row(phase=1)]}))
    assert said(reading) == [
        "annotations/12: phase: the rows of the frame differ: carlot-triangle-dissection, preparation"
    ]
    assert not [e for e in reading.video.events if e.kind == "phase" and e.start <= 12 < e.end]


def test_frames_that_are_not_there_are_named(copy: Path) -> None:
    (copy / "videos/VID01/000020.png").unlink()
    reading = edit(copy, lambda labels: labels["annotations"].update({"500": [], "last": []}))
    assert said(reading) == [
        "annotations/20: annotations: the frame 000020.png is missing in videos/VID01",
        "annotations/500: annotations: the frame 000500.png is missing in videos/VID01",
        "annotations/last: annotations: 'last' is not the number of a frame",
    ]
    assert 20.0 not in reading.video.annotated
    assert 20.0 not in reading.video.footage.times


def test_a_label_outside_the_vocabulary_is_named_with_the_nearest(copy: Path) -> None:
    reading = edit(copy, lambda labels: labels["categories"]["instrument"].update({"0": "graspr"}))
    assert said(reading)[0].startswith(
        "categories/instrument/0: instrument: 'graspr' is not a known instrument; the nearest is 'grasper'"
    )
    assert all(p.problem.startswith("0 is the code of no instrument") for p in reading.problems[1:])
    assert "grasper" not in {one.label for one in reading.video.instances}


def test_other_spellings_of_phases_become_the_benchmarks(copy: Path, readings: list[Reading]) -> None:
    names = ("Preparation", "calot-triangle-dissection", "ClippingCutting", "GallbladderDissection")
    change = {str(k): name for k, name in enumerate(names)}
    reading = edit(copy, lambda labels: labels["categories"]["phase"].update(change))
    assert reading.video.events == readings[0].video.events


def test_missing_parts_of_the_labels_are_named(copy: Path) -> None:
    reading = edit(copy, lambda labels: labels["categories"].pop("verb"))
    assert reading.video is None
    assert said(reading) == [": verb: is missing"]
    reading = edit(copy, lambda labels: labels.update(fps="one"))
    assert said(reading) == [': fps: "one" is not a number']


def test_broken_labels_are_named_by_line_and_others_are_read(copy: Path) -> None:
    (copy / LABELS).write_text('{"fps": 1,\n "annotations": {"0": [}}')
    reading = CholecT50(copy).read("VID01")
    assert reading.video is None
    [problem] = reading.problems
    assert str(problem) == f"{LABELS}, line 2: field 'annotations': is not valid JSON: Expecting value"
    assert CholecT50(copy).read("VID02").video is not None


def test_unreadable_and_missing_frames_are_named(copy: Path) -> None:
    (copy / "videos/VID01/000000.png").write_bytes(b"no picture")
    [problem] = CholecT50(copy).read("VID01").problems
    assert problem.provenance.file == "videos/VID01/000000.png"
    assert problem.problem == "the frame 000000.png is not an image that Pillow can read"
    shutil.rmtree(copy / "videos/VID01")
    reading = CholecT50(copy).read("VID01")
    assert reading.video is None
    assert reading.problems[0].provenance.file == "videos/VID01"
    assert reading.problems[0].problem == "the frames are missing; expected 000000.png and so on"


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    (copy / LABELS).unlink()
    source = CholecT50(copy)
    assert source.videos() == ["VID02"]
    assert [str(p) for p in source.problems()] == [
        f"{LABELS}: field 'annotations': the video has frames and no labels"
    ]
    with pytest.raises(UserError, match=r"labels: has no labels of a video 'VID01', like VID01\.json"):
        source.read("VID01")
    shutil.rmtree(copy / "labels")
    with pytest.raises(UserError, match=r"labels: is missing; expected a file VID01\.json"):
        CholecT50(copy).videos()
    with pytest.raises(UserError, match="there is no such folder; expected a copy of CholecT50"):
        CholecT50(tmp_path / "nowhere")
