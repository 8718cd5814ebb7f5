"""The whole journey at its smoke size, by the commands that the README names."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pyarrow.compute as pc

from medgrpo.data.records import read_records
from medgrpo.rewards import Statistics
from medgrpo.rollout import read_rollouts
from medgrpo.rollout.schema import SCHEMA
from tests.integration.conftest import run_medgrpo

Smoke = tuple[Path, subprocess.CompletedProcess[str]]


def test_it_ends_well_and_tells_what_was_made(smoke: Smoke) -> None:
    root, done = smoke
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    tail = done.stdout[done.stdout.index("Greedy answers on the test split") :]
    assert "SFT blind" in tail
    assert "The same by dataset" in tail
    assert "Time of each stage" in tail
    assert f"-m app --runs {root}" in tail
    for place in (
        "sft/hf",
        "grpo/hf",
        "statistics.json",
        "plots",
        "rollouts",
        "evaluation",
        "report.json",
        "report.html",
    ):
        assert str(root / place) in tail
        assert (root / place).exists()


def test_every_pair_has_statistics_and_one_has_no_spread_to_scale(smoke: Smoke) -> None:
    root, _ = smoke
    statistics = Statistics.load(root / "statistics.json")
    pairs = {sample.pair for sample in read_records(root / "world" / "rl.json")}
    assert set(statistics.entries) == pairs
    assert statistics.provenance.temperature == 1.0


def test_every_rollout_is_kept_with_its_numbers(smoke: Smoke) -> None:
    root, _ = smoke
    table = read_rollouts(root)
    assert table.schema.names == SCHEMA.names
    assert len(table) == 2 * 4 * 8  # rounds x prompts x answers
    assert pc.count_distinct(table["group_id"]).as_py() == 8
    assert pc.min(table["step"]).as_py() == 0
    assert pc.max(table["step"]).as_py() == 1


def test_the_exported_models_load_in_plain_transformers(smoke: Smoke) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    root, _ = smoke
    for stage in ("sft", "grpo"):
        directory = root / stage / "hf"
        model = AutoModelForImageTextToText.from_pretrained(directory)
        assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
        assert type(AutoProcessor.from_pretrained(directory)).__name__ == "Qwen2_5_VLProcessor"


def test_clips_in_video_files_are_answered_too(smoke: Smoke) -> None:
    root, _ = smoke
    records = read_records(root / "world" / "test_mp4.json")
    assert all(sample.clip.video is not None for sample in records)
    answers = json.loads((root / "predictions" / "video-files.json").read_text())
    assert len(answers) == len(records)


def test_a_checkpoint_is_exported_by_command_as_the_run_exported_it(smoke: Smoke, tmp_path: Path) -> None:
    from medgrpo.cli import main

    root, _ = smoke
    assert main(["export", str(root / "sft" / "checkpoints" / "last.ckpt"), str(tmp_path / "hf")]) == 0
    weights = "model.safetensors"
    assert (tmp_path / "hf" / weights).read_bytes() == (root / "sft" / "hf" / weights).read_bytes()


def test_started_again_it_reuses_what_is_done(smoke: Smoke) -> None:
    root, first = smoke
    again = run_medgrpo("demo", "--config", "configs/demo/smoke.yaml", "--root", str(root))
    assert again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.count("done before") >= 10
    table = "Greedy answers on the test split"
    cut = slice(None, again.stdout[again.stdout.index(table) :].index("Time of each stage"))
    assert again.stdout[again.stdout.index(table) :][cut] == first.stdout[first.stdout.index(table) :][cut]
