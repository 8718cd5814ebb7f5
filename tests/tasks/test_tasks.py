"""What holds for every task: total parsers, stable round trips, bounded scores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.tasks import TASKS, canonical_task, get_task
from medgrpo.tasks.cvs import CRITERIA
from medgrpo.tasks.next_action import inventory
from medgrpo.tasks.skill import ASPECTS
from medgrpo.types import Sample
from tests.tasks.samples import make_sample

TENTHS = st.integers(0, 9_000).map(lambda k: k / 10)
SPAN = st.tuples(TENTHS, TENTHS).map(lambda p: sorted(p))
PIXEL = st.integers(0, 192_000).map(lambda k: k / 100)
BOX = (
    st.tuples(PIXEL, PIXEL, PIXEL, PIXEL)
    .map(lambda v: [min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])])
    .filter(lambda b: b[0] < b[2] and b[1] < b[3])
)
CAPTION = st.text("abcdefgh :,.-", min_size=1, max_size=40).map(lambda t: " ".join(t.split())).filter(bool)
TRUTHS: dict[str, st.SearchStrategy[Any]] = {
    "tal": st.lists(SPAN, min_size=1, max_size=5),
    "stg": st.dictionaries(TENTHS, BOX, min_size=1, max_size=6).map(
        lambda d: [{"time": t, "box": d[t]} for t in sorted(d)]
    ),
    "dense_captioning": st.lists(
        st.tuples(SPAN, CAPTION).map(lambda p: {"start": p[0][0], "end": p[0][1], "caption": p[1]}),
        min_size=1,
        max_size=5,
    ),
    "next_action": st.sampled_from(inventory()["CholecT50"]),
    "video_summary": CAPTION,
    "region_caption": CAPTION,
    "skill_assessment": st.fixed_dictionaries(dict.fromkeys(ASPECTS, st.integers(1, 5))),
    "cvs_assessment": st.fixed_dictionaries(dict.fromkeys(CRITERIA, st.integers(0, 2))),
}
# Pieces of real answers in any order reach much deeper into the parsers than random characters.
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "1.0",
                "12.5",
                "3",
                "1.0-3.5",
                "7-2",
                "00:10",
                "nan",
                "inf",
                "1e9",
                "-4",
                "3/5",
                "2/10",
                "9" * 21,
            ),
            *(
                "-",
                "\u2013",
                "to",
                "between",
                "and",
                ":",
                ",",
                ";",
                ".",
                "\n",
                "[",
                "]",
                "[[",
                "(",
                ")",
                "**",
            ),
            *("seconds", "second", "s", "every", "not", "tying", "\u0663-\u0665", "\uff11"),
            *("5.0 seconds: [1, 2, 3, 4]", "Two structures: ", "Cystic plate", "Hepatocystic triangle"),
            *("Respect for tissue: 3/5", "Time and motion"),
        ]
    ),
    max_size=30,
).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=200), PIECES)


def _sample(name: str, truth: Any) -> Sample:
    task = TASKS[name]
    dataset = "CholecT50" if name == "next_action" else "AVOS"
    return make_sample(task.qa_types[0], task.write(truth), dataset=dataset, fps=0.5)


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_round_trip_and_perfect_score(name: str, data: st.DataObject) -> None:
    task, truth = TASKS[name], data.draw(TRUTHS[name])
    parsed = task.parse(task.write(truth))
    assert parsed.value == truth
    assert parsed.status == ("free_text" if task.metric is None else "ok")
    assert task.write(parsed.value) == task.write(truth)
    assert json.loads(json.dumps(parsed.value)) == parsed.value
    if task.metric is not None:
        assert task.score(parsed, _sample(name, truth)) == pytest.approx(1.0)


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_text_is_read_and_scored(name: str, data: st.DataObject) -> None:
    task, truth, text = TASKS[name], data.draw(TRUTHS[name]), data.draw(ANY_TEXT)
    sample = _sample(name, truth)
    for parsed in (task.parse(text), task.parse(text, sample)):
        assert (parsed.value is None) == (parsed.status == "failed")
        json.dumps(parsed.value, allow_nan=False)
        if task.metric is not None:
            score = task.score(parsed, sample)
            assert 0.0 <= score <= 1.0 + 1e-12
            assert parsed.status != "failed" or score == 0.0
    # What was read can be written and is then read alike.
    complete = name not in ("skill_assessment", "cvs_assessment") or (
        parsed.value is not None and len(parsed.value) == len(truth)
    )
    if (
        name in ("next_action", "cvs_assessment", "skill_assessment")
        and parsed.value is not None
        and complete
    ):
        assert task.parse(task.write(parsed.value), sample).value == parsed.value


@pytest.mark.parametrize("name", ["tal", "stg", "dense_captioning", "cvs_assessment", "skill_assessment"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_scores_are_symmetric(name: str, data: st.DataObject) -> None:
    task, a, b = TASKS[name], data.draw(TRUTHS[name]), data.draw(TRUTHS[name])
    if name == "stg":  # a mean over the true times: symmetric only where both answer the same times
        b = [{"time": entry["time"], "box": b[i % len(b)]["box"]} for i, entry in enumerate(a)]
    forward = task.score(task.parse(task.write(b)), _sample(name, a))
    assert forward == pytest.approx(task.score(task.parse(task.write(a)), _sample(name, b)))


@pytest.mark.parametrize("name", TASKS)
def test_an_empty_answer_scores_the_minimum(name: str) -> None:
    parsed = TASKS[name].parse("")
    assert parsed.status == "failed"


@pytest.mark.parametrize("layout", range(4))
def test_struc_info_layouts(layout: int) -> None:
    event = {"start": 1.0, "end": 4.5, "caption": "wipe"}
    dense = ([[event]], [{"dc_segments": [event]}], [event], {"dc_segments": [event]})[layout]
    assert get_task("dense_captioning").truth(make_sample("dense_captioning_gpt", None, dense)) == [event]
    table = {"1.0": [1.0, 2.0, 3.0, 4.0], "bad": [1], "3.0": [0, 0, 9, 9]}
    stg = ([{"bbox_dict": table}], {"bbox_dict": table}, table, [table])[layout]
    assert get_task("stg").truth(make_sample("stg", None, stg)) == [
        {"time": 1.0, "box": [1.0, 2.0, 3.0, 4.0]},
        {"time": 3.0, "box": [0.0, 0.0, 9.0, 9.0]},
    ]
    item = {"spans": [{"start": "5", "end": 7.5}, {"start": 9, "end": 8}]}
    tal = ([item], item, [{"action": "x"}, item], [item, {"spans": []}])[layout]
    assert get_task("tal").truth(make_sample("tal", None, tal)) == [[5.0, 7.5], [8.0, 9.0]]
    scores = {"two_structures": 1, "cystic_plate": "2", "hepatocystic_triangle": 0, "total": 3}
    cvs = (
        [{"cvs_scores": scores}],
        {"cvs_scores": scores},
        [{"cvs_scores": scores}, 1],
        [{"cvs_scores": scores}],
    )[layout]
    assert list(get_task("cvs_assessment").truth(make_sample("cvs_assessment", None, cvs)).values()) == [
        1,
        2,
        0,
    ]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    "truth", [None, [], {}, [[]], [None], "text", 3, [{"spans": None}], [{"bbox_dict": []}]]
)
def test_without_struc_info_the_text_is_read(name: str, truth: Any) -> None:
    task = TASKS[name]
    assert task.truth(make_sample(task.qa_types[0], None, truth)) is None
    answer = "cutting"
    if name in ("tal", "stg", "dense_captioning"):
        answer = {"tal": "1.0-2.0 seconds.", "stg": "1.0 seconds: [1.0, 2.0, 3.0, 4.0]"}.get(
            name, "1.0-2.0 seconds: a"
        )
    if name in ("cvs_assessment", "skill_assessment"):
        answer = task.write(dict.fromkeys(CRITERIA, 1) | dict.fromkeys(ASPECTS, 1))
    read = task.truth(make_sample(task.qa_types[0], answer, truth))
    assert task.write(read) == answer


def test_missing_truth_names_the_row() -> None:
    with pytest.raises(UserError, match="row 7"):
        get_task("tal").score(get_task("tal").parse("1-2 seconds"), make_sample("tal", row=7))


def test_zero_length_truth_is_one_sampling_period() -> None:
    task, sample = get_task("tal"), make_sample("tal", "66.0-66.0 seconds.", fps=0.5)
    assert task.score(task.parse("65.0-67.0 seconds."), sample) == 1.0
    assert task.score(task.parse("66.0-66.0 seconds."), sample) == 1.0
    assert task.score(task.parse("60.0-61.0 seconds."), sample) == 0.0


def test_stg_has_no_carry_forward_and_forgives_small_drift() -> None:
    task = get_task("stg")
    sample = make_sample(
        "stg", "1.0 seconds: [0, 0, 10, 10] 3.0 seconds: [0, 0, 10, 10] 5.0 seconds: [0, 0, 10, 10]"
    )
    for text, score in {
        "1.0 seconds: [0, 0, 10, 10]": 1 / 3,
        "1.04 seconds: [0, 0, 10, 10] 2.6 seconds: [0, 0, 10, 10] 5.3 seconds: [0, 0, 10, 10]": 1.0,
        "0.9 seconds: [0, 0, 10, 10] 1.1 seconds: [0, 0, 10, 10]": 1 / 3,
        "2.0 seconds: [0, 0, 10, 10]": 1 / 3,  # as near to 1 as to 3, but serves one of them only
        "9.0 seconds: [0, 0, 10, 10]": 0.0,
    }.items():
        assert task.score(task.parse(text), sample) == pytest.approx(score), text


def test_partial_grades_count_missing_ones_as_wrong() -> None:
    task = get_task("cvs_assessment")
    sample = make_sample("cvs_assessment", "Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 0")
    assert task.score(task.parse("Two structures: 1"), sample) == pytest.approx(1 / 3)


def test_registry() -> None:
    spellings = [name for task in TASKS.values() for name in task.qa_types]
    assert (
        len({s for s in spellings if s not in ("dense_captioning", "video_summary", "region_caption")}) == 11
    )
    assert canonical_task("dense_captioning_gemini") == "dense_captioning"
    assert {name for name, task in TASKS.items() if task.localisation} == {"tal", "stg", "dense_captioning"}
    metrics = [task.metric for task in TASKS.values() if task.metric]
    assert len(set(metrics)) == 6
    assert all("@" in metric for metric in metrics)
    with pytest.raises(UserError, match="unknown task"):
        get_task("tal_x")
