"""Rounds over clips that cannot be read: other prompts of the same kind, alike in every run, or one error."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.data.clip_data import BAD_CLIPS
from medgrpo.data.records import read_records
from medgrpo.errors import UserError
from medgrpo.rollout.store import read_rollouts
from medgrpo.types import Sample
from tests.modules import grpo_scene as scenes
from tests.modules.test_refill import FlatReward


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes.make_scene(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="module")
def plain(scene: Path) -> list[dict[str, Any]]:
    """What a run asks whose clips are all right."""
    return _run(scene, scene / "plain")[1]


def _run(
    scene: Path,
    out: Path,
    rounds: Sequence[int] = (2,),
    module: dict[str, Any] | None = None,
    trainer: dict[str, Any] | None = None,
    **data: Any,
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    for count in rounds:
        run, grpo, rows = scenes.make_run(
            scene,
            out,
            rounds=count,
            module=module,
            data=data,
            trainer={"default_root_dir": out} | (trainer or {}),
        )
        last = out / "checkpoints" / "last.ckpt"
        run.fit(grpo, rows, ckpt_path=str(last) if last.is_file() else None)
    stored = read_rollouts(out, "t").drop_columns(["attempt", "wall_time"]).to_pylist()
    return scenes.weights(grpo), stored


def _spoilt(scene: Path, folder: Path, samples: Sequence[Sample]) -> Path:
    """A copy of the scene in which the first image of the samples' clips is missing."""
    shutil.copytree(scene / "world", folder / "world")
    shutil.copytree(scene / "model", folder / "model")
    for sample in samples:
        (folder / sample.clip.frames[0].relative_to(scene)).unlink(missing_ok=True)
    return folder


def _asked(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {row["group_id"]: row["sample_key"] for row in rows}


def _samples(scene: Path) -> dict[str, Sample]:
    return {sample.key: sample for sample in read_records(scene / "world" / "train.json")}


def test_a_bad_prompt_makes_room_for_another_of_its_pair(
    scene: Path, plain: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = _asked(plain)["000000-0001"]
    sample = _samples(scene)[first]
    bad = _spoilt(scene, tmp_path / "bad", [sample])
    with pytest.raises(UserError, match=r"^row \d+ \(.*\): .*: frame 0 of the clip"):
        _run(bad, tmp_path / "stops")
    assert not (tmp_path / "stops" / BAD_CLIPS).exists()
    weights, rows = _run(bad, tmp_path / "out", max_bad_clips=1)
    known, asked = _samples(bad), _asked(rows)
    spoilt = {key for key, other in _samples(scene).items() if other.clip == sample.clip}
    assert not spoilt & set(asked.values())
    for group, key in _asked(plain).items():
        if key in spoilt:
            assert known[asked[group]].pair == known[key].pair
        else:
            assert asked[group] == key
    reported = [json.loads(line) for line in (tmp_path / "out" / BAD_CLIPS).read_text().splitlines()]
    assert len({line["row"] for line in reported}) == len(reported)
    assert {line["row"] for line in reported} <= {known[key].row for key in spoilt}
    parts, again = _run(bad, tmp_path / "parts", (1, 2), max_bad_clips=1)
    assert again == rows
    assert all(torch.equal(value, parts[name]) for name, value in weights.items())


@pytest.mark.parametrize("bad_clips", [0, 1])
def test_workers_that_work_ahead_change_nothing(scene: Path, tmp_path: Path, bad_clips: int) -> None:
    options: dict[str, Any] = {
        "module": {"reward": scenes.make_reward(FlatReward)},
        "refill_attempts": 1,
        "max_bad_clips": bad_clips,
    }
    if bad_clips:
        _, plain = _run(scene, tmp_path / "plain", (1,), **(options | {"max_bad_clips": 0}))
        first = _samples(scene)[_asked(plain)["000000-0000.0"]]
        scene = _spoilt(scene, tmp_path / "bad", [first])
    weights, rows = _run(scene, tmp_path / "alone", **options)
    ahead = {"num_workers": 2, "prefetch_factor": 1}
    found, same = _run(scene, tmp_path / "workers", **options, **ahead)
    assert same == rows
    assert all(torch.equal(value, found[name]) for name, value in weights.items())
    parts, again = _run(scene, tmp_path / "parts", (1, 2), **options, **ahead)
    assert again == rows
    assert all(torch.equal(value, parts[name]) for name, value in weights.items())


def test_a_mistake_met_by_a_worker_is_one_error(
    scene: Path, plain: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = _samples(scene)[_asked(plain)["000000-0001"]]
    bad = _spoilt(scene, tmp_path / "bad", [first])
    with pytest.raises(UserError, match=r"^row \d+ \(.*\): .*: frame 0 of the clip"):
        _run(bad, tmp_path / "stops", num_workers=1)


def test_a_bad_refill_makes_room_too(scene: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"module": {"reward": scenes.make_reward(FlatReward)}, "refill_attempts": 1}
    _, plain = _run(scene, tmp_path / "plain", (1,), **options)
    known, asked = _samples(scene), _asked(plain)
    refilled = {group.partition(".")[0] for group in asked if "." in group}
    group = next(
        slot
        for slot in sorted(refilled)
        if not any(
            known[asked[slot]].clip == known[key].clip for other, key in asked.items() if other != slot
        )
    )
    bad = _spoilt(scene, tmp_path / "bad", [known[asked[group]]])
    _, rows = _run(bad, tmp_path / "out", (1,), max_bad_clips=1, **options)
    replaced = _asked(rows)
    assert replaced[f"{group}.0"] == asked[f"{group}.0"]
    assert replaced[group] != asked[group]
    assert known[replaced[group]].pair == known[asked[group]].pair


def test_a_pair_without_readable_clips_is_one_error(scene: Path, tmp_path: Path) -> None:
    by_pair = defaultdict(list)
    for sample in _samples(scene).values():
        by_pair[sample.pair].append(sample)
    pair = min(pair for pair in by_pair if pair[1] == "stg")
    bad = _spoilt(scene, tmp_path / "bad", by_pair[pair])
    message = rf"train\.json: round 0 has no further prompt of \({pair[0]}, stg\) whose frames can be read"
    with pytest.raises(UserError, match=message):
        _run(bad, tmp_path / "out", tasks=("stg",), max_bad_clips=1000, prompts_per_round=8)


def test_replayed_rows_leave_bad_clips_out(scene: Path, tmp_path: Path) -> None:
    samples = list(_samples(scene).values())
    clips = sorted({sample.clip.frames[0] for sample in samples if sample.clip.frames})
    kept = clips[: len(clips) // 2]
    bad = _spoilt(scene, tmp_path / "bad", [s for s in samples if s.clip.frames[0] not in kept])
    shutil.move(bad / "world" / "train.json", bad / "world" / "replay.json")
    rows = json.loads((scene / "world" / "train.json").read_text())
    good = [row for row, s in zip(rows, samples, strict=True) if s.clip.frames[0] in kept]
    (bad / "world" / "train.json").write_text(json.dumps(good))
    replay = {"replay_records": str(bad / "world" / "replay.json"), "replay_rows": 1}
    options: dict[str, Any] = {"module": {"replay_weight": 1.0}, **replay}
    with pytest.raises(UserError, match="frame 0 of the clip"):
        _run(bad, tmp_path / "stops", (4,), **options)
    _run(bad, tmp_path / "out", (4,), max_bad_clips=1000, **options)
    reported = [json.loads(line) for line in (tmp_path / "out" / BAD_CLIPS).read_text().splitlines()]
    assert reported
    assert {line["records"] for line in reported} == {replay["replay_records"]}
