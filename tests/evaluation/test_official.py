"""The official protocol equals the leaderboard's scorer on every golden case, by record and pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from medgrpo.errors import UserError
from medgrpo.evaluation import evaluate
from medgrpo.evaluation.official import COLUMNS, official_row, rank, score_rows, shown
from tests.evaluation.golden import close, encoder, golden, stub_judge

CASES = golden()["cases"]
POOLED = golden()["pooled"]
IDS = [f"{case['task']}: {case['note']}" for case in CASES]


def _check_board(board: Mapping[str, float | None], expected: Mapping[str, Any]) -> None:
    for column, value in {**expected.get("board", {}), **expected.get("board_stub_judge", {})}.items():
        assert close(board[column], value), (column, board[column], value)
    for column, value in expected.get("board_shown", {}).items():
        assert close(shown(board[column]), value), (column, board[column], value)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case(case: dict[str, Any]) -> None:
    scores = evaluate(case["records"], case["predictions"], "official", stub_judge, encoder=encoder())
    expected = case["expected"]
    _check_board(scores.board, expected)
    assert not scores.counts.get("lost_columns")
    values = [v["mIoU@0.3"] if case["task"] == "tal" else v for v in scores.per_record]
    assert len(values) == len(expected["per_record"])
    for i, (value, wanted) in enumerate(zip(values, expected["per_record"], strict=True)):
        assert close(value, wanted), (i, value, wanted)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_extra_values_of_records(case: dict[str, Any]) -> None:
    rows = [
        official_row(r, p, i)
        for i, (r, p) in enumerate(zip(case["records"], case["predictions"], strict=True))
    ]
    (result,) = score_rows(rows, encoder(), stub_judge).results.values()
    for name, wanted in (case["expected"].get("per_record_extra") or {}).items():
        if name == "minilm_cosine":
            _check_cosines(case, wanted)
        elif name in ("parsed", "row_skipped"):
            assert result.extra[name] == wanted
        elif name == "TAG_mIoU@0.5":
            assert all(close(v["mIoU@0.5"], w) for v, w in zip(result.per_record, wanted, strict=True))
        else:
            assert all(close(v, w) for v, w in zip(result.extra[name], wanted, strict=True)), name


def _check_cosines(case: dict[str, Any], wanted: list[float | None]) -> None:
    """What a column of captions becomes where every judge call fails."""
    for record, prediction, cosine in zip(case["records"], case["predictions"], wanted, strict=True):
        if cosine is not None:
            alone = evaluate(
                [record], [prediction], "official", lambda pairs: [None] * len(pairs), encoder=encoder()
            )
            column = {"vs": "VS_llm", "rc": "RC_llm"}[case["task"]]
            value = alone.board[column]
            assert close(value, cosine), (value, cosine)


@pytest.mark.parametrize("case", POOLED, ids=[case["note"] for case in POOLED])
def test_pooled(case: dict[str, Any]) -> None:
    scores = evaluate(case["records"], case["predictions"], "official", stub_judge, encoder=encoder())
    _check_board(scores.board, case["expected"])
    for task, entry in case["expected"]["per_task"].items():
        for index, wanted in zip(entry["index"], entry["per_record"], strict=True):
            value = scores.per_record[index]
            assert close(value["mIoU@0.3"] if task == "tal" else value, wanted), (task, index)


@pytest.mark.parametrize("case", golden()["crash_cases"], ids=lambda c: f"{c['task']}: {c['note']}")
def test_what_crashes_the_official_scorer(case: dict[str, Any]) -> None:
    """Answers that are no strings are refused by row; other crashes lose the column, as on the board."""
    assert case["official"]["board"] == {}
    if None in case["predictions"]:
        row = case["predictions"].index(None)
        entries = [{"prediction": p} for p in case["predictions"]]
        with pytest.raises(UserError, match=rf"row {row}: .*null"):
            evaluate(case["records"], entries, encoder=encoder())
    else:
        scores = evaluate(case["records"], case["predictions"], encoder=encoder())
        assert scores.board["DVC_F1"] == 0.0
        assert "too large" in scores.counts["lost_columns"]["DVC_F1"]


def test_without_a_judge_its_columns_are_none() -> None:
    case = next(c for c in POOLED if c["note"] == "all eight tasks mixed")
    scores = evaluate(case["records"], case["predictions"], encoder=encoder())
    assert [c for c in COLUMNS if scores.board[c] is None] == ["DVC_llm", "VS_llm", "RC_llm"]
    assert set(scores.to_dict()) >= {"protocol", "board", "per_record", "by_dataset", "counts"}
    assert list(scores.to_dict()["board"]) == list(COLUMNS)
    sources = {r.get("data_source") or r["dataset_name"] for r in case["records"]}
    assert set(scores.by_dataset) == sources


@pytest.mark.parametrize("case", golden()["ranking"])
def test_ranking(case: dict[str, Any]) -> None:
    fields = {column.lower().replace("@0.", "_0"): column for column in COLUMNS}
    boards = {
        row["model_name"]: {fields[k]: v for k, v in row.items() if k != "model_name"} for row in case["rows"]
    }
    assert [name for name, _ in rank(boards)] == case["order"]
