"""Cholec80-CVS is read as it was drawn: scores by span, phases by frame; what is wrong is named."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.readers import open_reader
from medgrpo.data.sources.annotations import Criteria, Provenance, Reading
from medgrpo.data.sources.cholec80_cvs import Cholec80CVS, fill_zeros, seconds_of
from medgrpo.data.synthetic.layouts import cholec80_cvs as layout
from medgrpo.errors import UserError
from medgrpo.tasks.cvs import CRITERIA

SEED = 3
VIDEOS = 2
NAMES = [layout.video_id_of(number) for number in range(VIDEOS)]
SHEET = "surgeons_annotations.xlsx"
PHASES = "phase_annotations/video01-phase.txt"
TOOLS = "tool_annotations/video01-tool.txt"
FILM = "videos/video01.mp4"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cvs")
    layout.write(folder, VIDEOS, SEED)
    return folder


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return shutil.copytree(root, tmp_path / "cvs")


@pytest.fixture(scope="module")
def readings(root: Path) -> list[Reading]:
    source = Cholec80CVS(root)
    assert source.videos() == NAMES
    assert source.problems() == []
    found = [source.read(name) for name in NAMES]
    assert [reading.problems for reading in found] == [()] * VIDEOS
    return found


def sheet(copy: Path, change: Callable[[openpyxl.worksheet.worksheet.Worksheet], object]) -> Cholec80CVS:
    """The source once its sheet is changed; the rows of the first video are lines 2 and 3."""
    book = openpyxl.load_workbook(copy / SHEET)
    change(book.active)
    book.save(copy / SHEET)
    return Cholec80CVS(copy)


def edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def scores(reading: Reading) -> list[tuple[float, float, tuple[int, ...]]]:
    return [(c.start, c.end, tuple(c.levels[name] for name in CRITERIA)) for c in reading.video.criteria]


def said(reading: Reading) -> list[str]:
    return [str(problem) for problem in reading.problems]


def test_scores_are_those_of_the_scene_and_zero_in_unlisted_time(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        spans = scores(reading)
        # Minutes count: the second row ends at 1:04, after clipping begins at 1:02, where it is cut.
        assert [(start, end) for start, end, _ in spans] == [(0, 7), (7, 28), (28, 40), (40, 62)]
        for start, end, levels in spans:
            assert levels == layout.scene_of(number, SEED, start).levels
            assert levels == layout.scene_of(number, SEED, end - 0.04).levels
        assert [levels == (0, 0, 0) for _, _, levels in spans] == [True, False, True, False]
        assert [c.provenance.line for c in reading.video.criteria] == [
            None,
            2 + 2 * number,
            None,
            3 + 2 * number,
        ]
        assert reading.counts["spans_cut"] == 1
        assert (reading.counts["listed"], reading.counts["criteria"]) == (2, 4)


def test_nothing_is_scored_once_clipping_begins(readings: list[Reading]) -> None:
    video = readings[0].video
    [clipping] = [event for event in video.events if event.label == "clipping-and-cutting"]
    assert clipping.start == layout.CLIPPING == max(one.end for one in video.criteria)


def test_phases_are_told_by_every_frame(readings: list[Reading]) -> None:
    for reading in readings:
        names = (
            "preparation",
            "carlot-triangle-dissection",
            "clipping-and-cutting",
            "gallbladder-dissection",
        )
        starts = [start for start, _ in layout.PHASES]
        ends = [*starts[1:], layout.DURATION]
        found = [(e.label, e.start, e.end) for e in reading.video.events]
        assert found == list(zip(names, starts, ends, strict=True))
        assert {event.kind for event in reading.video.events} == {"phase"}
        assert reading.counts["phase_rows"] == layout.DURATION * 25


def test_instruments_are_told_by_every_25th_frame(readings: list[Reading]) -> None:
    for number, reading in enumerate(readings):
        tool = layout.scene_of(number, SEED, 0).tool
        assert [(i.time, i.label) for i in reading.video.instances] == [
            (float(second), tool) for second in range(layout.DURATION)
        ]
        assert reading.video.annotated == tuple(float(second) for second in range(layout.DURATION))
        assert reading.video.canvas is None


def test_frames_of_the_film_show_what_is_scored(readings: list[Reading]) -> None:
    video = readings[0].video
    assert (video.clock, video.first_id, video.duration) == (25.0, 0, layout.DURATION)
    assert video.canonical_id == "cholec:1"
    assert video.frame_id(seconds_of(1, 2)) == 62 * 25
    reader = open_reader(video.footage)
    times = reader.times()
    for time in (7, 45):
        shown = reader.read([video.frame_id(time)], 112, 168)[0].transpose(1, 2, 0).astype(float)
        assert times[video.frame_id(time)] == pytest.approx(time)
        assert np.abs(shown - layout.scene_of(0, SEED, time).render(time)).mean() < 5
        assert np.abs(shown - layout.scene_of(0, SEED, 0).render(time)).mean() > 5


def test_cholec80_may_be_in_a_folder_of_its_own(copy: Path, tmp_path: Path, readings: list[Reading]) -> None:
    apart = tmp_path / "Cholec80 copy"
    apart.mkdir()
    for folder in ("videos", "phase_annotations", "tool_annotations"):
        shutil.move(copy / folder, apart / folder)
    assert scores(Cholec80CVS(copy, apart).read("video01")) == scores(readings[0])
    (copy / "data").mkdir()
    shutil.move(copy / SHEET, copy / "data" / SHEET)
    shutil.move(apart, copy / "cholec80")
    source = Cholec80CVS(copy)
    assert scores(source.read("video01")) == scores(readings[0])
    assert source.files("video01") == [
        copy / "data" / SHEET,
        copy / "cholec80" / PHASES,
        copy / "cholec80" / TOOLS,
    ]
    with pytest.raises(UserError, match="there is no such folder; expected a copy of Cholec80"):
        Cholec80CVS(copy, tmp_path / "nowhere")


def test_columns_may_be_in_another_order(copy: Path, readings: list[Reading]) -> None:
    def turn(page: openpyxl.worksheet.worksheet.Worksheet) -> None:
        rows = [[*row[::-1], "remark"] for row in page.iter_rows(values_only=True)]
        page.delete_rows(1, page.max_row)
        for row in rows:
            page.append(row)

    assert scores(sheet(copy, turn).read("video01")) == scores(readings[0])


@pytest.mark.parametrize(
    ("cell", "value", "problem", "gap"),
    [
        ("F2", 3, "field 'two_structures': 3 is not one of: 0, 1, 2", (7, 28)),
        ("G2", "yes", "field 'cystic_plate': 'yes' is not a number", (7, 28)),
        ("H2", None, "field 'hepatocystic_triangle': '' is not a number", (7, 28)),
        ("C2", 75, "field 'initial_second': 75 is no second of a time", (0, 40)),
        ("D2", "0:28", "field 'final_minute': '0:28' is not a number", (0, 40)),
        ("E2", 5, "field 'final_minute': the span ends at 5 s, not after its start at 7 s", (0, 40)),
    ],
)
def test_bad_rows_are_named_and_their_time_is_not_called_zero(
    copy: Path, readings: list[Reading], cell: str, value: object, problem: str, gap: tuple[float, float]
) -> None:
    reading = sheet(copy, lambda page: page.__setitem__(cell, value)).read("video01")
    assert said(reading) == [f"{SHEET}, line 2: {problem}"]
    assert reading.counts["bad_rows"] == 1
    start, end = gap
    assert not [c for c in reading.video.criteria if c.start < end and c.end > start]
    assert scores(reading)[-1] == scores(readings[0])[-1]


def test_rows_that_contradict_each_other_or_come_too_late_are_named(copy: Path) -> None:
    def add(page: openpyxl.worksheet.worksheet.Worksheet) -> None:
        page.append([1, 0, 20, 0, 35, 0, 0, 0])
        page.append(["video01", 1, 3, 1, 5, 1, 1, 1])

    reading = sheet(copy, add).read("video01")
    assert [f"{p.provenance}: {p.field}: {p.problem}" for p in reading.problems] == [
        f"{SHEET}, line 6: initial_minute: the span overlaps 7-28 s in line 2, which has other scores",
        f"{SHEET}, line 7: initial_minute: the span starts at 63 s, but clipping begins at 62 s",
    ]
    assert [(start, end) for start, end, _ in scores(reading)] == [(0, 7), (7, 28), (35, 40), (40, 62)]


def test_rows_of_no_video_and_missing_columns_are_named(copy: Path) -> None:
    source = sheet(copy, lambda page: page.__setitem__("A5", "the last"))
    assert source.videos() == NAMES
    [problem] = source.problems()
    assert str(problem) == f"{SHEET}, line 5: field 'video': 'the last' is no number of a video"
    with pytest.raises(UserError, match=r"has no row about a video 'video77', like video01"):
        source.read("video77")
    source = sheet(copy, lambda page: page.__setitem__("G1", "plate"))
    with pytest.raises(
        UserError, match="line 1: the column 'cystic_plate' is missing; found are: video, initial"
    ):
        source.videos()
    source = sheet(copy, lambda page: page.__setitem__("G1", "video"))
    with pytest.raises(UserError, match="line 1: the column 'video' is there twice"):
        source.videos()


def test_bad_rows_of_phases_are_named(copy: Path, readings: list[Reading]) -> None:
    lines = "12\tPreparation\n-1\tPreparation\nx\tPreparation\n40\tCalotTriangleDisection\n99\n"
    edit(copy / PHASES, lambda text: text + lines + "1650\tPreparation\n1700\tPreparation\n")
    reading = Cholec80CVS(copy).read("video01")
    assert [f"{p.provenance.line}: {p.field}: {p.problem}"[:95] for p in reading.problems] == [
        "1652: Frame: 12 is there twice",
        "1653: Frame: -1 is no frame; the first one is 0",
        "1654: Frame: 'x' is not a number",
        "1655: Frame: 40 is there twice",
        "1656: Phase: the row has 1 cells; expected 2",
        "1657: Frame: 2 rows up to frame 1700 are past the end of the film, which lasts 66 s",
    ]
    assert {p.video_id for p in reading.problems} == {"video01"}
    assert reading.video.events == readings[0].video.events
    edit(copy / PHASES, lambda text: text.replace("40\tPreparation", "40\tPreperation", 1))
    assert (
        "'Preperation' is not a known phase; the nearest is 'preparation'"
        in said(Cholec80CVS(copy).read("video01"))[0]
    )


def test_bad_rows_of_instruments_are_named(copy: Path) -> None:
    edit(
        copy / TOOLS,
        lambda text: (
            text.replace("\n25\t", "\n30\t").replace("\n50\t0", "\n50\t2").replace("\n50\t1", "\n50\t2")
        ),
    )
    reading = Cholec80CVS(copy).read("video01")
    assert [f"{p.provenance}: {p.field}: {p.problem}" for p in reading.problems] == [
        f"{TOOLS}, line 3: Frame: 30 is no multiple of 25",
        f"{TOOLS}, line 4: Grasper: 2 is neither 0 nor 1",
    ]
    assert reading.video.annotated[:3] == (0, 3, 4)
    (copy / TOOLS).write_text("Frame\tGrasper\n0\t1\n")
    [problem] = Cholec80CVS(copy).read("video01").problems
    assert "the column 'Bipolar' is missing" in problem.problem
    (copy / TOOLS).unlink()
    reading = Cholec80CVS(copy).read("video01")
    assert reading.problems[0].problem.endswith("video01-tool.txt: is missing")
    assert reading.video.instances == ()
    assert len(reading.video.criteria) == 4


def test_without_the_begin_of_clipping_no_score_is_believed(copy: Path) -> None:
    edit(copy / PHASES, lambda text: text.replace("ClippingCutting", "GallbladderDissection"))
    reading = Cholec80CVS(copy).read("video01")
    assert reading.video is None
    assert "no frame has the phase ClippingCutting" in reading.problems[0].problem
    (copy / PHASES).write_text("Frame;Phase\n0;Preparation\n")
    [problem] = Cholec80CVS(copy).read("video01").problems
    assert "the column 'Frame' is missing" in problem.problem
    (copy / PHASES).unlink()
    reading = Cholec80CVS(copy).read("video01")
    assert reading.video is None
    assert reading.problems[0].problem.endswith("video01-phase.txt: is missing")


def test_missing_and_broken_films_and_sheets_are_named(copy: Path) -> None:
    (copy / FILM).write_bytes((copy / FILM).read_bytes()[:3000])
    reading = Cholec80CVS(copy).read("video01")
    assert reading.video is None
    assert (reading.problems[0].provenance.file, reading.problems[0].field) == (FILM, "video")
    (copy / FILM).unlink()
    assert said(Cholec80CVS(copy).read("video01")) == [f"{FILM}: field 'video': the film is missing"]
    assert Cholec80CVS(copy).read("video02").video is not None
    (copy / SHEET).write_bytes(b"no sheet")
    with pytest.raises(UserError, match=r"surgeons_annotations\.xlsx: is not an Excel file"):
        Cholec80CVS(copy).videos()
    (copy / SHEET).unlink()
    with pytest.raises(UserError, match=r"surgeons_annotations\.xlsx: is missing; it is looked for in"):
        Cholec80CVS(copy).videos()


SPANS = st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda s: (float(s[0]), float(s[0] + s[1])))


@given(st.lists(SPANS, max_size=5), st.lists(SPANS, max_size=3), st.integers(60, 90))
def test_every_second_is_listed_unknown_or_zero(
    listed: list[tuple[float, float]], unknown: list[tuple[float, float]], end: int
) -> None:
    where = Provenance("sheet")
    met = dict.fromkeys(CRITERIA, 2)
    given_spans = [Criteria(start, min(last, end), met, where) for start, last in listed]
    filled = fill_zeros(given_spans, float(end), Provenance("sheet", key="unlisted"), unknown)
    for second in range(end):
        covering = [one for one in filled if one.start <= second < one.end]
        if any(start <= second < last for start, last in listed):
            [one] = covering
            assert one.levels == met
        elif any(start <= second < last for start, last in unknown):
            assert covering == []
        else:
            [one] = covering
            assert set(one.levels.values()) == {0}
    assert all(a.end <= b.start for a, b in itertools.pairwise(filled))


@given(st.integers(0, 200), st.integers(0, 59))
def test_minutes_and_seconds_are_frames_at_25(minute: int, second: int) -> None:
    assert seconds_of(minute, second) * 25 == (minute * 60 + second) * 25
    assert divmod(seconds_of(minute, second), 60) == (minute, second)
