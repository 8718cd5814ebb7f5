"""What each parser reads, repairs and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from medgrpo.tasks import get_task
from tests.tasks.samples import make_sample


@pytest.mark.parametrize(
    ("text", "spans", "status"),
    [
        ("1.1-3.0 seconds.", [[1.1, 3.0]], "ok"),
        ("22.0-78.0, 89.0-94.0 seconds.", [[22.0, 78.0], [89.0, 94.0]], "ok"),
        ("66.0-66.0 seconds.", [[66.0, 66.0]], "ok"),
        ("1.1\u20133.0 seconds.", [[1.1, 3.0]], "repaired"),
        ("1.1\u22123.0 seconds", [[1.1, 3.0]], "repaired"),
        ("9.0-3.0 seconds.", [[3.0, 9.0]], "repaired"),
        ("00:10-00:20", [[10.0, 20.0]], "repaired"),
        ("1:02:03 to 1:03:00", [[3723.0, 3780.0]], "repaired"),
        ("between 3 and 5 s", [[3.0, 5.0]], "repaired"),
        ("4.0 sec to 5.0 sec and 7 - 8 sec", [[4.0, 5.0], [7.0, 8.0]], "repaired"),
        ("phase 2-3 happens from 4.0 to 9.0 seconds", [[4.0, 9.0]], "repaired"),
        ("-5.0-9.0 seconds", None, "failed"),
        ("nan-nan seconds", None, "failed"),
        ("no such action", None, "failed"),
        ("", None, "failed"),
    ],
)
def test_tal(text: str, spans: Any, status: str) -> None:
    parsed = get_task("tal").parse(text)
    assert (parsed.value, parsed.status) == (spans, status)


@pytest.mark.parametrize(
    ("text", "boxes", "status"),
    [
        (
            "1.0 seconds: [1.5, 2.0, 3.0, 4.25] 5.0 seconds: [1, 2, 3, 4]",
            {1.0: [1.5, 2, 3, 4.25], 5.0: [1, 2, 3, 4]},
            "ok",
        ),
        ("5.0 seconds: [1, 2, 3, 4] 1.0 seconds: [5, 6, 7, 8]", {1.0: [5, 6, 7, 8], 5.0: [1, 2, 3, 4]}, "ok"),
        (
            "1.0 seconds: [1, 2, 3, 4 5.0 seconds: [5, 6, 7, 8]",
            {1.0: [1, 2, 3, 4], 5.0: [5, 6, 7, 8]},
            "repaired",
        ),
        ("1s (1 2 3 4), 2s: [[1,2,3,4]]", {1.0: [1, 2, 3, 4], 2.0: [1, 2, 3, 4]}, "repaired"),
        ("1.0 seconds: [1, 2, 3, 4] 1.0 seconds: [5, 6, 7, 8]", {1.0: [5, 6, 7, 8]}, "repaired"),
        ("1.0 seconds: [nan, 2, 3, 4] 2.0 seconds: [1, 2, 3, 4]", {2.0: [1, 2, 3, 4]}, "repaired"),
        ("1.0 seconds: [1, 2, 3, 4, 5]", None, "failed"),
        ("1.0 seconds: [3, 4, 1, 2]", None, "failed"),
        ("1.0 seconds: [inf, 2, 3, 4]", None, "failed"),
        ("in the middle", None, "failed"),
    ],
)
def test_stg(text: str, boxes: Any, status: str) -> None:
    parsed = get_task("stg").parse(text)
    assert parsed.status == status
    assert (parsed.value and {e["time"]: e["box"] for e in parsed.value}) == boxes


def test_stg_flags_normalised_coordinates_and_keeps_them() -> None:
    parsed = get_task("stg").parse("1.0 seconds: [0.1, 0.2, 0.3, 0.4]")
    assert parsed.value[0]["box"] == [0.1, 0.2, 0.3, 0.4]
    assert any("normalised" in note for note in parsed.notes)


@pytest.mark.parametrize(
    ("text", "events", "status"),
    [
        (
            "36.0-49.0 seconds: pad: slides.\n50.0-61.5 seconds: wipe: x.",
            [(36, 49, "pad: slides."), (50, 61.5, "wipe: x.")],
            "ok",
        ),
        (
            "36.0-49.0 seconds: held for 3-4 seconds and let go",
            [(36, 49, "held for 3-4 seconds and let go")],
            "ok",
        ),
        ("1-2 seconds: a 5 - 6 seconds: b", [(1, 2, "a"), (5, 6, "b")], "repaired"),
        ("- **1.0\u20132.0 s**: foo\n- **2.0\u20134.0 s**: bar", [(1, 2, "foo"), (2, 4, "bar")], "repaired"),
        ("1. 0:10 - 0:20: foo\n2. 0:20 - 0:30: bar", [(10, 20, "foo"), (20, 30, "bar")], "repaired"),
        ("1.0-2.0 seconds: \n3.0-4.0 seconds: b", [(1, 2, ""), (3, 4, "b")], "repaired"),
        ("4.0-2.0 seconds: a", [(2, 4, "a")], "repaired"),
        ("nothing happens", None, "failed"),
    ],
)
def test_dense_captioning(text: str, events: Any, status: str) -> None:
    parsed = get_task("dense_captioning_gpt").parse(text)
    assert parsed.status == status
    assert (parsed.value and [(e["start"], e["end"], e["caption"]) for e in parsed.value]) == events


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [
        ("Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 2", (1, 0, 2), "ok"),
        ("hepatocystic triangle = 2; **Cystic plate**: 0\nTwo structures: 1", (1, 0, 2), "repaired"),
        ('{"two_structures": 1, "cystic_plate": 0}', (1, 0, None), "repaired"),
        ("Two structures: 1.5, Cystic plate: -1, Hepatocystic triangle: 3", None, "failed"),
        ("1, 0, 2", None, "failed"),
    ],
)
def test_cvs(text: str, value: Any, status: str) -> None:
    parsed = get_task("cvs_assessment").parse(text)
    names = ("two_structures", "cystic_plate", "hepatocystic_triangle")
    assert parsed.status == status
    assert (parsed.value and tuple(parsed.value.get(name) for name in names)) == value


def test_skill() -> None:
    task = get_task("skill_assessment")
    full = dict.fromkeys(
        ("Respect for tissue", "Suture/needle handling", "Time and motion", "Flow of operation"), 3
    ) | {"Overall performance": 4, "Quality of final product": 5}
    assert task.parse(task.write(full)).status == "ok"
    loose = task.parse(
        "respect for tissue 3 / 5; **Time and motion**: 4/5, flow of operation: 3/50, overall performance 9"
    )
    assert loose.value == {"Respect for tissue": 3, "Time and motion": 4}
    assert loose.status == "repaired"
    assert task.parse("3/5").status == "failed"


@pytest.mark.parametrize(
    ("text", "label", "status", "score"),
    [
        ("tying", "tying", "ok", 1.0),
        (" TYING. ", "tying", "repaired", 1.0),
        ("The next step is tying.", "tying", "repaired", 1.0),
        ("not tying", None, "failed", 0.0),
        ("cutting or tying", None, "failed", 0.0),
        ("cutting", "cutting", "ok", 0.0),
        ("sewing", None, "failed", 0.0),
        ("", None, "failed", 0.0),
    ],
)
def test_next_action(text: str, label: str | None, status: str, score: float) -> None:
    task = get_task("next_action")
    sample = make_sample("next_action", "tying")
    parsed = task.parse(text, sample)
    assert (parsed.value, parsed.status, task.score(parsed, sample)) == (label, status, score)
    assert task.score(task.parse(text), sample) == score  # the list is consulted without parse's help too


def test_next_action_reads_the_list_of_the_question() -> None:
    task = get_task("next_action")
    sample = make_sample(
        "next_action",
        "beta tie",
        dataset="Elsewhere",
        question="Possible steps: alpha cut, beta tie. What comes next?",
    )
    assert task.parse("alpha-cut", sample).value == "alpha cut"
    assert task.parse("gamma", sample).status == "failed"
    assert task.score(task.parse("I expect beta_tie", sample), sample) == 1.0


def test_next_action_of_a_procedure() -> None:
    question = "The procedure is Subcutaneous Injection Insulin. Which step comes next?"
    sample = make_sample("next_action", "Prepare medication solution", dataset="NurViD", question=question)
    assert get_task("next_action").parse("Prepare medication solution", sample).status == "ok"


@pytest.mark.parametrize("qa_type", ["video_summary_gpt", "region_caption_gemini"])
def test_free_text_has_no_metric(qa_type: str) -> None:
    task, sample = get_task(qa_type), make_sample(qa_type, "The nurse wipes the arm.")
    parsed = task.parse("  Something. ")
    assert (parsed.value, parsed.status, task.metric) == ("Something.", "free_text", None)
    assert task.parse(" \n").status == "failed"
    with pytest.raises(TypeError, match="free text"):
        task.score(parsed, sample)
