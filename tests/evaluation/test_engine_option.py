"""``evaluate --engine``: vLLM gives the predictions that the policy's own forward gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from medgrpo.cli import main
from medgrpo.data.synthetic.writer import write_world
from tests.rollout.engines import leave_process_group, uncompiled
from tests.tiny_models import tiny_directory

pytestmark = pytest.mark.vllm

SMALL = {"max_model_len": 2048, "max_num_seqs": 16, "kv_cache_gb": 0.1, "enforce_eager": True}
FAMILY = "configs/model/qwen3_vl.yaml"


def make_talkative(folder: Path) -> None:
    """A tiny Qwen3-VL whose words depend on the frames; as it is made, it repeats one token."""
    from transformers import AutoModelForImageTextToText

    shutil.copytree(tiny_directory("qwen3_vl"), folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)


def predictions(folder: Path, *engine: str) -> list[dict[str, Any]]:
    """What a tiny Qwen3-VL answers, greedily, by the command."""
    saved = folder / "predictions.json"
    arguments = [
        "evaluate",
        "--model",
        str(folder / "model"),
        "--records",
        str(folder / "world" / "train.json"),
    ]
    arguments += [
        "--protocol",
        "strict",
        "--judge",
        "lexicon",
        "--rows-per-pair",
        "1",
        "--max-new-tokens",
        "12",
    ]
    arguments += ["--save-predictions", str(saved), "--out", str(folder / "scores.json")]
    assert main([*arguments, *(word for name in engine for word in ("--engine", name))]) == 0
    return json.loads(saved.read_text())


def test_vllm_answers_as_the_policy_itself(tmp_path: Path) -> None:
    write_world(tmp_path / "world", videos=8, seed=0)
    make_talkative(tmp_path / "model")
    ours = predictions(tmp_path)
    overlay = {"model": {"init_args": {"engine": {"init_args": SMALL}}}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(overlay))
    with uncompiled():
        theirs = predictions(
            tmp_path, "configs/grpo.yaml", FAMILY, "configs/rollout/vllm.yaml", str(tmp_path / "small.yaml")
        )
    leave_process_group()
    assert theirs == ours
    assert len({entry["prediction"] for entry in ours}) > len(ours) // 2
