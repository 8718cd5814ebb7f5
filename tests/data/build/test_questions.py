"""Questions from annotations: a perfect answer is perfect to our scorers and to the official ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.build.clips import ClipPolicy
from medgrpo.data.build.items import ClipPictures, Draft, WrittenText
from medgrpo.data.build.questions import QuestionPolicy, draft_questions
from medgrpo.data.build.questions.captions import apart
from medgrpo.data.build.questions.stg import longest_run
from medgrpo.data.build.records import record
from medgrpo.data.build.templates import WRITTEN_TASKS, source_texts
from medgrpo.data.row_fields import read_fields
from medgrpo.data.sources.annotations import Event, Instance, Provenance
from medgrpo.errors import UserError
from medgrpo.evaluation.official import cvs, dvc, nap, skill, stg, tal
from medgrpo.evaluation.official.rows import official_row
from medgrpo.tasks import get_task
from medgrpo.types import Box, Clip, Sample, Segment
from tests.data.build.annotated import CLOCKS, clips_of, video_of

TASKS = {
    "AVOS": {"tal", "dense_captioning", "next_action", "video_summary"},
    "CholecT50": {"tal", "dense_captioning", "next_action", "video_summary"},
    "CholecTrack20": {"stg", "region_caption"},
    "Cholec80_CVS": {"cvs_assessment"},
    "CoPESD": {"tal", "stg", "dense_captioning", "next_action", "video_summary"},
    "EgoSurgery": {"tal", "stg", "region_caption", "dense_captioning", "next_action", "video_summary"},
    "JIGSAWS": {"skill_assessment"},
    "NurViD": {"tal", "dense_captioning", "next_action", "video_summary"},
}
"""The benchmark's tasks of each source."""

LEVELS = {
    "tal": "segment", "dense_captioning": "segment", "region_caption": "segment", "stg": "frame",
    "next_action": "video", "video_summary": "video", "skill_assessment": "video", "cvs_assessment": "video",
}  # fmt: skip


def drafts_of(source: str, seed: int, **changes: Any) -> list[tuple[Draft, ClipPictures]]:
    video = replace(video_of(source, seed), **changes)
    texts = source_texts(source)
    policy = QuestionPolicy(seed=seed)
    clips = clips_of(video, ClipPolicy(usual_seconds=120.0, seed=seed))
    return [
        (d, shown) for clip, shown in clips for d in draft_questions(video, clip, shown, texts, policy)[0]
    ]


def row_of(draft: Draft, shown: ClipPictures) -> dict[str, Any]:
    """The record of a question; captions are written by a writer that says one thing."""
    if draft.answer is not None:
        return record(draft, shown, None)
    text = "The instrument lifts the tissue."
    if draft.task == "dense_captioning":
        events = [{"start": e.start, "end": e.end, "caption": f"{e.caption}: {text}"} for e in draft.events]
        text = get_task(draft.task).write(events)
    return record(draft, shown, WrittenText("gpt", "gpt-test", "ok", text))


def sample_of(row: dict[str, Any]) -> Sample:
    fields = read_fields(row)
    clip = Clip(video="film.mp4", fps=fields.fps)  # type: ignore[arg-type]
    return Sample(
        key=fields.key,
        id=fields.id,
        row=0,
        qa_type=fields.qa_type,
        task=fields.task,
        dataset=fields.dataset,
        video_id=fields.video_id,
        question=fields.question,
        answer=fields.answer,
        truth=row["struc_info"],
        clip=clip,
        metadata=fields.metadata,
    )


class NoEncoder:
    """Fails where the official scorer would have to guess a label."""

    def encode(self, texts: list[str]) -> np.ndarray:
        raise AssertionError(f"an exact label was not recognised: {texts}")


def official_score(row: dict[str, Any]) -> list[Any]:
    asked = official_row(row, row["conversations"][1]["value"], 0)
    task = sample_of(row).task
    if task == "next_action":
        return list(nap.score([asked], NoEncoder()).per_record)  # type: ignore[arg-type]
    modules: dict[str, Any] = {
        "tal": tal,
        "stg": stg,
        "dense_captioning": dvc,
        "cvs_assessment": cvs,
        "skill_assessment": skill,
    }
    result = modules[task].score([asked])
    return list(result.columns.values()) if task != "dense_captioning" else list(result.per_record)


