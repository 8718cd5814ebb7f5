"""The strict protocol: perfect answers, empty answers, gaming, and the aggregates against numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.evaluation import evaluate
from medgrpo.evaluation.official import CaptionPair
from medgrpo.tasks import TASKS
from medgrpo.types import Judgement, Sample
from tests.evaluation.golden import golden
from tests.tasks.samples import make_sample

CVS = "Two structures: {}, Cystic plate: {}, Hepatocystic triangle: {}"


class BagOfLetters:
    """An encoder for tests: unit vectors of letter counts, equal texts have cosine 1."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, 27]."""
        rows = np.array(
            [[t.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] + [1] for t in texts], np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _golden_samples() -> tuple[list[dict], list[str]]:
    """Golden rows of all tasks that have a structured truth or a reference."""
    case = next(c for c in golden()["pooled"] if c["note"] == "all eight tasks mixed")
    rows = [r for r in case["records"] if any(t["from"] == "gpt" and t["value"] for t in r["conversations"])]
    return rows, [next(t["value"] for t in r["conversations"] if t["from"] == "gpt") for r in rows]


def test_perfect_answers_score_one_and_empty_ones_nothing() -> None:
    rows, answers = _golden_samples()
    perfect = evaluate(rows, answers, "strict", encoder=BagOfLetters())
    empty = evaluate(rows, [""] * len(rows), "strict", encoder=BagOfLetters())
    assert all(v == pytest.approx(1.0) for v in perfect.per_record)
    assert all(v == 0.0 for v in empty.per_record)
    assert {t for table in perfect.by_dataset.values() for t in table} == set(TASKS)
    for table in empty.by_dataset.values():
        for entry in table.values():
            assert entry["valid"] == entry["parsed"] == 0.0
    # Some golden boxes are inside out; their entries are no boxes, in truth and answer alike.
    for table in perfect.by_dataset.values():
        assert all(entry["valid"] == 1.0 for task, entry in table.items() if task != "stg")
    for column in ("CVS_acc", "NAP_acc", "SA_acc", "STG_mIoU", "TAG_mIoU@0.3", "TAG_mIoU@0.5", "DVC_F1"):
        assert perfect.board[column] == pytest.approx(1.0)
        assert empty.board[column] == 0.0
    assert perfect.counts["by_task"]["tal"]["ok"] == perfect.counts["by_task"]["tal"]["rows"]


def test_abstaining_does_not_pay() -> None:
    samples = [make_sample("cvs_assessment", CVS.format(k % 3, 0, 0), row=k) for k in range(6)]
    right = [s.answer or "" for s in samples]
    half = [text if k % 2 else "" for k, text in enumerate(right)]
    assert evaluate(samples, half, "official", encoder=BagOfLetters()).board["CVS_acc"] == 1.0
    assert evaluate(samples, half, "strict").board["CVS_acc"] == 0.5


def test_spraying_spans_does_not_pay() -> None:
    sample = make_sample("tal", None, [{"spans": [{"start": 20.0, "end": 30.0}]}])
    tiling = ", ".join(f"{10 * k}.0-{10 * k + 10}.0" for k in range(10)) + " seconds."
    assert evaluate([sample], [tiling], "official", encoder=BagOfLetters()).board["TAG_mIoU@0.5"] == 1.0
    strict = evaluate([sample], [tiling], "strict")
    assert strict.board["TAG_mIoU@0.5"] == pytest.approx(0.1)
    assert strict.by_dataset["AVOS"]["tal"]["f1@0.5"] == pytest.approx(2 / 11)


def test_the_majority_answer_shows_as_such() -> None:
    samples = [make_sample("cvs_assessment", CVS.format(int(k == 0), 0, 0), row=k) for k in range(10)]
    scores = evaluate(samples, [CVS.format(0, 0, 0)] * 10, "strict")
    entry = scores.by_dataset["AVOS"]["cvs_assessment"]
    assert entry["score"] == pytest.approx((0.9 + 1 + 1) / 3)
    assert entry["majority"] == pytest.approx(entry["score"])
    assert entry["macro_f1"] == pytest.approx((2 * 9 / 19 / 2 + 1 + 1) / 3)
    assert entry["all_exact"] == 0.9


def test_skill_error_counts_missing_ratings_as_far_off() -> None:
    task = TASKS["skill_assessment"]
    names = task.parse(task.write(dict.fromkeys(_aspects(), 3))).value
    samples = [make_sample("skill_assessment", task.write(names), row=k) for k in range(2)]
    scores = evaluate(samples, [task.write(dict.fromkeys(names, 5)), ""], "strict")
    assert scores.by_dataset["AVOS"]["skill_assessment"]["mae"] == pytest.approx((2 + 4) / 2)


def _aspects() -> tuple[str, ...]:
    from medgrpo.tasks.skill import ASPECTS

    return ASPECTS


def test_stg_reports_when_as_well_as_where() -> None:
    sample = make_sample("stg", "1.0 seconds: [0, 0, 10, 10] 3.0 seconds: [0, 0, 10, 10]")
    answer = "1.0 seconds: [0, 0, 10, 10] 9.0 seconds: [0, 0, 1, 1] 12.0 seconds: [0, 0, 1, 1]"
    entry = evaluate([sample], [answer], "strict").by_dataset["AVOS"]["stg"]
    assert (entry["score"], entry["temporal_coverage"], entry["success@0.5"]) == (0.5, 0.5, 0.5)
    assert entry["temporal_precision"] == pytest.approx(1 / 3)


class FiveJudge:
    """The project's judge interface: 5 for an equal text, 2 otherwise; fails on "unreadable"."""

    def judge(self, requests: Sequence) -> list[Judgement]:
        """One judgement a request."""
        assert all(r.task == "video_summary" for r in requests)
        return [
            Judgement("five", "r@1", {}, {}, status="timeout")
            if r.candidate == "unreadable"
            else Judgement(
                "five", "r@1", dict.fromkeys("abcde", 5.0 if r.candidate == r.reference else 2.0), {}
            )
            for r in requests
        ]


def test_captions_through_a_judge() -> None:
    samples = [make_sample("video_summary_gpt", "a knife cuts", row=k) for k in range(3)]
    scores = evaluate(samples, ["a knife cuts", "zzz", " "], "strict", FiveJudge(), encoder=BagOfLetters())
    assert scores.board["VS_llm"] == pytest.approx((5 + 2 + 1) / 3)  # an empty answer has the minimum
    assert scores.by_dataset["AVOS"]["video_summary"]["judge"] == scores.board["VS_llm"]
    assert scores.per_record[0] == pytest.approx(1.0)
    assert scores.per_record[2] == 0.0
    with pytest.raises(UserError, match="judge gave no score"):
        evaluate(samples[:1], ["unreadable"], "strict", FiveJudge(), encoder=BagOfLetters())


def test_the_judge_interface_serves_the_official_columns() -> None:
    samples = [make_sample("video_summary_gpt", "a knife cuts", row=k) for k in range(3)]
    scores = evaluate(
        samples, ["a knife cuts", "unreadable", "zzz"], "official", FiveJudge(), encoder=BagOfLetters()
    )
    assert scores.board["VS_llm"] == pytest.approx(3.5)
    assert scores.per_record == [5.0, None, 2.0]


def test_a_custom_caption_scorer() -> None:
    sample = make_sample("region_caption_gpt", "x")
    scores = evaluate(
        [sample], ["y"], "strict", captions=lambda samples, texts: [{"similarity": 0.25, "judge": 3.0}]
    )
    assert scores.per_record == [0.25]
    assert scores.board["RC_llm"] == 3.0


def test_a_judge_function_sees_the_pair() -> None:
    seen: list[CaptionPair] = []
    sample = make_sample("region_caption_gpt", "the hook dissects")
    evaluate(
        [sample],
        ["a hook"],
        "strict",
        lambda pairs: seen.extend(pairs) or [{"R2": 4.0}],
        encoder=BagOfLetters(),
    )
    assert [(p.reference, p.candidate, p.dataset) for p in seen] == [("the hook dissects", "a hook", "AVOS")]


@pytest.mark.parametrize(
    ("records", "predictions", "protocol", "message"),
    [
        ([make_sample("tal", "1-2 seconds")], [], "official", "0 predictions for 1 records"),
        (
            [make_sample("tal", "1-2 seconds")],
            [{"id": "x"}],
            "strict",
            'row 0: field "prediction" is missing',
        ),
        (
            [make_sample("tal", "1-2 seconds")],
            [{"prediction": 3}],
            "strict",
            "row 0: .*must be a string, got int",
        ),
        (
            [make_sample("tal", "1-2 seconds")],
            [7],
            "strict",
            "row 0: expected a string or an object, got int",
        ),
        (
            [make_sample("tal", "1-2 seconds")],
            [{"prediction": "", "qa_type": "stg"}],
            "strict",
            'row 0: field "qa_type"',
        ),
        (
            [make_sample("tal", "1-2 seconds")],
            [{"prediction": "", "id": "other"}],
            "strict",
            'row 0: field "id"',
        ),
        ([make_sample("tal", row=4)], ["1-2 seconds"], "strict", "row 4 .*no ground truth"),
        ([{"qa_type": "tal_x"}], [""], "strict", "records row 0: unknown task"),
        ([{"qa_type": "tal", "metadata": {"fps": "fast"}}], [""], "strict", 'row 0: field "metadata.fps"'),
        ([make_sample("tal", "1-2 seconds")], [""], "lenient", "unknown protocol 'lenient'"),
    ],
)
def test_mistakes(records: list, predictions: list, protocol: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(records, predictions, protocol, encoder=BagOfLetters())


@given(st.lists(st.text(max_size=60), min_size=6, max_size=6))
def test_any_answers_are_scored(texts: list[str]) -> None:
    samples: list[Sample] = [
        make_sample("tal", "1.0-2.0 seconds."),
        make_sample("stg", "1.0 seconds: [0, 0, 10, 10]"),
        make_sample("dense_captioning_gpt", "1.0-2.0 seconds: a"),
        make_sample("next_action", "tying"),
        make_sample("cvs_assessment", CVS.format(0, 1, 2)),
        make_sample("video_summary_gpt", "a knife"),
    ]
    for protocol in ("official", "strict"):
        scores = evaluate(samples, texts, protocol, encoder=BagOfLetters())
        assert len(scores.per_record) == 6
        for column, value in scores.board.items():
            assert value is None or 0.0 <= value <= 1.0 + 1e-9, column
