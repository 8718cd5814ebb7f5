"""Questions as rows in the published schema: read by the rest of the program, times given back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medgrpo.data.build.clips import ClipPolicy, plan_clips
from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.questions import QuestionPolicy, draft_questions
from medgrpo.data.build.records import extent_of, record
from medgrpo.data.extents import frame_times, parse_extent
from medgrpo.data.records import defects_of, write_records
from medgrpo.data.row_fields import read_fields
from medgrpo.data.sources.annotations import Criteria, Skill, SourceVideo
from medgrpo.data.validation import check_records
from medgrpo.tasks import get_task
from medgrpo.tasks.skill import ASPECTS
from tests.data.build.source_scene import HERE, TEXTS, box_at, event, film, frames_of, pictures_for, sample_of

LABELS = ("cutting", "tying", "suture")
LEVELS = {"two_structures": 1, "cystic_plate": 0, "hepatocystic_triangle": 2}
MANY = QuestionPolicy({task: 3 for task in TEXTS.tasks})


def video_of(source: str = "CoPESD", **more: Any) -> SourceVideo:
    events = tuple(event(LABELS[k % 3], 9.0 * k, 9.0 * k + 7) for k in range(14))
    boxes = tuple(box_at(k, "forceps", k % 50, 3, k % 50 + 30, 60) for k in range(130))
    return frames_of([float(k) for k in range(130)], source=source, events=events, instances=boxes,
                     actions=LABELS, steps=LABELS, **more)  # fmt: skip


def written(draft: Draft, name: str) -> WrittenText:
    text = f"What {name} sees of {draft.task}."
    if draft.task == "dense_captioning":
        events = [
            {"start": e.start, "end": e.end, "caption": f"{e.caption}: by {name}"} for e in draft.events
        ]
        text = get_task(draft.task).write(events)
    return WrittenText(name, f"{name}-model", "ok", text)


def rows_of(video: SourceVideo) -> list[dict[str, Any]]:
    rows = []
    for clip in plan_clips(video, ClipPolicy()):
        pictures = pictures_for(clip)
        for draft in draft_questions(video, clip, pictures, TEXTS, MANY)[0]:
            texts = (
                [None] if draft.answer is not None else [written(draft, name) for name in ("gpt", "gemini")]
            )
            rows += [record(draft, pictures, text) for text in texts]
    return rows


SOURCES = {
    "CoPESD": video_of(),
    "NurViD": video_of("NurViD"),
    "CholecTrack20": video_of("CholecTrack20"),
    "own": video_of("Own", first_id=1),
    "JIGSAWS": film(90.0, 30.0, source="JIGSAWS", skill=Skill("E", dict.fromkeys(ASPECTS, 4), HERE)),
    "Cholec80_CVS": film(90.0, 25.0, source="Cholec80_CVS", criteria=(Criteria(5, 70, LEVELS, HERE),)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_is_read_and_checked(name: str, tmp_path: Path) -> None:
    rows = rows_of(SOURCES[name])
    assert rows
    keys = [read_fields(row).key for row in rows]
    assert len(set(keys)) == len(keys), "two writers' rows have keys of their own"
    assert [defects_of(row) for row in rows] == [[]] * len(rows)
    write_records(rows, tmp_path / "rows.json")
    findings = check_records(tmp_path / "rows.json")
    assert (findings.rows, findings.defects, findings.conflicting, findings.identical) == (
        len(rows),
        [],
        [],
        [],
    )


def test_all_eight_tasks_are_among_them() -> None:
    seen = {row["qa_type"] for video in SOURCES.values() for row in rows_of(video)}
    written = {f"{task}_{name}" for task in ("dense_captioning", "video_summary", "region_caption")
               for name in ("gpt", "gemini")}  # fmt: skip
    assert seen == written | {"tal", "stg", "next_action", "skill_assessment", "cvs_assessment"}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("CoPESD", ("input_video_start_frame", "input_video_end_frame")),
        ("own", ("input_video_start_frame", "input_video_end_frame")),
        ("JIGSAWS", ("input_video_start_frame", "input_video_end_frame")),
        ("Cholec80_CVS", ("start_frame", "end_frame")),
        ("NurViD", ("input_video_start_time", "input_video_end_time")),
    ],
)
def test_the_extent_gives_back_the_clip_s_times(name: str, fields: tuple[str, str]) -> None:
    video = SOURCES[name]
    for clip in plan_clips(video, ClipPolicy()):
        start, end, metadata = extent_of(clip)
        assert tuple(metadata) == fields
        extent = parse_extent(metadata)
        assert extent is not None
        if extent.unit == "seconds":
            assert (extent.start, extent.end) == (clip.start, clip.end)
        else:
            assert (extent.start - video.first_id) / video.clock == pytest.approx(clip.start)
            assert (extent.end + 1 - video.first_id) / video.clock == pytest.approx(clip.end)
        assert (start, end) == tuple(metadata.values())
        assert frame_times(clip.frame_ids, clip.fps) == pytest.approx(clip.times, abs=0.51 / video.clock)


def test_a_row_tells_clip_and_frames() -> None:
    row = next(row for row in rows_of(SOURCES["own"]) if row["qa_type"] == "tal")
    clip = plan_clips(SOURCES["own"], ClipPolicy())[0]
    assert row["id"] == f"V1&&{clip.frame_ids[0]}&&{clip.last_id}&&{clip.fps}"
    assert row["metadata"]["fps"] == str(clip.fps)
    assert row["sampled_video_frames"] == list(clip.frame_ids)
    assert row["video"][0] == f"frames/Own/V1/{clip.frame_ids[0]:06d}.jpg"
    assert row["conversations"][0]["value"].startswith(
        "<video>\nYou are an expert. The video shows an operation."
    )
    assert (row["data_source"], row["is_RC"], row["RC_info"]) == ("Own", False, None)


def test_the_writers_answer_in_their_own_words_and_question() -> None:
    rows = [row for row in rows_of(SOURCES["CoPESD"]) if row["qa_type"].startswith("video_summary")][:2]
    assert [row["qa_type"] for row in rows] == ["video_summary_gpt", "video_summary_gemini"]
    assert [row["conversations"][1]["value"] for row in rows] == [
        "What gpt sees of video_summary.",
        "What gemini sees of video_summary.",
    ]
    assert rows[0]["conversations"][0] != rows[1]["conversations"][0]
    assert rows[0]["struc_info"] == [{"summary": "What gpt sees of video_summary."}]


@pytest.mark.parametrize("name", ["CoPESD", "NurViD"])
def test_truths_of_dense_captions_in_both_published_shapes(name: str) -> None:
    row = next(row for row in rows_of(SOURCES[name]) if row["qa_type"] == "dense_captioning_gpt")
    (item,) = row["struc_info"]
    events = item["dc_segments"] if name == "NurViD" else item
    assert events[0]["caption"].endswith(": by gpt")
    value = get_task("dense_captioning").parse(row["conversations"][1]["value"]).value
    assert events == value


def test_a_region_names_its_frame_and_box() -> None:
    video = SOURCES["CoPESD"]
    for row in (row for row in rows_of(video) if row["qa_type"] == "region_caption_gpt"):
        fields = read_fields(row)
        assert fields.region is not None
        name, box = fields.region
        time = row["struc_info"][0]["start"]
        number = row["sampled_video_frames"][row["video"].index(name)]
        start = plan_clips(video, ClipPolicy())
        assert any(clip.start + time == number for clip in start)
        assert box in [one.box for one in video.instances if one.time == number]
        assert row["is_RC"]
        assert row["struc_info"][0]["caption"] == row["conversations"][1]["value"]


def test_truths_are_read_back_by_their_tasks() -> None:
    for video in SOURCES.values():
        for clip in plan_clips(video, ClipPolicy()):
            pictures = pictures_for(clip)
            for draft in draft_questions(video, clip, pictures, TEXTS, MANY)[0]:
                if draft.answer is not None:
                    task, sample = get_task(draft.task), sample_of(draft, pictures)
                    assert (
                        task.truth(sample)
                        == task.truth(replace(sample, truth=None))
                        == task.parse(draft.answer).value
                    )


def test_defects_of_the_build_are_errors() -> None:
    video = SOURCES["CoPESD"]
    clip = plan_clips(video, ClipPolicy())[0]
    draft = Draft("k1", "video_summary", "video", clip, "Summarise.")
    with pytest.raises(ValueError, match="k1 has no answer"):
        record(draft, pictures_for(clip), None)
    region = replace(
        draft, task="region_caption", region_time=0.05, region_end=3.0, region_box=video.instances[0].box
    )
    with pytest.raises(ValueError, match="the frame with the box"):
        record(region, pictures_for(clip), written(region, "gpt"))
