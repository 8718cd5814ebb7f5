"""The rollout store: round trip, attempts, crashes, full disks."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rollout.schema import SCHEMA, rollout_from_row
from medgrpo.rollout.store import (
    RolloutStore,
    find_shards,
    next_attempt,
    read_rollouts,
    read_shard,
    shard_path,
)
from medgrpo.types import Box, Canvas, Clip, ComponentScore, Judgement, Region, Rollout
from tests.rollout.rollouts import make_rollout, make_sample


def full_rollout() -> Rollout:
    """Every field away from its default."""
    sample = replace(
        make_sample("stg", "CoPESD", truth=[{"bbox_dict": {"1.0": [1.0, 2.0, 3.5, 4.0]}}]),
        region=Region(Path("frames/000.jpg"), Box(1.0, 2.0, 3.0, 4.0)),
        canvas=Canvas(854, 480),
    )
    score = ComponentScore(
        raw=0.25,
        normalised=0.5,
        weight=0.5,
        metric="stg_viou@1",
        normalizer="logistic",
        p25=0.1,
        p50=0.2,
        p75=0.4,
        k=3.0,
        factors={"format": 1.0, "accuracy": 0.5},
    )
    judgement = Judgement(
        model="lexicon",
        rubric="five@1",
        scores={"terminology": 4.0, "action": 2.0},
        rationales={"terminology": "names the grasper", "context": "no phase is named"},
        prompt_hash="ab12",
        latency_s=0.5,
        prompt_tokens=10,
        completion_tokens=20,
        cost=0.01,
        cached=True,
    )
    failed = ComponentScore(raw=math.nan, normalised=math.nan, weight=0.5, metric="judge@1", status="timeout")
    return make_rollout(
        sample,
        "1.0 seconds: [1, 2, 3, 4]",
        index=7,
        group_id="12/g3",
        parsed={"1.0": [1, 2, 3, 4]},
        parse_status="repaired",
        components={"task": score, "judge": failed},
        judgement=judgement,
        value=math.nan,
        finish_reason="length",
        kept=False,
        skip_reason="failed_reward",
    )


def same(left: object, right: object) -> bool:
    """Equality in which NaN equals NaN: the repr of a dataclass holds every field."""
    return repr(left) == repr(right)


def test_a_rollout_survives_the_store_whole(tmp_path: Path) -> None:
    rollout = full_rollout()
    path = RolloutStore(tmp_path, "r1", attempt=2, policy_hash="abc").write(
        12, [rollout], rank=3, wall_time=1e9
    )
    assert path.parent == tmp_path / "rollouts" / "run=r1" / "step=000012"
    assert path.name.startswith("rank=003-")
    table = read_rollouts(tmp_path)
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    assert same(rollout_from_row(row), rollout)
    assert (row["run"], row["attempt"], row["step"], row["rank"]) == ("r1", 2, 12, 3)
    assert row["policy_hash"] == "abc"
    assert row["schema_version"] == 1
    assert row["wall_time"].timestamp() == 1e9
    assert row["truncated"] is True
    assert row["components"][0]["factors"] == [("format", 1.0), ("accuracy", 0.5)]
    assert row["judge"]["dimensions"][2] == {
        "dimension": "context",
        "score": None,
        "rationale": "no phase is named",
    }


def test_a_video_file_and_missing_parts_survive(tmp_path: Path) -> None:
    sample = replace(
        make_sample(answer=None), clip=Clip(video=Path("clip.mp4"), fps=1.0, start=2.0, end=None)
    )
    rollout = replace(make_rollout(sample), times=(0.0, 1.0))
    RolloutStore(tmp_path, "r1").write(0, [rollout])
    (row,) = read_rollouts(tmp_path).to_pylist()
    assert row["reference_text"] is None
    assert row["judge"] is None
    assert same(rollout_from_row(row), rollout)


any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
any_float = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(text=any_text, reference=any_text, reason=any_text, value=any_float, raw=any_float, std=any_float)
def test_any_text_and_any_number(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    reference: str,
    reason: str,
    value: float,
    raw: float,
    std: float,
) -> None:
    root = tmp_path_factory.mktemp("store")
    judgement = Judgement("m", "r", {"action": raw}, {"action": reason})
    truth = {reference: [raw, text]}
    rollout = make_rollout(
        make_sample(answer=reference, truth=truth),
        text,
        value=value,
        raw=raw,
        judgement=judgement,
        group_std=std,
        parsed=[text],
    )
    RolloutStore(root, "r").write(0, [rollout])
    (row,) = read_rollouts(root).to_pylist()
    back = rollout_from_row(row)

    def stored(string: str) -> str:  # UTF-8 holds no surrogates
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in string)

    assert back.completion.text == stored(text)
    assert back.sample.answer == stored(reference)
    assert back.sample.truth == {reference: truth[reference]} or math.isnan(raw)
    assert back.reward.parsed == [text]
    assert back.reward.judgement is not None
    assert back.reward.judgement.rationales == {"action": stored(reason)}
    assert same(back.reward.value, value)
    assert same(back.reward.components["metric"].raw, raw)
    assert same(back.group_std, std)


def test_writing_a_step_again_replaces_it(tmp_path: Path) -> None:
    sample = make_sample()
    store = RolloutStore(tmp_path, "r1")
    first = store.write(4, [make_rollout(sample, "one"), make_rollout(sample, "two", index=1)])
    again = store.write(4, [make_rollout(sample, "three")])
    assert first == again
    assert read_rollouts(tmp_path)["completion_text"].to_pylist() == ["three"]


def test_the_highest_attempt_of_a_step_wins_whatever_its_ranks(tmp_path: Path) -> None:
    sample = make_sample()
    old, new = RolloutStore(tmp_path, "r1"), RolloutStore(tmp_path, "r1", attempt=1)
    for step in (0, 1, 2):
        for rank in (0, 1):
            old.write(step, [make_rollout(sample, f"old {step} {rank}")], rank=rank)
    new.write(1, [make_rollout(sample, "new 1")])  # restarted from step 1 on one process
    RolloutStore(tmp_path, "r2").write(1, [make_rollout(sample, "other run")])
    texts = read_rollouts(tmp_path, "r1")["completion_text"].to_pylist()
    assert texts == ["old 0 0", "old 0 1", "new 1", "old 2 0", "old 2 1"]
    assert read_rollouts(tmp_path, "r1", step=1)["completion_text"].to_pylist() == ["new 1"]
    assert read_rollouts(tmp_path).num_rows == 6
    assert (next_attempt(tmp_path, "r1"), next_attempt(tmp_path, "new")) == (2, 0)


def test_an_empty_step_and_an_empty_root_read_as_empty_tables(tmp_path: Path) -> None:
    RolloutStore(tmp_path, "r1").write(0, [])
    assert read_rollouts(tmp_path).num_rows == 0
    assert read_rollouts(tmp_path / "nowhere").schema.equals(SCHEMA)


@pytest.mark.parametrize("run", ["", "../up", "a/b", ".hidden", "a b", "run\n"])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run: str) -> None:
    with pytest.raises(UserError, match="run id"):
        RolloutStore(tmp_path, run)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = RolloutStore(tmp_path, "r1")
    store.write(0, [make_rollout(make_sample(), "kept")])

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=r"paths\.root"):
        store.write(0, [make_rollout(make_sample(), "lost")])
    assert read_rollouts(tmp_path)["completion_text"].to_pylist() == ["kept"]
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".parquet"]


def test_damaged_foreign_and_newer_files_are_named(tmp_path: Path) -> None:
    path = RolloutStore(tmp_path, "r1").write(0, [make_rollout(make_sample())])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=rf"{path.name}: not a readable Parquet"):
        read_rollouts(tmp_path)
    table = SCHEMA.empty_table()
    pq.write_table(table.replace_schema_metadata(None), path)
    with pytest.raises(UserError, match="not a shard of a rollout store"):
        read_shard(path)
    facts = {"run": "r1", "attempt": "0", "step": "0", "rank": "0", "schema_version": "2"}
    pq.write_table(table.replace_schema_metadata({f"medgrpo.{k}": v for k, v in facts.items()}), path)
    with pytest.raises(UserError, match="newer than this medgrpo"):
        read_shard(path)


WRITER = """
import sys
from medgrpo.rollout.store import RolloutStore
from tests.rollout.rollouts import make_rollout, make_sample
rollouts = [make_rollout(make_sample(), "word " * 200, index=i) for i in range(400)]
store = RolloutStore(sys.argv[1], "killed")
print("ready", flush=True)
step = 0
while True:
    store.write(step % 5, rollouts)
    step += 1
"""


def test_a_killed_writer_leaves_no_damaged_shard(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    seen = 0
    for round_ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        while not find_shards(tmp_path):
            time.sleep(0.005)
        time.sleep(0.013 * (round_ + 1))  # another moment of the write each time
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        table = read_rollouts(tmp_path)
        assert table.num_rows == 400 * len(find_shards(tmp_path))
        seen += table.num_rows
    assert seen > 0
    RolloutStore(tmp_path, "killed").write(0, [])
    assert shard_path(tmp_path, "killed", 0, 0, 0) in find_shards(tmp_path)