@pytest.mark.parametrize("source", sorted(CLOCKS))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_perfect_answer_scores_perfectly(source: str, seed: int) -> None:
    for draft, shown in drafts_of(source, seed):
        row = row_of(draft, shown)
        sample = sample_of(row)
        task = get_task(sample.qa_type)
        parsed = task.parse(sample.answer or "", sample)
        assert parsed.valid, (sample.answer, parsed)
        if task.metric is None:
            continue
        assert task.score(parsed, sample) == pytest.approx(1.0, abs=1e-9)
        assert official_score(row) == pytest.approx([1.0] * len(official_score(row)), abs=1e-9), row


@pytest.mark.parametrize("source", sorted(CLOCKS))
def test_each_source_has_its_tasks_at_their_levels(source: str) -> None:
    drafts = [draft for seed in range(8) for draft, _ in drafts_of(source, seed)]
    assert {draft.task for draft in drafts} == TASKS[source]
    assert all(draft.level == LEVELS[draft.task] for draft in drafts)
    assert all((draft.answer is None) == (draft.task in WRITTEN_TASKS) for draft in drafts)
    texts = source_texts(source)
    assert all(draft.question.startswith(f"{texts.persona} {texts.domain} ") for draft in drafts)


@pytest.mark.parametrize("source", sorted(CLOCKS))
def test_questions_are_the_same_in_every_run_and_have_keys_of_their_own(source: str) -> None:
    assert drafts_of(source, 1) == drafts_of(source, 1)
    keys = Counter(draft.key for draft, _ in drafts_of(source, 1))
    assert max(keys.values()) == 1


@pytest.mark.parametrize("source", sorted(CLOCKS))
def test_truth_has_the_published_shape(source: str) -> None:
    for draft, shown in drafts_of(source, 2):
        truth = row_of(draft, shown)["struc_info"]
        if draft.task == "tal":
            assert set(truth[0]) == {"action", "action_list", "procedure", "spans"}
        if draft.task == "stg":
            assert all(len(box) == 4 for box in truth[0]["bbox_dict"].values())
        if draft.task == "dense_captioning":
            events = truth[0]["dc_segments"] if source == "NurViD" else truth[0]
            assert isinstance(truth[0], dict) == (source == "NurViD")
            assert [set(event) for event in events] == [{"start", "end", "caption"}] * len(draft.events)
        if draft.task == "skill_assessment":
            assert set(truth[0]) == {"skill_level", "skill_scores"}
        if draft.task == "cvs_assessment":
            assert list(truth[0]["cvs_scores"]) == ["two_structures", "cystic_plate", "hepatocystic_triangle"]


def test_every_span_of_an_action_is_in_the_answer_and_in_the_clip() -> None:
    for seed in range(5):
        video = video_of("NurViD", seed)
        for draft, _ in drafts_of("NurViD", seed):
            if draft.task != "tal":
                continue
            clip, truth = draft.clip, draft.truth[0]
            spans = [(span["start"] + clip.start, span["end"] + clip.start) for span in truth["spans"]]
            assert all(clip.start - 0.06 <= a < b <= clip.end + 0.06 for a, b in spans)
            for event in video.events:
                a, b = max(event.start, clip.start), min(event.end, clip.end)
                if event.label == truth["action"] and b - a > 1.0 / clip.fps:
                    assert any(x - 0.06 <= a and b <= y + 0.06 for x, y in spans), (event, spans)


def test_boxes_in_answers_are_those_of_the_annotation_at_their_times() -> None:
    """CoPESD's frames are stored at half of the canvas here, so its boxes are halved."""
    checked = 0
    for source, factor in (("CholecTrack20", 1.0), ("CoPESD", 0.5)):
        video = video_of(source, 4)
        for draft, _ in drafts_of(source, 4):
            for time, box in draft.truth[0]["bbox_dict"].items() if draft.task == "stg" else ():
                at = draft.clip.start + float(time)
                true = [
                    i.box.scaled(factor, factor).xyxy
                    for i in video.instances
                    if i.box and abs(i.time - at) < 0.06
                ]
                assert any(np.abs(np.subtract(box, one)).max() <= 0.006 for one in true)
                checked += 1
    assert checked > 20


