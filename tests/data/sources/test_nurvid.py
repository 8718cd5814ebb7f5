"""NurViD is read as it was drawn: actions by their names and times; what is wrong in it is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sources.annotations import Problem, Reading
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.nurvid import ANNOTATIONS, NAMES, NurViD, check_segment
from medgrpo.data.sources.nurvid_names import SPELLINGS, procedure_steps, read_names
from medgrpo.data.sources.nurvid_splits import official_splits, parse_listed
from medgrpo.data.synthetic.layouts import nurvid as layout
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.layouts.sheet import write_sheet
from medgrpo.errors import UserError
from medgrpo.tasks.next_action import inventory

SEED = 1
VIDEOS = 3
IDS = [layout.video_id_of(number, SEED) for number in range(VIDEOS)]
PUBLISHED = inventory()["NurViD_by_procedure_in_match_order"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nurvid")
    layout.write(folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "nurvid")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = NurViD(root)
    assert source.videos() == sorted(IDS)
    assert source.problems() == []
    return [source.read(video_id) for video_id in IDS]


def edit(root: Path, change: Callable[[dict[str, Any]], None], video: int = 1) -> Reading:
    """A video's reading after a change of its annotations."""
    entries = json.loads((root / ANNOTATIONS).read_text())
    change(entries[IDS[video]])
    (root / ANNOTATIONS).write_text(json.dumps(entries))
    return NurViD(root).read(IDS[video])


def test_actions_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        scene = layout.scene_of(number, SEED)
        drawn = [(layout.action_of(scene, a.verb), a.start, a.end) for a in scene.actions]
        last = (drawn[0][0], layout.DURATION - 1.5, layout.DURATION + 0.5)
        found = [(e.label, e.start, e.end) for e in reading.video.events]
        assert found == sorted([*drawn, last], key=lambda e: (e[1], e[2], e[0]))
        assert reading.video.procedure == layout.procedure_of(scene)
        assert set(reading.video.steps) == set(PUBLISHED[reading.video.procedure])
        assert {e.label for e in reading.video.events} <= set(reading.video.actions)


def test_rate_and_duration_are_those_of_the_file(readings: list[Reading], root: Path) -> None:
    entries = json.loads((root / ANNOTATIONS).read_text())
    assert [entries[video_id]["fps"] for video_id in IDS] == [29, 25, 23]
    assert [round(r.video.clock, 2) for r in readings] == [29.97, 25.0, 23.98]
    for number, reading in enumerate(readings):
        assert reading.video.footage.fps == reading.video.clock
        assert reading.video.duration == pytest.approx(30.6, abs=1 / float(layout.rate_of(number)))
        assert entries[IDS[number]]["duration"] == 30
        assert reading.video.frame_id(10.0) == round(10 * layout.rate_of(number))
        # It ends after the 30 s that are written, within the 30.6 s that there are.
        assert reading.counts["past_whole_seconds"] == 1


def test_bad_segments_are_named_and_left_out(readings: list[Reading]) -> None:
    late, reverse, unknown = readings[0].problems
    assert late.field == reverse.field == "segment"
    assert late.problem.startswith("28-39 is past the end of the video, which lasts 30.")
    assert reverse.problem == "the end at 6 is not after the start at 7"
    assert unknown.field == "actionID"
    assert (
        unknown.problem
        == f"{len(layout.ACTION_NUMBERS) + 1} names no action; expected a number in {NAMES}, plus 1"
    )
    count = len(layout.scene_of(0, SEED).actions)
    assert late.provenance.key == f"{IDS[0]}/annotations/{count + 1}"
    assert readings[0].counts == {
        "segments": count + 4,
        "events": count + 1,
        "bad_segments": 3,
        "past_whole_seconds": 1,
    }
    assert readings[1].problems == readings[2].problems == ()


def test_without_its_file_a_video_is_as_long_as_is_written(copy: Path) -> None:
    (copy / f"dataset/Original_videos/{IDS[1]}.mp4").unlink()
    reading = NurViD(copy).read(IDS[1])
    assert reading.video is None
    assert [p.field for p in reading.problems] == ["url", "segment"]
    assert (
        reading.problems[0].problem == f"the video is missing; expected dataset/Original_videos/{IDS[1]}.mp4"
    )
    assert reading.problems[1].problem == "28.5-30.5 is past the end of the video, which lasts 30 s"
    assert reading.counts["bad_segments"] == 1


def test_what_the_source_says_of_its_videos(readings: list[Reading], root: Path) -> None:
    for number, reading in enumerate(readings):
        assert reading.video.source == "NurViD"
        assert reading.video.canonical_id == f"nurvid:{IDS[number]}"
        assert reading.video.official_split == ("train", "test", "val")[number]
    assert json.loads((root / ANNOTATIONS).read_text())[IDS[0]]["subset"] is None
    names = {path.name for path in NurViD(root).files(IDS[0])}
    assert names >= {"NurViD_annotations.json", "Procedure&Action_ID.xlsx", "train.csv", "action_val.csv"}


