"""Merging shards: the store reads the same before, during and after, wherever the merging is stopped."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from medgrpo.cli import main
from medgrpo.errors import UserError
from medgrpo.rollout import compaction
from medgrpo.rollout.compaction import compact_run
from medgrpo.rollout.schema import SCHEMA
from medgrpo.rollout.shards import list_shards, read_footer, read_shard
from medgrpo.rollout.store import RolloutStore, find_shards, next_attempt, read_rollouts, shard_path
from medgrpo.rollout.stored_answers import stored_answers
from tests.rollout.rollouts import make_rollout, make_sample

ROOT = Path(__file__).parents[2]


def write(root: Path, *, steps: int = 6, attempt: int = 0, first: int = 0, ranks: int = 2) -> RolloutStore:
    store = RolloutStore(root, "r", attempt, policy_hash="c0ffee", settings="5e77")
    for step in range(first, steps):
        for rank in range(ranks):
            values = [math.nan, 0.1 * step][: 1 + step % 2] if step else []
            rollouts = [
                make_rollout(make_sample(), f"{attempt} {step} {rank}", index=k, value=value, group_id="g")
                for k, value in enumerate(values)
            ]
            store.write(step, rollouts, rank=rank, wall_time=1e9)
    return store


def content(root: Path) -> str:
    return repr(read_rollouts(root).to_pylist())  # in which a NaN is a NaN


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.parquet"))


def test_a_merged_store_reads_and_resumes_as_before(tmp_path: Path) -> None:
    store = write(tmp_path)
    write(tmp_path, attempt=1, first=2, steps=4, ranks=1)  # a restart on one process
    before, attempts = content(tmp_path), next_attempt(tmp_path, "r")
    steps = [read_rollouts(tmp_path, "r", step) for step in range(6)]
    answers = stored_answers(store, 1, rank=1)
    assert answers is not None
    done = compact_run(tmp_path, "r", keep_last=2)
    assert (done.shards, done.files, done.left) == (10, 1, {})
    (merged,) = (tmp_path / "rollouts/run=r").glob("steps=000000-000003/*.parquet")
    assert names(tmp_path) == sorted(
        [merged.relative_to(tmp_path).as_posix()]
        + [
            shard_path(tmp_path, "r", 0, step, rank).relative_to(tmp_path).as_posix()
            for step in (4, 5)
            for rank in (0, 1)
        ]
    )
    assert not (tmp_path / "rollouts/run=r/step=000000").exists()
    assert content(tmp_path) == before
    assert next_attempt(tmp_path, "r") == attempts == 2
    for step, table in enumerate(steps):
        assert repr(read_rollouts(tmp_path, "r", step).to_pylist()) == repr(table.to_pylist())
    again = stored_answers(store, 1, rank=1)
    assert again is not None
    assert repr(again._groups) == repr(answers._groups)
    assert stored_answers(store, 3, rank=1) is None  # the restart had one process
    store.policy_hash = "another"
    assert stored_answers(store, 1, rank=1) is None
    assert {shard.settings for shard in list_shards(tmp_path, "r")} == {"5e77"}


def test_a_restart_repeats_merged_steps(tmp_path: Path) -> None:
    write(tmp_path)
    compact_run(tmp_path, "r", keep_last=1)
    write(tmp_path, attempt=next_attempt(tmp_path, "r"), first=3, steps=5, ranks=1)
    texts = read_rollouts(tmp_path)["completion_text"].to_pylist()
    assert [text for text in texts if text[2] in "34"] == ["1 3 0", "1 3 0", "1 4 0"]
    before = content(tmp_path)
    assert compact_run(tmp_path, "r", keep_last=1).shards == 2
    assert content(tmp_path) == before
    assert compact_run(tmp_path, "r", keep_last=1).shards == 0


def test_a_shard_that_was_written_again_counts_and_stays(tmp_path: Path) -> None:
    store = write(tmp_path)
    compact_run(tmp_path, "r", keep_last=1)
    path = store.write(2, [make_rollout(make_sample(), "again")], rank=0)
    assert read_rollouts(tmp_path, "r", 2)["completion_text"].to_pylist() == ["again", "0 2 1"]
    done = compact_run(tmp_path, "r", keep_last=1)
    assert list(done.left) == [str(path)]
    assert path.exists()


def test_shards_of_other_columns_and_damaged_ones_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, ranks=1)
    older = shard_path(tmp_path, "r", 0, 2, 0)
    pq.write_table(pq.read_table(older, partitioning=None).drop_columns(["told_times"]), older)
    damaged = shard_path(tmp_path, "r", 0, 4, 0)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    done = compact_run(tmp_path, "r", keep_last=1)
    assert done.files == 1  # of the two before the older one, which has no neighbour of its kind
    assert list(done.left) == [str(damaged)]
    assert damaged.exists()
    assert older.exists()


def test_large_runs_become_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    before = content(tmp_path)
    monkeypatch.setattr(compaction, "ROWS", 4)
    assert compact_run(tmp_path, "r", keep_last=1).files == 3
    assert content(tmp_path) == before


def test_what_does_not_read_the_same_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    before, files = content(tmp_path), names(tmp_path)
    monkeypatch.setattr(compaction, "read_rows", lambda shard: SCHEMA.empty_table())
    with pytest.raises(UserError, match="nothing is lost"):
        compact_run(tmp_path, "r", keep_last=1)
    assert set(files) <= set(names(tmp_path))
    assert content(tmp_path) == before


def test_two_compactions_and_bad_arguments_are_one_line(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match="no such run"):
        compact_run(tmp_path, "nowhere", keep_last=1)
    with pytest.raises(UserError, match="--keep-last 0"):
        compact_run(tmp_path, "r", keep_last=0)
    with compaction._alone(tmp_path / "rollouts/run=r"), pytest.raises(UserError, match="at work"):
        compact_run(tmp_path, "r", keep_last=1)


def test_merged_files_say_what_they_hold(tmp_path: Path) -> None:
    write(tmp_path)
    compact_run(tmp_path, "r", keep_last=1)
    (path,) = tmp_path.glob("rollouts/run=r/steps=*/*.parquet")
    shards = read_footer(path)
    assert [(shard.step, shard.rank, shard.rows) for shard in shards] == [
        (step, rank, (1 + step % 2) * (step > 0)) for step in range(5) for rank in (0, 1)
    ]
    firsts = [sum(shard.rows for shard in shards[:k]) for k in range(len(shards))]
    assert [shard.first_row for shard in shards] == firsts
    with pytest.raises(UserError, match="holds 10 shards"):
        read_shard(path)
    assert path in find_shards(tmp_path, "r", 3)
    assert path not in find_shards(tmp_path, "r", 5)


def test_the_command_merges_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    RolloutStore(tmp_path, "s").write(0, [])
    assert main(["compact", str(tmp_path), "--keep-last", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run r: 8 shards are now in 1 files",
        "run s: 0 shards are now in 0 files",
    ]
    shard_path(tmp_path, "s", 0, 0, 0).write_bytes(b"damaged")
    assert main(["compact", str(tmp_path), "--run", "s"]) == 1
    assert "left as it is" in capsys.readouterr().out
    assert main(["compact", str(tmp_path / "nowhere")]) == 2


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from medgrpo.rollout import compaction
from medgrpo.rollout.store import read_rollouts

root, before = Path(sys.argv[1]), sys.argv[2]
calls = 0

def dying(name):
    call = getattr(os, name)
    def counted(*args, **keywords):
        global calls
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **keywords)
    setattr(os, name, counted)

moment, reads = 0, 0
while True:
    moment += 1
    copy = root.with_name(f"killed-{moment}")
    shutil.copytree(root, copy)
    child = os.fork()
    if child == 0:
        for name in ("replace", "fsync", "unlink", "rmdir", "open", "mkdir"):
            dying(name)
        calls = moment
        compaction.compact_run(copy, "r", keep_last=2)
        os._exit(0)
    done = 0
    while not done:
        assert repr(read_rollouts(copy).to_pylist()) == before
        reads += 1
        done, status = os.waitpid(child, os.WNOHANG)
    assert repr(read_rollouts(copy).to_pylist()) == before
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(moment, reads)
"""


def test_killed_at_any_moment_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    root = tmp_path / "whole"
    write(root, steps=4, ranks=2)
    before = content(root)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), before],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    moments, reads = map(int, done.stdout.split())
    assert moments > 10
    assert reads >= moments
    compact_run(root, "r", keep_last=2)
    for copy in tmp_path.glob("killed-*"):
        compact_run(copy, "r", keep_last=2)
        assert content(copy) == before
        assert names(copy) == names(root)
        assert not list(copy.rglob("*.part"))
        shutil.rmtree(copy)
