"""Numbers beside the lists: each is what Python makes of the stored lists, in shards of any age."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.rollout.compaction import compact_run
from medgrpo.rollout.numbers import NUMBERS, SOURCES, with_numbers
from medgrpo.rollout.schema import SCHEMA
from medgrpo.rollout.store import RolloutStore, read_rollouts
from medgrpo.types import Completion, ComponentScore, Judgement, Rollout
from tests.rollout.rollouts import make_rollout, make_sample

number = st.floats(allow_nan=True, allow_infinity=True)
float32 = st.floats(allow_nan=True, allow_infinity=True, width=32)
metric = st.sampled_from(["similarity:minilm@1", "similarity:other@1", "judge:five@1", "tal_miou@1"])
dimension = st.tuples(st.sampled_from("abcde"), st.none() | st.floats(1, 5) | st.just(math.nan))
answer = st.fixed_dictionaries(
    {
        "completion_logps": st.none() | st.lists(float32, max_size=6),
        "components": st.none() | st.lists(st.tuples(metric, number), max_size=3),
        "judge": st.none() | st.lists(dimension, max_size=5),
    }
)


def mean(values: list[float]) -> float | None:
    return reduce(add, values, 0.0) / len(values) if values else None


def expected(row: dict[str, Any]) -> list[float | None]:
    """What the lists of a row say."""
    logps, parts, judge = row["completion_logps"], row["components"], row["judge"]
    marks = [] if judge is None else [d["score"] for d in judge["dimensions"] if d["score"] is not None]
    near = [part["raw"] for part in parts or [] if part["metric"].startswith("similarity:")]
    return [None if logps is None else len(logps), mean(logps or []), mean(marks), near[0] if near else None]


def as_row(drawn: dict[str, Any]) -> dict[str, Any]:
    parts, judge = drawn["components"], drawn["judge"]
    return {
        "completion_logps": drawn["completion_logps"],
        "components": None if parts is None else [{"metric": name, "raw": raw} for name, raw in parts],
        "judge": None
        if judge is None
        else {"dimensions": [{"dimension": name, "score": score} for name, score in judge]},
    }


def check(rows: list[dict[str, Any]], table: pa.Table) -> None:
    found = [[row[name] for name in NUMBERS] for row in table.select(list(NUMBERS)).to_pylist()]
    for row, numbers in zip(rows, found, strict=True):
        assert repr(numbers) == repr(expected(row)), row  # in which a NaN is a NaN


@settings(max_examples=200, deadline=None)
@given(drawn=st.lists(answer, max_size=6), cut=st.integers(0, 3))
def test_numbers_are_what_the_lists_say(drawn: list[dict[str, Any]], cut: int) -> None:
    rows = [as_row(one) for one in drawn]
    schema = pa.schema([SCHEMA.field(name) for name in ("completion_logps", "components", "judge")])
    table = pa.Table.from_pylist(rows, schema=schema)
    check(rows, with_numbers(table))
    check(rows[cut:], with_numbers(table.slice(cut)))
    check(rows + rows, with_numbers(pa.concat_tables([table, table])))


def rollouts(step: int) -> list[Rollout]:
    """Answers with everything, with nothing, and with a failed judgement."""
    score = ComponentScore(0.25, 0.5, 1.0, "similarity:minilm@1", "logistic", 0.1, 0.2, 0.4, 3.0)
    marks = {"action": 2.0 + step, "context": 5.0}
    judged, failed = Judgement("m", "r", marks, {}), Judgement("m", "r", {}, {}, status="timeout")
    bare = make_rollout(make_sample("tal"), index=2, components={})
    return [
        make_rollout(make_sample(), components={"similarity": score}, judgement=judged),
        make_rollout(make_sample(), index=1, judgement=failed),
        replace(bare, completion=Completion("", (), (), "stop")),
    ]


def older(path: Path) -> Path:
    """Make a shard one of before there were the columns."""
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.drop_columns(list(NUMBERS)), path, compression="zstd")
    return path


def test_a_shard_is_written_with_its_numbers(tmp_path: Path) -> None:
    path = RolloutStore(tmp_path, "r").write(0, rollouts(0))
    table = read_rollouts(tmp_path)
    assert table.schema.equals(SCHEMA)
    assert list(SCHEMA.names[-len(NUMBERS) :]) == list(NUMBERS)
    check(table.to_pylist(), table)
    assert table.select(list(NUMBERS)).to_pylist() == [
        {"completion_tokens": 2, "mean_logp": -0.875, "judge_mean": 3.5, "similarity": 0.25},
        {"completion_tokens": 2, "mean_logp": -0.875, "judge_mean": None, "similarity": None},
        {"completion_tokens": 0, "mean_logp": None, "judge_mean": None, "similarity": None},
    ]
    with pq.ParquetFile(older(path)) as file:
        few = file.read(columns=list(SOURCES))  # no more than these is needed
    assert with_numbers(few).select(list(NUMBERS)).equals(table.select(list(NUMBERS)))


def test_older_shards_read_as_null_and_get_their_numbers_when_they_are_merged(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, "r")
    paths = [store.write(step, rollouts(step), wall_time=1e9) for step in range(4)]
    before = read_rollouts(tmp_path)
    for path in paths[:2]:
        older(path)
    assert read_rollouts(tmp_path)["judge_mean"].null_count == 2 * 3 + 2 * 2
    done = compact_run(tmp_path, "r", keep_last=1)
    assert (done.shards, done.files, done.left) == (3, 1, {})  # old and new ones in one file
    assert read_rollouts(tmp_path).equals(before)


def test_a_merging_that_an_older_medgrpo_left_unfinished_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medgrpo.rollout import compaction

    store = RolloutStore(tmp_path, "r")
    paths = [older(store.write(step, rollouts(step), wall_time=1e9)) for step in range(3)]
    with monkeypatch.context() as older_medgrpo:
        older_medgrpo.setattr(compaction, "with_numbers", lambda table: table)
        older_medgrpo.setattr(compaction, "_remove", lambda path: None)  # killed before it came to that
        compact_run(tmp_path, "r", keep_last=1)
    assert all(path.exists() for path in paths)
    done = compact_run(tmp_path, "r", keep_last=1)
    assert (done.finished, done.left) == (2, {})
    assert [path.exists() for path in paths] == [False, False, True]
