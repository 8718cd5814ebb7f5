"""A run that is killed again and again ends like one that was left alone, bit for bit."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
import yaml

from medgrpo.rewards import Statistics, summarise
from medgrpo.rollout.store import find_shards, read_rollouts, read_shard
from tests.forks import Ended, run_medgrpo
from tests.modules import grpo_scene as scenes

TASKS = dict.fromkeys(("tal", "stg", "video_summary", "region_caption"), 1.0)
ROUNDS = 5


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scenes.make_scene(tmp_path_factory.mktemp("resume"))
    metric = scenes.VowelReward(TASKS).metric("tal").name
    summary = summarise([i / 100 for i in range(100)])
    Statistics({("elsewhere", "tal"): {metric: summary}}).save(folder / "statistics.json")
    (folder / "run.yaml").write_text(yaml.safe_dump(_config(folder)))
    return folder


def _config(scene: Path) -> dict[str, Any]:
    """Everything that carries something from round to round: quartiles, deviations, refills, workers."""
    sampling = {name: getattr(scenes.SAMPLING, name) for name in scenes.SAMPLING.__dataclass_fields__}
    normalizer = {"window": 16, "min_samples": 2, "max_shift": 0.5, "unknown": "pooled"}
    model = {
        "policy": {"class_path": "medgrpo.modules.QwenVLPolicy", "init_args": {"path": str(scene / "model")}},
        "reward": {
            "class_path": "medgrpo.rewards.CompositeReward",
            "init_args": {
                "components": {
                    "vowels": {
                        "class_path": "tests.modules.grpo_scene.VowelReward",
                        "init_args": {"tasks": TASKS},
                    }
                },
                "normalizer": {
                    "class_path": "medgrpo.rewards.AdaptiveLogisticNormalizer",
                    "init_args": normalizer,
                },
                "statistics": str(scene / "statistics.json"),
            },
        },
        "store_root": "${paths.root}",
        "run_id": "${paths.run}",
        "advantage": {"class_path": "medgrpo.modules.advantages.MovingStdAdvantage", "init_args": {}},
        "overlong": {"margin": 0.5, "weight": 0.25},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
        "group_size": 4,
        "max_new_tokens": 6,
    }
    data = {
        "records": str(scene / "world" / "train.json"),
        "sampling": sampling,
        "prompts_per_round": 4,
        "groups_per_batch": 2,
        "num_iterations": 2,
        "refill_attempts": 1,
        "num_workers": 1,
    }
    export = {"class_path": "medgrpo.modules.ExportHF", "init_args": {"directory": "${paths.root}/hf"}}
    return {
        "paths": {"run": "run"},
        "model": {"class_path": "medgrpo.modules.GRPOModule", "init_args": model},
        "data": {"class_path": "medgrpo.data.GRPOData", "init_args": data},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": ROUNDS,
            "reload_dataloaders_every_n_epochs": 1,
            "enable_model_summary": False,
            "logger": {"tensorboard": None},
            "callbacks": {"export": export},
        },
    }


def _fit(scene: Path, out: Path, *options: str, ranks: int = 1, **stop: Any) -> Ended:
    """Start or go on with a run, which may end at a moment; how its first process ended."""
    arguments = [f"--config={scene / 'run.yaml'}", f"--paths.root={out}", "--ckpt_path=last", *options]
    if stop:
        config = scene / "stop.yaml"
        callback = {"class_path": "tests.integration.stops.Stop", "init_args": stop}
        config.write_text(yaml.safe_dump({"trainer": {"callbacks": {"stop": callback}}}))
        arguments.append(f"--config={config}")
    first, *others = run_medgrpo("fit", *arguments, ranks=ranks)
    # The others wait for one that was killed in vain, and end as it does otherwise.
    assert all((other.returncode == 0) is (first.returncode != -signal.SIGKILL) for other in others)
    return first


def _answers(out: Path) -> pa.Table:
    return read_rollouts(out, "run").drop_columns(["attempt", "wall_time"])


def _metrics(out: Path) -> dict[tuple[str, str], str]:
    """What was logged, by step and name; an interrupted run has logged some steps twice."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted(out.glob("run/csv/version_*/metrics.csv")):
        for row in csv.DictReader(path.open()):
            for name, value in row.items():
                if not value or name == "step" or "seconds" in name or "per_second" in name:
                    continue
                assert found.setdefault((row["step"], name), value) == value, name
    return found


