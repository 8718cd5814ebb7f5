"""A dataset of one's own is read by options alone, and what is wrong in it is named."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonargparse import ArgumentParser

from medgrpo.data.sources.annotations import Reading
from medgrpo.data.sources.coco_csv import CocoCsv, EventTable
from medgrpo.data.synthetic.layouts import coco_csv as layout
from medgrpo.data.synthetic.layouts import write_layout
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.errors import UserError
from medgrpo.types import Canvas

SEED, VIDEOS = 3, 3
IDS = [layout.video_of(number) for number in range(VIDEOS)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wards")
    write_layout("coco_csv", folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "wards")


def source_of(root: Path, **options: Any) -> CocoCsv:
    return CocoCsv(root, **{**layout.options(), **options})


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(problem.field, problem.problem) for problem in reading.problems]


def test_events_and_boxes_are_those_of_the_scene(root: Path) -> None:
    source = source_of(root)
    assert source.videos() == sorted(IDS)
    for number, video_id in enumerate(IDS):
        reading, scene = source.read(video_id), layout.scene_of(number, SEED)
        video = reading.video
        assert [(e.label, e.start, e.end) for e in video.events] == [
            (a.verb, a.start, a.end) for a in scene.actions
        ]
        seconds = [float(k) for k in range(layout.DURATION)]
        assert video.annotated == tuple(seconds)
        truth = {time: scene.state(time) for time in seconds if scene.state(time).visible}
        assert {one.time: one.label for one in video.instances} == {t: s.tool for t, s in truth.items()}
        for one in video.instances:
            assert one.box.xyxy == pytest.approx(np.multiply(truth[one.time].box, layout.SIZE * 2), abs=1e-6)
            assert one.track == str(scene.current(one.time))
        assert reading.problems == ()
    assert source.problems() == []


def test_facts_are_those_of_the_options(root: Path) -> None:
    source = source_of(root, procedure="ward round", web=True, homepage="https://example.org")
    video = source.read(IDS[1]).video
    assert (video.source, source.name, source.licence) == (layout.NAME, layout.NAME, "drawn, free to use")
    assert (source.web, source.homepage, CocoCsv.name) == (True, "https://example.org", "coco_csv")
    assert video.canonical_id == "wards:ward01" == source.read(IDS[0]).video.canonical_id
    assert source_of(root, operation="").read(IDS[1]).video.canonical_id == f"wards:{IDS[1]}"
    assert (video.canvas, video.procedure) == (Canvas(*layout.SIZE), "ward round")
    assert video.actions == video.steps == tuple(layout.SPEC.verbs)
    assert (video.clock, video.frame_id(3.5), video.duration) == (2.0, 8, layout.DURATION)
    assert [path.name for path in source.files(IDS[0])] == ["events.csv", "boxes.json"]
    again = pickle.loads(pickle.dumps(source))
    assert again.name == layout.NAME
    assert again.read(IDS[1]).video == video


def test_a_config_builds_it(root: Path) -> None:
    parser = ArgumentParser()
    parser.add_argument("--source", type=CocoCsv)
    options = {**layout.options(), "root": str(root), "events": {"unit": "seconds"}, "canvas": [224, 112]}
    config = parser.parse_object(
        {"source": {"class_path": "medgrpo.data.sources.coco_csv.CocoCsv", "init_args": options}}
    )
    source = parser.instantiate(config).source
    assert source.read(IDS[0]).video == source_of(root).read(IDS[0]).video


def test_events_may_be_counted_in_frames_and_be_phases(copy: Path) -> None:
    events = source_of(copy).read(IDS[0]).video.events
    lines = ["clip;what;from;to"]
    lines += [f"{IDS[0]};{e.label};{round(e.start * 2) + 1};{round(e.end * 2)}" for e in events]
    (copy / "own.csv").write_text("\n".join(lines) + "\n")
    table = EventTable("own.csv", "clip", "what", "from", "to", "frames", ";")
    phases = {verb: verb.upper() for verb in layout.SPEC.verbs}
    video = source_of(copy, events=table, actions=(), phases=phases).read(IDS[0]).video
    assert [(e.label, e.start, e.end) for e in video.events] == [
        (e.label.upper(), e.start, e.end) for e in events
    ]
    assert {event.kind for event in video.events} == {"phase"}
    assert video.steps == tuple(phases.values())


def test_footage_may_be_films_of_another_rate_and_boxes_a_folder(copy: Path) -> None:
    scene = layout.scene_of(0, SEED)
    (copy / "films").mkdir()
    write_film(copy / f"films/{IDS[0]}.mp4", scene.render, layout.DURATION, 25)
    shutil.rmtree(copy / "frames")
    (copy / "boxes").mkdir()
    (copy / "boxes.json").rename(copy / "boxes/all.json")
    source = source_of(copy, films="films", boxes="boxes")
    video = source.read(IDS[0]).video
    assert video.footage.video == copy / f"films/{IDS[0]}.mp4"
    assert (video.footage.fps, video.clock) == (25.0, 2.0)
    assert video.duration == pytest.approx(layout.DURATION, abs=0.05)
    assert {one.time: one.label for one in video.instances} == {
        float(k): scene.state(k).tool for k in range(layout.DURATION) if scene.state(k).visible
    }
    missing = source.read(IDS[1])
    assert missing.video is None
    assert told(missing) == [("video", f"its video is missing; expected films/{IDS[1]}.mp4")]
    (copy / f"films/{IDS[1]}.mp4").write_bytes(b"no film")
    broken = source.read(IDS[1])
    assert broken.video is None
    assert str(broken.problems[0].provenance) == f"films/{IDS[1]}.mp4"


def test_one_of_both_is_enough(copy: Path) -> None:
    (copy / "events.csv").unlink()
    video = source_of(copy, events=EventTable(file="")).read(IDS[0]).video
    assert video.instances
    assert video.events == ()
    shutil.copy(copy / "boxes.json", copy / "x.json")
    write_layout("coco_csv", copy, VIDEOS, SEED)
    video = source_of(copy, boxes="").read(IDS[0]).video
    assert video.events
    assert (video.canvas, video.instances) == (None, ())


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        ("ward01_a,injekt,1,2", "label", "'injekt' is not a known event; the nearest is 'inject'; known are"),
        ("ward01_a,inject,-1,2", "start", "-1 s is before the start of the video"),
        ("ward01_a,inject,5,5", "end", "5 s is not after the start at 5 s"),
        ("ward01_a,inject,5,25", "end", "25 s is past the end of the video, which lasts 24 s"),
        ("ward01_a,inject,99,100", "start", "99 s is past the end of the video"),
        ("ward01_a,inject,soon,2", "start", "'soon' is not a number"),
    ],
)
def test_bad_rows_are_named_and_left_out(copy: Path, row: str, field: str, problem: str) -> None:
    before = source_of(copy).read(IDS[0]).video
    lines = (copy / "events.csv").read_text().splitlines()
    (copy / "events.csv").write_text("\n".join((lines[0], row, *lines[1:], ",inject,1,2", "x,y")) + "\n")
    source = source_of(copy)
    reading = source.read(IDS[0])
    [found] = reading.problems
    assert found.field == field
    assert found.problem.startswith(problem)
    assert str(found.provenance) == "events.csv, line 2"
    assert [(e.label, e.start) for e in reading.video.events] == [(e.label, e.start) for e in before.events]
    assert [p.problem for p in source.problems()] == ["is empty", "the row has 2 cells; expected 4"]


@pytest.mark.parametrize(
    ("part", "values", "field", "problem"),
    [
        (
            "images",
            {"file_name": "frames/x1.jpg"},
            "file_name",
            "does not end like frames/{video}/{frame}.jpg",
        ),
        ("images", {"file_name": f"frames/{IDS[0]}/000900.jpg"}, "file_name", "the video lasts 24 s"),
        ("images", {"file_name": f"frames/{IDS[0]}/000000.jpg"}, "file_name", "is at -0.5 s"),
        ("images", {"height": 99}, "width", "is 224x99, images before it are not"),
        ("annotations", {"bbox": [200, 1, 60, 5]}, "bbox", "leaves its image of 224x112"),
        ("annotations", {"category_id": 77}, "category_id", "77 is the number of no category"),
        ("annotations", {"image_id": []}, "image_id", "[] is the number of no image"),
    ],
)
def test_bad_boxes_are_named_and_left_out(
    copy: Path, part: str, values: dict[str, Any], field: str, problem: str
) -> None:
    content = json.loads((copy / "boxes.json").read_text())
    content[part][3].update(values)
    (copy / "boxes.json").write_text(json.dumps(content))
    source = source_of(copy)
    found = [p for p in (*source.read(IDS[0]).problems, *source.problems()) if problem in p.problem]
    assert [p.field for p in found] == [field]
    assert str(found[0].provenance).startswith(f"boxes.json, {part}/3")


def test_an_object_outside_the_vocabulary_is_named(copy: Path) -> None:
    source = source_of(copy, objects=["syringe", "gauze"])
    fields = {p.field for video in IDS for p in source.read(video).problems}
    texts = {p.problem for video in IDS for p in source.read(video).problems}
    assert fields == {"category_id"}
    assert any(text.startswith("'glucometer' is not a known object") for text in texts)


def test_missing_and_broken_files_are_named(copy: Path) -> None:
    shutil.rmtree(copy / "frames" / IDS[0])
    reading = source_of(copy).read(IDS[0])
    assert reading.video is None
    assert told(reading) == [
        ("frame", "its frames are missing; expected files like frames/{video}/{frame}.jpg")
    ]
    (copy / "frames" / IDS[1] / "000001.jpg").write_bytes(b"no picture")
    assert "Pillow" in source_of(copy).read(IDS[1]).problems[0].problem
    assert (
        source_of(copy, first_frame=9).read(IDS[2]).problems[0].problem
        == "frame 1 is before the first one, 9"
    )
    with pytest.raises(UserError, match="neither events nor boxes are about a video 'nobody'"):
        source_of(copy).read("nobody")
    (copy / "boxes.json").write_text("{,}")
    with pytest.raises(UserError, match=r"boxes\.json.*is not valid JSON"):
        source_of(copy).videos()
    (copy / "boxes.json").unlink()
    with pytest.raises(UserError, match=r"boxes\.json: is missing"):
        source_of(copy).videos()
    (copy / "none").mkdir()
    with pytest.raises(UserError, match=r"none: holds no \.json file"):
        source_of(copy, boxes="none").videos()
    (copy / "events.csv").write_text("video,label,start\n")
    with pytest.raises(UserError, match=r"events\.csv: line 1: the column 'end' is missing"):
        source_of(copy, boxes="").videos()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fps": 0}, "fps must be positive"),
        ({"name": ""}, "name must not be empty"),
        ({"phases": ["inject"]}, "'inject' is an action and a phase"),
        ({"operation": "(x"}, "is no regular expression"),
        ({"operation": "ward"}, "has no group"),
        ({"images": "x.jpg"}, "'x.jpg' needs {video}"),
        ({"root": "nowhere"}, "there is no such folder"),
    ],
)
def test_options_that_cannot_be_are_refused(root: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        CocoCsv(**{**layout.options(), "root": root, **options})
