"""The whole path on the other family: Qwen3-VL, with DeepStack and times that are told as text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from medgrpo.rollout.store import read_rollouts
from tests.integration.conftest import run_medgrpo
from tests.tiny_models import tiny_directory

FAMILY = ("--config", "configs/model/qwen3_vl.yaml")
SMALL = ("--data.init_args.sampling.max_frames=8", "--data.init_args.num_workers=0")


def done(*arguments: str) -> None:
    ended = run_medgrpo(*arguments)
    assert ended.returncode == 0, f"{arguments[0]}\n{ended.stdout[-1500:]}\n{ended.stderr[-1500:]}"


@pytest.mark.slow
def test_sft_statistics_grpo_evaluation_and_export(tmp_path: Path) -> None:
    world, sft, grpo = tmp_path / "world", tmp_path / "sft" / "hf", tmp_path / "grpo" / "hf"
    statistics, scores = tmp_path / "statistics.json", tmp_path / "scores.json"
    done("synthesize", str(world), "--videos", "24")
    done(
        *("fit", "--config", "configs/sft.yaml", "--config", "configs/demo/sft.yaml", *FAMILY, *SMALL),
        *(f"--paths.model={tiny_directory('qwen3_vl')}", f"--paths.records={world / 'train.json'}"),
        *(f"--paths.root={tmp_path}", "--trainer.max_steps=2", "--data.init_args.clips_per_batch=2"),
    )
    assert json.loads((sft / "config.json").read_text())["model_type"] == "qwen3_vl"
    done(
        *("baseline", "--config", "configs/grpo.yaml", "--model", str(sft), "--samples", "2"),
        *("--records", str(world / "rl.json"), "--out", str(statistics)),
        *("--prompts-per-pair", "1", "--max-new-tokens", "8"),
    )
    done(
        *("fit", "--config", "configs/grpo.yaml", "--config", "configs/demo/grpo.yaml", *FAMILY, *SMALL),
        *(f"--paths.model={sft}", f"--paths.records={world / 'rl.json'}", f"--paths.root={tmp_path}"),
        *(f"--paths.statistics={statistics}", "--trainer.max_epochs=1", "--model.init_args.replay_weight=0"),
        *("--data.init_args.prompts_per_round=4", "--model.init_args.max_new_tokens=8"),
    )
    rows = read_rollouts(tmp_path).to_pylist()
    assert len(rows) == 4 * 8
    tokenizer = AutoTokenizer.from_pretrained(sft)
    # Times stand in the prompt, before the tokens of their frames.
    assert all(re.search(r"<\d+\.\d seconds>", tokenizer.decode(row["prompt_ids"])) for row in rows)
    done(
        *("evaluate", "--model", str(grpo), "--records", str(world / "test.json"), "--protocol", "strict"),
        *("--rows-per-pair", "1", "--max-new-tokens", "8", "--out", str(scores)),
    )
    assert json.loads(scores.read_text())["counts"]["records"] > 0
    done("export", str(tmp_path / "grpo" / "checkpoints" / "last.ckpt"), str(tmp_path / "exported"))
    exported = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert exported["model_type"] == "qwen3_vl"
    assert exported["vision_config"]["deepstack_visual_indexes"]