def test_a_file_that_does_not_fit_is_refused(copy: Path) -> None:
    # Frames of 29.97 a second, played at 25, as the authors' own script makes them.
    scene = layout.scene_of(0, SEED)
    film = copy / f"dataset/Original_videos/{IDS[0]}.mp4"
    write_film(film, scene.render, 30.6 * float(Fraction(30000, 1001)) / 25, 25)
    reading = NurViD(copy).read(IDS[0])
    assert reading.video is None
    assert reading.problems[0].field == "duration"
    assert reading.problems[0].problem.startswith("the file lasts 36.68 s, the annotated video 30 s: ")
    film.write_bytes(film.read_bytes()[:5000])
    reading = NurViD(copy).read(IDS[0])
    assert reading.video is None
    assert reading.problems[0].field == "url"
    assert reading.problems[0].provenance.file == f"dataset/Original_videos/{IDS[0]}.mp4"


def test_published_spellings_are_kept(root: Path) -> None:
    names = read_names(root, NAMES, print)
    assert "Spread the proximal bedshee" in names.actions.values()
    assert procedure_steps("Change Sheets of an Occupied Bed") == tuple(
        PUBLISHED["Change Sheets of an Occupied Bed"]
    )
    assert procedure_steps("Arterial Blood Sampling") == ()
    known = {*PUBLISHED, *(step for steps in PUBLISHED.values() for step in steps)}
    assert set(SPELLINGS.values()) <= known
    assert not set(SPELLINGS) & known


def sheet(folder: Path, *lines: tuple[object, ...]) -> tuple[Any, list[Problem]]:
    """Names and problems of a sheet with these lines below its header."""
    header = ("ID", "Chinese name", "English name", "Abbreviation", "Split", None)
    top = [("Procedure",), (*header, "ID", "Chinese name", "English name", "Split")]
    write_sheet(folder / "names.xlsx", [*top, *lines])
    problems: list[Problem] = []
    return read_names(folder, "names.xlsx", problems.append), problems


def test_corrected_names_give_the_published_ones(tmp_path: Path) -> None:
    procedure = "Peripheral Venous Indwelled Needle Infusion and Maintenance"
    names, problems = sheet(
        tmp_path,
        (0, "", procedure, "", "", None, 0, "", "Spread the proximal bedsheet"),
        (None, None, None, None, None, None, 1, "", "Check"),
    )
    assert names.procedures == {1: "Peripheral Venous Indwelled Needle Infusion and Maintaince"}
    assert names.actions == {1: "Spread the proximal bedshee", 2: "Check"}
    assert problems == []


def test_bad_names_are_named(tmp_path: Path) -> None:
    names, problems = sheet(
        tmp_path,
        (0, "", "Defibrillation", "", "", None, 0, "", None),
        (0, "", "Bed Rubbing", "", "", None, "one", "", "Check"),
    )
    assert names.procedures == {1: "Defibrillation"}
    assert names.actions == {}
    assert [str(p) for p in problems] == [
        "names.xlsx, line 3: field 'action/English name': is empty",
        "names.xlsx, line 4: field 'procedure/ID': 0 is there twice",
        "names.xlsx, line 4: field 'action/ID': 'one' is not a number",
    ]


def test_missing_and_broken_files_are_named(copy: Path) -> None:
    (copy / "annotations/task1&3/val.csv").unlink()
    source = NurViD(copy)
    [problem] = source.problems()
    assert problem.provenance.file == "annotations/task1&3/val.csv"
    assert problem.problem == "the file is missing; some official splits are not known"
    write_sheet(copy / NAMES, [("Procedure",), ("ID", "Name")])
    with pytest.raises(UserError, match="line 2: column 3 is headed ''; expected 'English name'"):
        NurViD(copy).read(IDS[0])
    (copy / NAMES).unlink()
    with pytest.raises(UserError, match=r"Procedure&Action_ID\.xlsx: is missing"):
        NurViD(copy).read(IDS[0])
    (copy / ANNOTATIONS).write_text('{"a": [}')
    with pytest.raises(UserError, match=r"NurViD_annotations\.json: .*JSON.*line 1 column 8"):
        NurViD(copy).videos()
    (copy / ANNOTATIONS).write_text("[]")
    with pytest.raises(UserError, match=r"NurViD_annotations\.json: is not an object"):
        NurViD(copy).videos()
    (copy / ANNOTATIONS).unlink()
    with pytest.raises(UserError, match=r"NurViD_annotations\.json: is missing"):
        NurViD(copy).videos()


