"""All that is wrong with a row: every field once, nothing that only follows, truths by the task's shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.fields import FieldError
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import defects_of, parse_record
from medgrpo.data.truths import truth_boxes
from medgrpo.tasks import TASKS
from tests.data.test_json_rows import JSON
from tests.data.test_records import DEFECTS, region_row, row

MEDIA = MediaPaths.beside("rows.json")


@pytest.mark.parametrize("name", DEFECTS)
def test_the_first_defect_is_the_one_that_reading_raises(name: str) -> None:
    wrong, _ = DEFECTS[name]
    with pytest.raises(FieldError) as caught:
        parse_record(wrong, 0, MEDIA)
    first = defects_of(wrong)[0]
    assert (first.field, first.problem) == (caught.value.field, caught.value.problem)


def fields_of(record: dict[str, Any]) -> list[str]:
    return [defect.field for defect in defects_of(record)]


def test_right_rows_have_no_defect() -> None:
    assert fields_of(row()) == []
    assert fields_of(region_row()) == []
    assert fields_of(row(conversations=row()["conversations"][:1], struc_info=...)) == []


def test_every_field_is_named_once() -> None:
    wrong = region_row(start_frame="?", start_frame_bbox=[1]) | {
        "id": "",
        "qa_type": "guess",
        "data_source": 3,
        "conversations": ["a", "b"],
        "sampled_video_frames": [4],
        "metadata": {"fps": "0", "start_frame": "x", "end_frame": "y", "odd": [], "even": None},
    }
    assert fields_of(wrong) == [
        "id",
        "qa_type",
        "data_source",
        "metadata.odd",
        "metadata.even",
        "conversations",
        "metadata.start_frame",
        "metadata.fps",
        "sampled_video_frames",
        "RC_info.start_frame",
        "RC_info.start_frame_bbox",
    ]
    assert fields_of({}) == ["id", "qa_type", "dataset_name", "metadata", "conversations", "video"]


def test_what_only_follows_from_a_defect_is_not_named() -> None:
    assert fields_of(row(metadata="x")) == ["metadata"]
    assert fields_of(row(metadata={"fps": [1]})) == ["metadata.fps"]
    assert fields_of(region_row() | {"video": []}) == ["video"]
    (defect,) = defects_of(row(video=["a", 1, "", None]))
    assert defect.problem == "entry 1: expected a file name, found 1 (and 2 more such entries)"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "a\ud800"}, "id"),
        ({"conversations": [{"from": "human", "value": "a\udfff"}]}, "conversations"),
        ({"video": ["a\ud800"] * 4}, "video"),
        ({"video": ["a\0b"] * 4}, "video"),
        ({"metadata": {"fps": "1", "video_id": "\ud800"}}, "metadata.video_id"),
        ({"sampled_video_frames": [1, 2, 3, 10**400]}, "sampled_video_frames"),
        (region_row(start_frame_bbox=[0, 0, 10**400, 1]), "RC_info.start_frame_bbox"),
    ],
)
def test_what_would_break_later_is_a_defect(changes: dict[str, Any], field: str) -> None:
    assert fields_of(row(**changes)) == [field]


SCORES = {"two_structures": 0, "cystic_plate": 2, "hepatocystic_triangle": 1}
EVENT = {"start": 1, "end": 2.5, "caption": "a cut"}
RIGHT = [
    ("tal", [{"spans": [{"start": 1, "end": 2}, {"start": 3.0, "end": 3.0}], "action": "cut"}]),
    ("tal", {"spans": [{"start": "1", "end": "2.5"}]}),
    ("tal", []),
    ("tal", None),
    ("tal", {}),
    ("stg", [{"bbox_dict": {"1.0": [0, 0, 5, 5], "3": [1.5, 2, 3, 4]}}]),
    ("dense_captioning_gpt", [[EVENT, EVENT]]),
    ("dense_captioning_gemini", [{"dc_segments": [EVENT]}]),
    ("dense_captioning", [EVENT, EVENT]),
    ("cvs_assessment", [{"cvs_scores": SCORES}]),
    ("skill_assessment", [{"skill_level": "N", "skill_scores": {"Respect for tissue": 5, "x": 1}}]),
    ("next_action", "anything"),
    ("video_summary_gpt", [3]),
]
WRONG = [
    ("tal", "x", {"struc_info": "expected a list or an object, found text"}),
    ("tal", 3, {"struc_info": "expected a list or an object, found 3"}),
    ("tal", [{"action": "cut"}], {"struc_info.spans": "item 0: expected a list of spans, found nothing"}),
    ("tal", [{"spans": []}], {"struc_info.spans": "item 0: expected a list of spans, found empty list"}),
    (
        "tal",
        [{"spans": [{"start": 1, "end": 2}, 5]}],
        {"struc_info.spans": "item 0: span 1: expected an object with 'start' and 'end', found 5"},
    ),
    (
        "tal",
        [{"spans": [{"start": "a", "end": -1}, {"start": None, "end": 1}]}],
        {
            "struc_info.spans.start": "item 0: span 0: is 'a'; expected seconds from the clip's start (and 1",
            "struc_info.spans.end": "item 0: span 0: is -1; expected seconds",
        },
    ),
    (
        "tal",
        [{"spans": [{"start": 5, "end": 2}]}],
        {"struc_info.spans.end": "item 0: span 0: 2 is before the start 5"},
    ),
    ("stg", [3], {"struc_info.bbox_dict": "item 0: expected an object from seconds to boxes"}),
    ("stg", [{"bbox_dict": {"a": [0, 0, 1, 1]}}], {"struc_info.bbox_dict": "item 0: 'a' is no time"}),
    (
        "stg",
        [{"bbox_dict": {"1": [0, 0, 1], "2": [5, 5, 1, 1], "3": [0, 0, float("nan"), 1]}}],
        {"struc_info.bbox_dict": r"item 0: at 1: \[0, 0, 1\]; expected .* \(and 2 more\)"},
    ),
    ("dense_captioning", [[]], {"struc_info": "item 0: expected a list of events, found empty list"}),
    ("dense_captioning", [[7]], {"struc_info": "item 0: event 0: expected an object with 'start' and 'end'"}),
    (
        "dense_captioning",
        [[EVENT | {"start": "x"}, EVENT | {"caption": " "}]],
        {
            "struc_info.start": "item 0: event 0: is 'x'",
            "struc_info.caption": "item 0: event 1: expected text",
        },
    ),
    (
        "dense_captioning",
        [{"dc_segments": [EVENT | {"end": 0}]}],
        {"struc_info.dc_segments.end": "item 0: event 0: 0 is before the start 1"},
    ),
    ("cvs_assessment", [{}], {"struc_info.cvs_scores": "item 0: expected an object of scores"}),
    (
        "cvs_assessment",
        [{"cvs_scores": SCORES | {"cystic_plate": 3, "two_structures": 0.5}}],
        {
            "struc_info.cvs_scores.two_structures": "item 0: is 0.5; expected a whole number from 0 to 2",
            "struc_info.cvs_scores.cystic_plate": "item 0: is 3; expected",
        },
    ),
    (
        "cvs_assessment",
        [{"cvs_scores": {"cystic_plate": 1, "two_structures": 0}}],
        {"struc_info.cvs_scores.hepatocystic_triangle": "item 0: is missing; expected"},
    ),
    (
        "skill_assessment",
        {"skill_scores": {"Time and motion": 0}},
        {"struc_info.skill_scores.Time and motion": "item 0: is 0; expected a whole number from 1 to 5"},
    ),
]


@pytest.mark.parametrize(("task", "truth"), RIGHT)
def test_truths_of_the_documented_shapes(task: str, truth: Any) -> None:
    assert fields_of(row(qa_type=task, struc_info=truth)) == []


@pytest.mark.parametrize(("task", "truth", "messages"), WRONG)
def test_truths_of_other_shapes_are_defects_that_reading_forgives(
    task: str, truth: Any, messages: dict[str, str]
) -> None:
    record = row(qa_type=task, struc_info=truth)
    found = {defect.field: defect for defect in defects_of(record)}
    assert list(found) == list(messages)
    for field, message in messages.items():
        with pytest.raises(FieldError, match=message.replace("(and 1", r"\(and 1")):
            raise found[field]
    assert parse_record(record, 0, MEDIA).truth is truth


def test_boxes_of_a_truth() -> None:
    assert truth_boxes([{"bbox_dict": {"1": [0, 0, 2, 2], "2": [3, 3, 1, 1]}}, 3]) == [[0, 0, 2, 2]]
    assert truth_boxes(None) == []


@settings(max_examples=150, deadline=None)
@given(
    truth=JSON,
    task=st.sampled_from(sorted(TASKS)),
    changes=st.dictionaries(st.sampled_from(sorted(row())), JSON),
)
def test_no_row_breaks_the_checks(truth: Any, task: str, changes: dict[str, Any]) -> None:
    record = row(qa_type=task, struc_info=truth) | changes
    names = fields_of(record)
    assert len(set(names)) == len(names)
    if all(name.startswith("struc_info") for name in names):
        parse_record(record, 0, MEDIA)
    else:
        with pytest.raises(FieldError) as caught:
            parse_record(record, 0, MEDIA)
        assert caught.value.field == names[0]
