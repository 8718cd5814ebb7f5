"""Sources are looked through as a whole: counts, and problems by file and field, the same every time."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from medgrpo.data.sources.annotations import (
    Event,
    Instance,
    Problem,
    Provenance,
    Reading,
    SourceVideo,
    Triplet,
)
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.consistency import inconsistencies
from medgrpo.data.sources.copesd import CoPESD
from medgrpo.data.sources.egosurgery import EgoSurgery
from medgrpo.data.sources.validate import validate
from medgrpo.data.synthetic.layouts import write_layout
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas, Clip

VIDEOS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_layout("EgoSurgery", folder / "ego", VIDEOS, 3)
    write_layout("CoPESD", folder / "copesd", VIDEOS, 3)
    return folder


def test_counts_are_the_sums_of_all_videos(root: Path) -> None:
    source = EgoSurgery(root / "ego")
    found = validate(source)
    readings = [source.read(video_id) for video_id in source.videos()]
    assert found.videos == len(readings) == VIDEOS
    assert found.unusable == []
    assert found.operations == 2  # two of the sessions are of one video
    assert found.seconds == sum(reading.video.duration for reading in readings)
    for key in ("rows", "events", "instances", "repeated_boxes", "frames_without_phase"):
        assert found.counts[key] == sum(reading.counts.get(key, 0) for reading in readings) > 0
    assert dict(found.splits) == {"train": 2, "test": 1}


def test_problems_are_counted_by_file_and_field(root: Path) -> None:
    found = validate(EgoSurgery(root / "ego"))
    place = "egosurgery_tool/instances_train.json"
    assert [(g.file, g.field, g.count) for g in found.groups] == [
        (place, "bbox", 1),
        (place, "category_id", 1),
        (place, "image_id", 1),
    ]
    assert found.problems == 3
    copesd = validate(CoPESD(root / "copesd"))
    assert [(g.file, g.field, g.count) for g in copesd.groups] == [
        ("smllm_train.json", "image", 1),
        ("smllm_train.json", "value", 4),
    ]


def test_all_are_counted_and_the_first_are_told(root: Path) -> None:
    found = validate(CoPESD(root / "copesd"), examples=2)
    assert [(group.count, len(group.examples)) for group in found.groups] == [(1, 1), (4, 2)]
    assert found.problems == 5


def test_the_summary_is_json_and_the_same_every_time(root: Path) -> None:
    first, second = (json.dumps(validate(CoPESD(root / "copesd")).summary()) for _ in range(2))
    assert first == second
    summary = json.loads(first)
    assert summary["source"] == "CoPESD"
    assert summary["videos"] == summary["usable_videos"] == VIDEOS
    assert summary["official_splits"] == {"test": 1, "train": 2}
    example = summary["by_file_and_field"][1]["examples"][0]
    assert example["video"] == "023521"
    assert example["where"].startswith("smllm_train.json, line ")
    assert "the nearest is" in example["problem"]


def test_the_table_tells_the_same_to_people(root: Path) -> None:
    text = validate(CoPESD(root / "copesd")).table()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == f"CoPESD in {root / 'copesd'}"
    assert lines[1] == "3 of 3 videos can be used (3 operations, 0.02 h)"
    assert "official split train 2" in lines
    assert "xywh boxes 41" in lines
    assert lines.index("4 x smllm_train.json: field 'value'") < lines.index(
        "1 x smllm_train.json: field 'image'"
    )
    assert max(map(len, text.splitlines())) < 400


def test_progress_sees_every_video(root: Path) -> None:
    seen: list[str] = []

    def progress(names: Sequence[str]) -> Iterator[str]:
        for name in names:
            seen.append(name)
            yield name

    source = CoPESD(root / "copesd")
    assert validate(source, progress).videos == len(seen)
    assert seen == list(source.videos())


def test_an_unusable_video_and_a_refused_source_are_told(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root / "copesd", tmp_path / "copesd")
    shutil.rmtree(copy / "high_light_images/023521")
    found = validate(CoPESD(copy))
    assert found.unusable == ["023521"]
    assert found.summary()["usable_videos"] == VIDEOS - 1
    assert found.counts["items"] == 2 * 24
    (copy / "smllm_train.json").write_text("[{]")
    found = validate(CoPESD(copy))
    assert "smllm_train.json: not valid JSON at line 1" in found.refused
    assert found.problems == 1
    assert "cannot be read" in found.table()
    assert found.summary()["refused"] == found.refused


class OneVideo(Source):
    """A source whose importer makes mistakes of its own."""

    name = "One"
    licence = ""

    def __init__(self, root: Path, video: SourceVideo) -> None:
        super().__init__(root)
        self.video = video

    def videos(self) -> list[str]:
        return [self.video.video_id]

    def read(self, video_id: str) -> Reading:
        if video_id != self.video.video_id:
            raise UserError(f"nothing about {video_id}")
        return Reading(self.video)


HERE = Provenance("a.csv", 3)


@pytest.fixture
def video(tmp_path: Path) -> SourceVideo:
    (tmp_path / "1.jpg").touch()
    return SourceVideo(
        source="One",
        video_id="v",
        canonical_id="one:v",
        footage=Clip(frames=(tmp_path / "1.jpg",), times=(0.0,)),
        clock=1.0,
        duration=10.0,
        canvas=Canvas(100, 50),
        events=(Event("action", "cut", 1, 2, HERE), Event("phase", "close", 3, 10, HERE)),
        instances=(Instance(1.0, "hook", HERE, Box(0, 0, 104, 50)), Instance(9.0, "hook", HERE)),
        actions=("cut",),
        steps=("close",),
    )


def test_a_sound_video_contradicts_nothing(video: SourceVideo, tmp_path: Path) -> None:
    assert list(inconsistencies(video)) == []
    assert validate(OneVideo(tmp_path, video)).problems == 0
    assert "no problems" in validate(OneVideo(tmp_path, video)).table()


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"clock": 0.0}, "clock", "0.0 is no rate"),
        ({"duration": float("nan")}, "duration", "nan is no duration"),
        ({"footage": Clip(video=Path("nowhere.mp4"))}, "footage", "nowhere.mp4 is not there"),
        ({"events": (Event("action", "cut", 1, 11, HERE),)}, "events", "1-11 s ends after the video"),
        ({"events": (Event("action", "sew", 1, 2, HERE),)}, "events", "'sew' is in no closed list"),
        (
            {"events": (Event("action", "cut", 3, 4, HERE), Event("action", "cut", 1, 2, HERE))},
            "events",
            "are not in the order of time",
        ),
        ({"instances": (Instance(-1.0, "hook", HERE),)}, "instances", "-1 s is outside the video"),
        (
            {"instances": (Instance(1.0, "hook", HERE, Box(0, 0, 106, 9)),)},
            "instances",
            "leaves the canvas of 100x50",
        ),
        ({"canvas": None}, "instances", "has a box, but the video has no canvas"),
        ({"triplets": (Triplet(99.0, "hook", "cut", "fat", HERE),)}, "triplets", "99 s is outside the video"),
    ],
)
def test_what_an_importer_got_wrong_is_told(
    video: SourceVideo, tmp_path: Path, changes: dict, field: str, problem: str
) -> None:
    source = OneVideo(tmp_path, dataclasses.replace(video, **changes))
    problems: list[Problem] = [one for group in validate(source).groups for one in group.examples]
    found = [one for one in problems if problem in one.problem]
    assert [one.field for one in found] == [field]
    assert found[0].video_id == "v"