@pytest.mark.parametrize(
    ("key", "value", "field", "problem"),
    [
        ("operationID", 0, "operationID", "0 names no procedure"),
        ("operationID", "3", "operationID", "3 names no procedure"),
        ("operationID", True, "operationID", "True names no procedure"),
        ("duration", None, "duration", "None is not a number of seconds"),
        ("annotations", {}, "annotations", "is not a list"),
    ],
)
def test_bad_keys_are_named(copy: Path, key: str, value: Any, field: str, problem: str) -> None:
    reading = edit(copy, lambda entry: entry.update({key: value}))
    assert reading.problems[-1].field == field
    assert reading.problems[-1].problem.startswith(problem)
    assert reading.problems[-1].provenance.key == f"{IDS[1]}/{key}"
    assert (reading.video is None) == (key != "annotations")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"actionID": 1, "segment": [1.0]}, "[1.0] is not a list of start and end in seconds"),
        ({"actionID": 1, "segment": ["1", 2]}, "['1', 2] is not a list of start and end in seconds"),
        ({"actionID": 1}, "None is not a list of start and end in seconds"),
        ({"actionID": 1, "segment": [-1, 2]}, "-1 is before the start of the video"),
        ({"actionID": 1, "segment": [2, 2]}, "the end at 2 is not after the start at 2"),
        ({"actionID": 0, "segment": [1, 2]}, "0 names no action"),
        (["no object"], "None names no action"),
    ],
)
def test_bad_items_are_named_and_left_out(copy: Path, item: Any, problem: str) -> None:
    before = NurViD(copy).read(IDS[1])
    reading = edit(copy, lambda entry: entry["annotations"].insert(0, item))
    [found] = reading.problems
    assert found.problem.startswith(problem)
    assert found.provenance.key == f"{IDS[1]}/annotations/0"
    assert len(reading.video.events) == len(before.video.events)


def splits(root: Path, procedures: dict[str, int]) -> tuple[dict[str, str], list[Problem]]:
    problems: list[Problem] = []
    return official_splits(root, procedures, problems.append), problems


def test_splits_of_videos_go_before_those_of_segments(root: Path, copy: Path) -> None:
    procedures = {v: e["operationID"] for v, e in json.loads((root / ANNOTATIONS).read_text()).items()}
    assert splits(root, procedures) == ({IDS[0]: "train", IDS[1]: "test", IDS[2]: "val"}, [])
    # Segments of one video are in all parts: they settle nothing.
    (copy / "annotations/task1&3/train.csv").write_text("path-label\n")
    assert IDS[0] not in splits(copy, procedures)[0]
    for path in (copy / "annotations/task2").iterdir():
        path.write_text("path-label\n")
    (copy / "annotations/task2/action_val.csv").write_text(
        f"path-lable\n/s/{IDS[0]}_1.mp4 3\n/s/{IDS[0]}_12.mp4 3\n"
    )
    assert splits(copy, procedures)[0][IDS[0]] == "val"


def test_bad_rows_of_splits_are_named(copy: Path) -> None:
    path = copy / "annotations/task1&3/val.csv"
    procedures = {IDS[0]: 1, IDS[1]: 2}
    path.write_text(f"path-label\n/v/{IDS[0]}.mp4\n/v/nobody.mp4 1\n/v/{IDS[1]}.mp4 3\n")
    own = [p for p in splits(copy, procedures)[1] if p.provenance.file.endswith("val.csv")]
    assert [(p.provenance.line, p.problem) for p in own] == [
        (2, f"'/v/{IDS[0]}.mp4' is not a path and a number"),
        (3, "the annotations do not know the video"),
        (4, "class 3 is not the annotations' operationID 2"),
    ]
    path.write_text("path,label\n")
    with pytest.raises(UserError, match="line 1 has 2 cells"):
        splits(copy, procedures)
    path.write_text("label\n")
    with pytest.raises(UserError, match="line 1: expected the heading 'path-label', found 'label'"):
        splits(copy, procedures)


NAMES_OF_FILES = st.text(st.sampled_from("aZ09-_"), min_size=11, max_size=11)


@given(NAMES_OF_FILES, st.integers(1, 99), st.integers(0, 176), st.sampled_from(["", "/a b/", "C:\\v\\"]))
def test_listed_files_tell_video_and_class(video_id: str, segment: int, label: int, folder: str) -> None:
    whole = parse_listed(f"{folder}{video_id}.mp4 {label}")
    part = parse_listed(f"{folder}{video_id}_{segment}.mp4 {label}")
    assert whole is not None
    assert part is not None
    assert (whole.stem, whole.label) == (video_id, label)
    assert (part.segment_of, part.label) == (video_id, label)


NUMBERS = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3))


@given(st.one_of(st.lists(NUMBERS, max_size=3), NUMBERS), st.floats(0.1, 1e5), st.floats(0, 0.1))
def test_a_checked_segment_is_within_the_video(segment: Any, duration: float, frame: float) -> None:
    try:
        start, end = check_segment(segment, duration, frame)
    except CellError:
        return
    assert 0 <= start < end <= duration
    assert start == segment[0]
    assert segment[1] - frame <= end <= segment[1]


@given(st.floats(0, 99), st.floats(0.01, 99))
def test_a_good_segment_is_left_as_it_is(start: float, length: float) -> None:
    assert check_segment([start, start + length], 200.0, 0.0) == (start, start + length)