def test_two_objects_of_one_name_are_not_asked_about_at_that_time() -> None:
    where = Provenance("labels.json")
    box = Box(10, 10, 60, 60)
    seen = [Instance(float(t), "grasper", where, box.moved(t, 0), "left") for t in range(40)]
    seen += [Instance(float(t), "grasper", where, box, "right") for t in range(10, 40)]
    video = replace(video_of("CholecTrack20", duration=40.0), instances=tuple(seen))
    ((clip, shown),) = clips_of(video)
    drafts, dropped = draft_questions(video, clip, shown, source_texts("CholecTrack20"), QuestionPolicy())
    assert dropped["ambiguous_boxes"] == 60
    (asked,) = [draft for draft in drafts if draft.task == "stg"]
    assert max(map(float, asked.truth[0]["bbox_dict"])) < 10
    (told,) = [draft for draft in drafts if draft.task == "region_caption"]
    assert told.region_time is not None
    assert told.region_end is not None
    assert told.region_time < told.region_end < 10


def test_the_region_of_a_caption_is_on_one_of_the_frames_and_not_in_the_text() -> None:
    for draft, shown in drafts_of("EgoSurgery", 5):
        if draft.task == "region_caption":
            row = row_of(draft, shown)
            assert row["is_RC"]
            assert row["RC_info"]["start_frame"] in row["video"]
            assert draft.region_time in draft.clip.times
            assert draft.region_label not in draft.question
            assert not any(f"{corner:g}" in draft.question for corner in row["RC_info"]["start_frame_bbox"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 200)), max_size=12))
def test_events_of_dense_captions_do_not_overlap(spans: list[tuple[int, int]]) -> None:
    events = [Segment(a / 10, (a + length) / 10, str(k)) for k, (a, length) in enumerate(spans)]
    kept = apart(events)
    assert all(before.end <= after.start for before, after in pairwise(kept))
    assert bool(kept) == bool(events)
    clear = [e for e in events if all(o is e or o.end <= e.start or o.start >= e.end for o in events)]
    assert set(clear) <= set(kept), "what overlaps nothing stays as it is"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 23), min_size=2, max_size=14),
    st.sets(st.integers(0, 13), min_size=1),
    st.sampled_from([0.1, 1 / 3, 0.5, 1 / 30]),
)
def test_the_longest_regular_run_is_found(gaps: list[int], chosen: set[int], unit: float) -> None:
    frames = [round(unit * sum(gaps[:k]), 3) for k in range(len(gaps))]
    places = [k for k in sorted(chosen) if k < len(frames)]
    run = longest_run(frames, [frames[k] for k in places], 5)
    assert run == [] or _is_regular(frames, [frames.index(time) for time in run])
    assert set(run) <= {frames[k] for k in places}
    regular = [
        list(found)
        for size in range(2, 6)
        for found in combinations(places, size)
        if _is_regular(frames, found)
    ]
    assert len(run) == max(map(len, regular), default=0)


def _is_regular(frames: list[float], run: Sequence[int]) -> bool:
    """Whether places, and times in tenths of a second, have one distance."""
    times = [Decimal(f"{frames[k]:.1f}") for k in run]
    distances = {b - a for a, b in pairwise(times)}
    return len({b - a for a, b in pairwise(run)}) == 1 and len(distances) == 1 and distances != {0}


def test_no_step_is_asked_for_where_none_follows() -> None:
    where = Provenance("labels.csv")
    steps = ("cutting", "tying", "suturing")
    events = (Event("action", "cutting", 0.0, 20.0, where), Event("action", "cutting", 25.0, 40.0, where))
    video = replace(video_of("AVOS", duration=40.0), events=events, steps=steps, actions=steps)
    ((clip, shown),) = clips_of(video)
    drafts, dropped = draft_questions(video, clip, shown, source_texts("AVOS"), QuestionPolicy())
    assert "next_action" not in {draft.task for draft in drafts}
    assert dropped["no_next_step"] == 1


def test_a_policy_bounds_the_questions_of_a_clip() -> None:
    video = video_of("EgoSurgery", 6)
    texts = source_texts("EgoSurgery")
    for clip, shown in clips_of(video):
        drafts, _ = draft_questions(video, clip, shown, texts, QuestionPolicy({"tal": 2, "stg": 1}))
        counts = Counter(draft.task for draft in drafts)
        assert set(counts) <= {"tal", "stg"}
        assert counts["tal"] <= 2
        assert counts["stg"] <= 1


@pytest.mark.parametrize(
    ("per_clip", "problem"), [({"vqa": 1}, "unknown task 'vqa'"), ({"tal": -1}, "0 or more")]
)
def test_a_wrong_policy_is_refused(per_clip: dict[str, int], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        QuestionPolicy(per_clip)
