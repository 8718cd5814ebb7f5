"""The index over stores: what it takes in, when, and what it leaves out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.index import MEASURES, GroupFilter, GroupRow, RolloutIndex, curves
from medgrpo.errors import UserError
from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Judgement
from tests.rollout.rollouts import make_rollout, make_sample


def write(
    root: Path, step: int, values: list[float], *, run: str = "r", attempt: int = 0, rank: int = 0
) -> Path:
    rollouts = [make_rollout(make_sample(), index=i, value=v, group_id="g") for i, v in enumerate(values)]
    return RolloutStore(root, run, attempt).write(step, rollouts, rank=rank, wall_time=1e9 + step)


def test_numbers_agree_with_numpy(tmp_path: Path) -> None:
    values = {0: [0.1, 0.2, 0.9, math.nan], 1: [0.3, 0.4]}
    for step, found in values.items():
        write(tmp_path, step, found)
    index = RolloutIndex(tmp_path)
    assert index.refresh()
    points = curves(index, "r", "reward")
    assert [(p.step, p.count) for p in points] == [(0, 3), (1, 2)]
    for point in points:
        finite = [v for v in values[point.step] if not math.isnan(v)]
        expected = [np.mean(finite), *np.quantile(finite, [0.25, 0.75])]
        np.testing.assert_allclose([point.mean, point.p25, point.p75], expected)
        assert point.reference == 0.5  # a typical answer of the frozen statistics, under a logistic scale
    (raw, _) = curves(index, "r", "raw")
    assert (raw.series, raw.mean, raw.reference) == ("metric", pytest.approx(0.3), 0.4)
    (surprise, _) = curves(index, "r", "surprise")
    assert surprise.mean == pytest.approx(0.875)  # mean of 0.5 and 1.25
    # neither a structure nor a judge was asked for
    assert [measure for measure in MEASURES if not curves(index, "r", measure)] == ["format", "judge"]
    assert index.steps("r") == [1, 0]
    assert index.pairs("r") == [("AVOS", "video_summary", 6, 0, 0, 0)]


def test_only_what_changed_is_taken_in(tmp_path: Path) -> None:
    write(tmp_path, 0, [0.1])
    index = RolloutIndex(tmp_path)
    assert (index.refresh(), index.refresh()) == (True, False)
    write(tmp_path, 1, [0.2, 0.3])
    assert index.refresh()
    assert index.runs()[0].answers == 3
    gone = write(tmp_path, 1, [0.9])  # the same step again replaces its shard
    assert index.refresh()
    assert index.runs()[0].answers == 2
    write(tmp_path, 1, [0.5] * 4, attempt=1)  # a restart wins over it
    assert index.refresh()
    assert [p.mean for p in curves(index, "r", "reward")] == [0.1, 0.5]
    gone.unlink()
    assert not index.refresh()
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    assert index.refresh()
    assert index.runs() == []


def test_stores_in_several_folders_keep_their_names(tmp_path: Path) -> None:
    write(tmp_path, 0, [0.1], run="top")
    write(tmp_path / "a", 0, [0.1, 0.2], run="a")
    write(tmp_path / "b" / "c", 0, [0.1], run="grpo")
    index = RolloutIndex(tmp_path)
    index.refresh()
    assert sorted(run.run for run in index.runs()) == ["a", "b/c/grpo", "top"]
    assert index.group("a", 0, "g")[1]["reward"] == 0.2


def test_damaged_files_are_reported_and_the_rest_is_shown(tmp_path: Path) -> None:
    good, bad = write(tmp_path, 0, [0.1]), write(tmp_path, 1, [0.2] * 50)
    whole = bad.read_bytes()
    bad.write_bytes(whole[:100])
    index = RolloutIndex(tmp_path)
    index.refresh()
    assert index.steps("r") == [0]
    assert "not a readable Parquet file" in index.problems[str(bad)]
    data = bytearray(whole)  # an intact footer over damaged pages
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    bad.write_bytes(data)
    index.refresh()
    assert index.steps("r") == [0]
    assert list(index.problems) == [str(bad)]
    bad.write_bytes(whole)
    assert index.refresh()
    assert (index.steps("r"), index.problems) == ([1, 0], {})
    good.unlink()
    with pytest.raises(UserError, match="cannot be read any more"):
        index.group("r", 0, "g")


def test_groups_filter_order_and_open(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, "r")
    judgement = Judgement("m", "r", {"action": 4.0}, {"action": "good"})
    tal = make_sample("tal", "CoPESD")
    for step in range(3):
        store.write(
            step,
            [
                make_rollout(make_sample(), group_id="s", index=i, value=0.1 * i + step, judgement=judgement)
                for i in (1, 0)
            ]
            + [
                make_rollout(tal, group_id="t", value=0.5, parse_status="failed", skip_reason="zero_variance")
            ],
        )
    index = RolloutIndex(tmp_path)
    index.refresh()

    def listed(order: str = "newest", limit: int = 200, **filters: Any) -> list[GroupRow]:
        return index.groups(GroupFilter("r", **filters), order, limit=limit)[0]

    assert [(g.step, g.group_id) for g in listed()][:3] == [(2, "s"), (2, "t"), (1, "s")]
    assert {g.group_id for g in listed(task="tal")} == {"t"}
    assert {g.group_id for g in listed(dataset="AVOS")} == {"s"}
    assert [g.step for g in listed(step=1)] == [1, 1]
    assert [g.mean for g in listed("best", 2)] == pytest.approx([2.05, 1.05])
    assert [g.mean for g in listed("worst", 1)] == pytest.approx([0.05])
    assert listed("spread", 1)[0].group_id == "s"
    (group,) = listed(step=2, task="tal")
    assert (group.unreadable, group.skip_reason, group.judge_mean) == (1, "zero_variance", None)
    assert listed(step=2, task="video_summary")[0].judge_mean == 4.0
    assert [row["sample_index"] for row in index.group("r", 1, "s")] == [0, 1]
    assert index.group("r", 1, "' OR 1=1 --") == []


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        RolloutIndex(tmp_path / "nowhere")