def _parts(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.suffix in (".part", ".old", ".tmp")]


def _assert_stopped(done: Ended) -> None:
    """The run ended by SIGTERM, in one line."""
    assert done.returncode == 128 + signal.SIGTERM, done.stderr[-3000:]
    assert done.stderr.count("stopped by SIGTERM; the same command with --ckpt_path=last continues") == 1
    assert "Traceback" not in done.stderr


def _assert_same_end(broken: Path, whole: Path) -> None:
    """Answers, weights, what normalisation and advantages remember, and metrics, bit for bit."""
    assert _answers(broken).equals(_answers(whole))
    ends = [torch.load(out / "run/checkpoints/last.ckpt", weights_only=True) for out in (whole, broken)]
    for name, weight in ends[0]["state_dict"].items():
        assert torch.equal(weight, ends[1]["state_dict"][name]), name
    assert ends[0]["reward"] == ends[1]["reward"]
    assert ends[0]["advantage"] == ends[1]["advantage"]
    assert _metrics(broken) == _metrics(whole)


def test_killed_again_and_again_it_ends_like_one_that_was_left_alone(scene: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = _fit(scene, whole)
    assert done.returncode == 0, done.stderr[-3000:]

    stops: list[dict[str, Any]] = [
        {"moment": "generate", "round_index": 0},  # there is no checkpoint yet
        {"moment": "train", "round_index": 1},
        {"moment": "checkpoint", "round_index": 2},
    ]
    for stop in stops:
        done = _fit(scene, broken, **stop)
        assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    _assert_stopped(_fit(scene, broken, moment="generate", round_index=3, by="SIGTERM"))
    # The last checkpoint is there, but neither the round's numbers in the log nor the export.
    done = _fit(scene, broken, moment="saved", round_index=ROUNDS - 1)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert not (broken / "hf").exists()
    done = _fit(scene, broken)
    assert done.returncode == 0, done.stderr[-3000:]

    _assert_same_end(broken, whole)
    attempts = {shard.step: shard.attempt for shard in map(read_shard, find_shards(broken, "run"))}
    # Rounds 1 and 2 were stored by starts that did not end them: read by the next, not sampled again.
    assert attempts == {0: 0, 1: 0, 2: 1, 3: 2, 4: 2}
    assert len(find_shards(broken, "run")) == ROUNDS
    assert any(name.endswith("/reward_mean") for _, name in _metrics(broken))
    assert (broken / "hf/model.safetensors").read_bytes() == (whole / "hf/model.safetensors").read_bytes()
    # What a killed process was writing is gone.
    assert not _parts(broken)


@pytest.mark.slow
def test_two_processes_end_alike_when_one_is_killed_and_leave_together_when_one_is_told(
    scene: Path, tmp_path: Path
) -> None:
    two = ("--trainer.devices=2", "--trainer.strategy=ddp", "--data.num_workers=0", "--trainer.max_epochs=2")
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def stored(out: Path) -> list[tuple[int, int, int]]:
        return sorted((s.step, s.rank, s.attempt) for s in map(read_shard, find_shards(out, "run")))

    done = _fit(scene, whole, *two, ranks=2)
    assert done.returncode == 0, done.stderr[-3000:]
    done = _fit(scene, broken, *two, ranks=2, moment="train", round_index=0)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert stored(broken) == [(0, 0, 0), (0, 1, 0)]
    # One process is told while the other one waits for it.
    _assert_stopped(_fit(scene, broken, *two, ranks=2, moment="generate", round_index=1, by="SIGTERM"))
    assert stored(broken) == [(0, 0, 0), (0, 1, 0)]
    assert (broken / "run/checkpoints/last.ckpt").is_file()
    done = _fit(scene, broken, *two, ranks=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert stored(broken) == [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)]
    _assert_same_end(broken, whole)
    assert not _parts(broken)
