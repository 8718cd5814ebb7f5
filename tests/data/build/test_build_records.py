"""Rows of a build pass the validator, and tell their extent as their source does."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medgrpo.data.build.items import ClipPictures, WrittenText
from medgrpo.data.build.questions import QuestionPolicy, draft_questions
from medgrpo.data.build.records import record
from medgrpo.data.build.templates import source_texts
from medgrpo.data.extents import parse_extent
from medgrpo.data.frame_checks import FrameChecks
from medgrpo.data.media import MediaPaths
from medgrpo.data.validation import check_records
from tests.data.build.annotated import CLOCKS, clips_of, video_of
from tests.data.build.test_questions import row_of

EXTENTS = {"Cholec80_CVS": "start_frame", "NurViD": "input_video_start_time"}


def rows_of(source: str, seed: int = 0) -> list[dict[str, Any]]:
    video, texts = video_of(source, seed), source_texts(source)
    return [
        row_of(draft, shown)
        for clip, shown in clips_of(video)
        for draft in draft_questions(video, clip, shown, texts, QuestionPolicy())[0]
    ]


@pytest.mark.parametrize("source", sorted(CLOCKS))
def test_rows_pass_the_validator(source: str, tmp_path: Path) -> None:
    rows = rows_of(source)
    assert rows
    for name in {name for row in rows for name in row["video"]}:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (427, 240)).save(path)
    (tmp_path / "train.json").write_text(json.dumps(rows))
    findings = check_records(
        tmp_path / "train.json", frames=FrameChecks(MediaPaths(tmp_path), 1), progress=False
    )
    assert findings.rows == len(rows)
    assert not findings.defects, findings.defects[:3]
    assert not findings.conflicting
    assert not findings.unanswered
    assert not findings.broken_frames


@pytest.mark.parametrize("source", sorted(CLOCKS))
def test_each_source_tells_the_extent_in_its_own_way(source: str) -> None:
    video = video_of(source)
    for (clip, _), row in zip(clips_of(video)[:1], rows_of(source), strict=False):
        metadata = row["metadata"]
        first = EXTENTS.get(source, "input_video_start_frame")
        assert set(metadata) == {"fps", "video_id", first, first.replace("start", "end")}
        assert all(isinstance(value, str) for value in metadata.values())
        extent = parse_extent(metadata)
        assert extent is not None
        rate = 1.0 if extent.unit == "seconds" else video.clock
        assert extent.start / rate == pytest.approx(clip.start, abs=0.51 / video.clock)
        assert extent.end / rate == pytest.approx(clip.end, abs=1.51 / video.clock)
        name, start, end, fps = row["id"].split("&&")
        assert (name, start, end) == (
            video.video_id,
            metadata[first],
            metadata[first.replace("start", "end")],
        )
        assert float(fps) == clip.fps


def test_each_writers_answer_stands_under_its_suffix_with_its_own_words() -> None:
    video, texts = video_of("NurViD"), source_texts("NurViD")
    clip, shown = clips_of(video)[0]
    drafts, _ = draft_questions(video, clip, shown, texts, QuestionPolicy({"video_summary": 1}))
    made = {
        name: record(drafts[0], shown, WrittenText(name, f"{name}-model", "ok", f"Said by {name}."))
        for name in ("gpt", "gemini")
    }
    for name, row in made.items():
        assert row["qa_type"] == f"video_summary_{name}"
        assert row["conversations"][1]["value"] == f"Said by {name}."
        assert row["struc_info"] == [{"summary": f"Said by {name}."}]
    questions = {row["conversations"][0]["value"] for row in made.values()}
    assert len(questions) == 2, "one question must not have two answers"


def test_a_row_without_an_answer_or_without_its_region_is_a_defect_of_the_build() -> None:
    video, texts = video_of("EgoSurgery", 5), source_texts("EgoSurgery")
    drafts = [
        (draft, shown)
        for clip, shown in clips_of(video)
        for draft in draft_questions(video, clip, shown, texts, QuestionPolicy({"region_caption": 2}))[0]
    ]
    draft, shown = drafts[0]
    with pytest.raises(ValueError, match="has no answer"):
        record(draft, shown, WrittenText("gpt", "m", "refused"))
    elsewhere = ClipPictures(tuple(p for p in shown.pictures if p.time != draft.region_time), 427, 240)
    with pytest.raises(ValueError, match="not among the clip's frames"):
        record(draft, elsewhere, WrittenText("gpt", "m", "ok", "It moves."))
