"""The measurement of the dashboard, run over few answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import dashboard_index
from benchmarks.generated_rollouts import GROUP, RARE, SHARD, generate_store
from medgrpo.rollout.schema import SCHEMA, rollout_from_row
from medgrpo.rollout.store import list_shards, read_rollouts


def test_generated_answers_are_rows_of_the_store(tmp_path: Path) -> None:
    assert generate_store(tmp_path, 2 * SHARD, runs=2) == 2 * SHARD
    shards = [(shard.run, shard.step, shard.rows) for shard in list_shards(tmp_path)]
    assert shards == [("run-0", 0, SHARD), ("run-1", 0, SHARD)]
    table = read_rollouts(tmp_path)
    assert table.schema.equals(SCHEMA)
    sizes = table.group_by(["run", "group_id"]).aggregate([([], "count_all")])["count_all"]
    assert sizes.to_pylist() == [GROUP] * (2 * SHARD // GROUP)
    for row in table.slice(0, 64).to_pylist():
        rollout = rollout_from_row(row)
        parts = rollout.reward.components
        assert set(parts) in ({"similarity", "judge"}, {"task_metric"})
        assert (rollout.reward.judgement is None) == ("judge" not in parts)
        assert 40 < len(rollout.completion.text.split()) < 80
        assert RARE not in rollout.completion.text


@pytest.mark.browser
def test_the_same_measurement_runs_over_few_answers(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    dashboard_index.main(["--answers", "4096", "--starts", "1", "--work", str(tmp_path), "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["answers"] == 4096
    assert len(told["results"]) == 14
    assert all(entry["ratio"] > 0 for entry in told["results"])
    assert list(tmp_path.iterdir()) == [out]
