"""JIGSAWS is read as it was drawn: gestures to the frame, ratings by aspect; what is wrong in it is named."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.readers import open_reader
from medgrpo.data.sources.annotations import Reading
from medgrpo.data.sources.jigsaws import GESTURES, JIGSAWS, frame_span
from medgrpo.data.synthetic.layouts import jigsaws as layout
from medgrpo.errors import UserError
from medgrpo.tasks.skill import ASPECTS, SkillAssessment

SEED = 2
TRIALS = 4
NAMES = [layout.trial_of(number) for number in range(TRIALS)]
META = "Suturing/meta_file_Suturing.txt"
FIRST = f"{NAMES[0]}_capture1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jigsaws")
    layout.write(folder, TRIALS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "jigsaws")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    """Of the first view of each trial."""
    source = JIGSAWS(root)
    assert source.problems() == ()
    return [source.read(f"{name}_capture1") for name in NAMES]


def edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def test_both_views_are_videos_of_one_trial(root: Path) -> None:
    source = JIGSAWS(root)
    assert NAMES == ["Suturing_B001", "Suturing_H002", "Needle_Passing_B001", "Suturing_C001"]
    assert source.videos() == [f"{name}_capture{view}" for name in sorted(NAMES) for view in (1, 2)]
    one, two = (source.read(f"Suturing_B001_capture{view}").video for view in (1, 2))
    assert one.canonical_id == two.canonical_id == "jigsaws:Suturing_B001"
    assert (one.events, one.skill) == (two.events, two.skill)
    assert one.footage.video.name == "Suturing_B001_capture1.avi"
    assert two.footage.video.name == "Suturing_B001_capture2.avi"
    left, right = (open_reader(v.footage).read([100], 84, 112)[0].astype(float) for v in (one, two))
    assert abs(left - right[:, :, ::-1]).mean() < 5 < abs(left - right).mean()


def test_gestures_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings[:3]):
        drawn = layout.gestures_of(number, SEED)
        found = [(e.start, e.end, e.label) for e in reading.video.events]
        assert found == [(start, end, GESTURES[gesture]) for start, end, gesture in drawn]
        # Frames count from 1, and the last one belongs to the gesture: nothing is left between two.
        assert found[0][0] == 0
        assert found[-1][1] == layout.DURATION
        assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
        scene = layout.scene_of(number, SEED)
        for start, end, label in found:
            resting = label == GESTURES[layout.RESTING[NAMES[number].rpartition("_")[0]]]
            assert scene.parked(start) == scene.parked(end - 1 / 30) == resting


def test_frames_count_from_one(readings: list[Reading]) -> None:
    video = readings[0].video
    assert (video.clock, video.first_id) == (30, 1)
    assert [video.frame_id(time) for time in (0, 1 / 30, 10)] == [1, 2, 301]


def test_ratings_are_those_of_the_scene(readings: list[Reading]) -> None:
    for number in (0, 2, 3):
        scene, skill = layout.scene_of(number, SEED), readings[number].video.skill
        assert skill.level == scene.level
        assert dict(skill.scores) == scene.skill
        assert tuple(skill.scores) == ASPECTS
        assert readings[number].counts["ratings"] == 1
        answer = SkillAssessment().write(skill.scores)
        assert SkillAssessment().parse(answer).value == scene.skill


def test_the_trial_without_a_rating_is_counted(readings: list[Reading]) -> None:
    assert NAMES[1] == "Suturing_H002"
    assert readings[1].video.skill is None
    assert readings[1].counts["without_rating"] == 1
    assert readings[1].problems == ()


def test_a_trial_without_gestures_is_named(readings: list[Reading]) -> None:
    [problem] = readings[3].problems
    assert problem.provenance.file == f"Suturing/transcriptions/{NAMES[3]}.txt"
    assert problem.problem == "the file is missing; the trial has no gestures"
    assert readings[3].video.events == ()
    assert readings[3].video.skill is not None
    assert readings[3].counts["without_gestures"] == 1


def test_what_the_source_says_of_its_videos(readings: list[Reading], root: Path) -> None:
    assert [r.video.procedure for r in readings] == ["suturing", "suturing", "needle passing", "suturing"]
    assert {r.video.official_split for r in readings} == {None}
    assert all(r.video.duration == pytest.approx(layout.DURATION) for r in readings)
    names = [path.relative_to(root).as_posix() for path in JIGSAWS(root).files(FIRST)]
    assert names == [META, f"Suturing/transcriptions/{NAMES[0]}.txt"]


def test_cells_may_be_apart_by_more_or_fewer_tabs(copy: Path, readings: list[Reading]) -> None:
    edit(copy / META, lambda text: text.replace("\t\t", "\t"))
    assert JIGSAWS(copy).read(FIRST).video.skill == readings[0].video.skill
    edit(copy / META, lambda text: text.replace("\t", "\t \t\t") + "\t\t\n")
    assert JIGSAWS(copy).read(FIRST).video.skill == readings[0].video.skill


@pytest.mark.parametrize(
    ("column", "new", "field", "problem"),
    [
        (2, "X", "skill", "'X' is not a known skill level; known are: N, I, E"),
        (4, "200", "GRS", "200 is not the sum of the six aspects, "),
        (5, "6", "Respect for tissue", "6 is not a rating from 1 to 5"),
        (8, "0", "Flow of operation", "0 is not a rating from 1 to 5"),
        (10, "good", "Quality of final product", "'good' is not a number"),
    ],
)
def test_bad_ratings_are_named_and_left_out(
    copy: Path, column: int, new: str, field: str, problem: str
) -> None:
    def spoil(text: str) -> str:
        lines = text.splitlines()
        cells = lines[0].split("\t")
        cells[column] = new
        return "\n".join(("\t".join(cells), *lines[1:]))

    edit(copy / META, spoil)
    reading = JIGSAWS(copy).read(FIRST)
    [found] = reading.problems
    assert (found.field, found.provenance.line) == (field, 1)
    assert found.problem.startswith(problem)
    assert reading.video.skill is None
    assert reading.video.events


def test_trials_without_a_row_or_with_two_are_named(copy: Path) -> None:
    row = (copy / META).read_text().splitlines()[0]
    edit(copy / META, lambda text: text + row + "\n")
    [twice] = JIGSAWS(copy).read(FIRST).problems
    assert twice.problem == f"{NAMES[0]} is there 2 times; expected once"
    assert twice.provenance.line == 3
    edit(copy / META, lambda text: text.replace(row + "\n", ""))
    [none] = JIGSAWS(copy).read(FIRST).problems
    assert none.problem == f"{NAMES[0]} is there 0 times; expected once"
    assert none.provenance.file == META


def test_rows_that_belong_to_no_trial_are_named(copy: Path) -> None:
    edit(copy / META, lambda text: text + "Knot_Tying_B001 E 6 1 1 1 1 1 1\nSuturing_B002 E 6\n")
    wrong, ragged = JIGSAWS(copy).problems()
    assert wrong.problem == "'Knot_Tying_B001' is no trial of Suturing, like Suturing_B001"
    assert (ragged.provenance.line, ragged.problem) == (4, "the row has 3 cells; expected 9")


def test_bad_gestures_are_named_and_left_out(copy: Path, readings: list[Reading]) -> None:
    rows = "30 20 G3\n0 9 G3\n1 9 G16\n1.5 9 G3\n700 722 G3\n1 9\n"
    edit(copy / f"Suturing/transcriptions/{NAMES[0]}.txt", lambda text: text + rows)
    reading = JIGSAWS(copy).read(FIRST)
    assert [f"{p.field}: {p.problem}" for p in reading.problems] == [
        "end: 20 is before the start at frame 30",
        "start: 0 is no frame; the first one is 1",
        "gesture: 'G16' is not a known gesture; the nearest is 'G6'",
        "start: '1.5' is not a whole number",
        "end: frame 722 is past the end of the film, which has 720",
        "gesture: the row has 2 cells; expected 3",
    ]
    assert {p.video_id for p in reading.problems} == {FIRST}
    assert reading.video.events == readings[0].video.events
    assert reading.counts["bad_rows"] == 6
    (copy / f"Suturing/transcriptions/{NAMES[0]}.txt").write_text("start,end,gesture\n1,20,G1\n")
    [problem] = JIGSAWS(copy).read(FIRST).problems
    assert "line 1 has 1 cells; expected 3 columns: start, end, gesture" in problem.problem


def test_missing_and_broken_films_are_named(copy: Path) -> None:
    film = copy / f"Suturing/video/{FIRST}.avi"
    film.write_bytes(b"RIFF" + film.read_bytes()[4:300])
    reading = JIGSAWS(copy).read(FIRST)
    assert reading.video is None
    assert reading.problems[0].field == "video"
    assert reading.problems[0].provenance.file == f"Suturing/video/{FIRST}.avi"
    film.unlink()
    reading = JIGSAWS(copy).read(FIRST)
    assert reading.video is None
    assert reading.problems[0].problem == "the film is missing"
    assert FIRST in JIGSAWS(copy).videos()


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "Knot_Tying")
    [problem] = JIGSAWS(copy).problems()
    assert str(problem) == "Knot_Tying: field '': the folder of the exercise is missing"
    (copy / META).write_text("Suturing_B001,E,6,1,1,1,1,1,1\n")
    with pytest.raises(
        UserError, match="line 1 has 1 cells; expected 9 columns: trial, skill, GRS, Respect for"
    ):
        JIGSAWS(copy).videos()
    (copy / META).unlink()
    with pytest.raises(UserError, match=r"meta_file_Suturing\.txt: is missing"):
        JIGSAWS(copy).videos()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds none of the folders Suturing, Knot_Tying, Needle_Passing"):
        JIGSAWS(tmp_path / "empty").videos()
    with pytest.raises(UserError, match="has no view 'Suturing_B001' of a trial"):
        JIGSAWS(copy).read("Suturing_B001")


@given(st.integers(1, 10**6), st.integers(0, 10**5), st.integers(0, 10**5))
def test_spans_of_frames_leave_nothing_out(first: int, length: int, after: int) -> None:
    start, end = frame_span(first, first + length)
    assert end - start == pytest.approx((length + 1) / 30)
    following, _ = frame_span(first + length + 1, first + length + 1 + after)
    assert following == end
