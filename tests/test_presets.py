"""Presets of policies: what is trained and the rate at which it is go together, whatever was there before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from medgrpo import cli
from medgrpo.compose import compose

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PATHS = [(f"paths.{name}", "x") for name in ("model", "records", "statistics")]


def _composed(*names: str) -> dict[str, Any]:
    return compose([CONFIGS / f"{name}.yaml" for name in names], PATHS)


def _trained(*names: str) -> tuple[bool, float]:
    """Whether adapters are trained, and at which rate."""
    options = _composed(*names)["model"]["init_args"]
    return options["policy"]["init_args"]["lora"] is not None, options["optimizer"]["init_args"]["lr"]


@pytest.mark.parametrize("entry", ["grpo", "sft"])
def test_adapters_and_whole_weights_have_rates_of_their_own(entry: str) -> None:
    rate = {"grpo": 1e-5, "sft": 1e-4}[entry]
    assert _trained(entry) == _trained(entry, f"policy/{entry}_lora") == (True, rate)
    assert _trained(entry, "policy/full") == (False, 5e-7)
    assert _trained(entry, "policy/full", f"policy/{entry}_lora") == (True, rate)


PUBLISHED = {
    "sft": {
        "trainer.max_epochs": 3,
        "model.init_args.optimizer.init_args.lr": 5e-7,
    },
    "grpo": {
        "trainer.max_steps": 5000,
        "model.init_args.optimizer.init_args.lr": 5e-7,
        "model.init_args.group_size": 8,
        "model.init_args.objective.eps_low": 0.2,
        "model.init_args.objective.eps_high": 0.3,
        "model.init_args.objective.kl_weight": 0.0,
        "model.init_args.reward.init_args.normalizer.class_path": "medgrpo.rewards.LogisticNormalizer",
        "model.init_args.reward.init_args.normalizer.init_args.k": 3.0,
        "data.init_args.tasks": ["tal", "stg", "video_summary", "region_caption"],
    }
    | {
        f"model.init_args.reward.init_args.components.{part}.init_args.tasks": {
            "video_summary": 0.5,
            "region_caption": 0.5,
        }
        for part in ("similarity", "judge")
    },
}
"""By stage: what the paper and its project page give."""

BOTH = {
    "data.init_args.sampling.f_min": 0.1,
    "data.init_args.sampling.f_max": 3.0,
    "trainer.devices": 8,
}


@pytest.mark.parametrize("stage", PUBLISHED)
def test_the_papers_numbers(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the config as the trainer's parser has it, whatever the entry's own defaults are."""
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    files = [f"--config={CONFIGS / name}" for name in (f"{stage}.yaml", f"paper/{stage}.yaml")]
    paths = [f"--{name}={value}" for name, value in PATHS if stage == "grpo" or "statistics" not in name]
    try:
        status = cli.main(["fit", *files, *paths, "--print_config"])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 0, captured.err
    config = yaml.safe_load(captured.out)
    for key, value in (PUBLISHED[stage] | BOTH).items():
        found: Any = config
        for part in key.split("."):
            found = found[part]
        assert found == value, key
    text = (CONFIGS / "paper" / f"{stage}.yaml").read_text()
    for key, value in (PUBLISHED[stage] | BOTH).items():  # told here, not left to the entry's defaults
        found = yaml.safe_load(text)
        for part in ("vars", "captions") if ".components." in key else key.split("."):
            found = found[part]
        assert found == value, key
    assert text.count("# ours") >= 6


def test_a_step_of_the_paper_preset_is_a_round_of_all_gpus() -> None:
    config = _composed("grpo", "paper/grpo")
    data, trainer = config["data"]["init_args"], config["trainer"]
    groups = data["prompts_per_round"] / (trainer["devices"] * data["groups_per_batch"])
    assert groups == trainer["accumulate_grad_batches"]


def test_the_demo_keeps_rates_of_its_own() -> None:
    assert _trained("grpo", "demo/grpo") == (False, 1e-4)
    assert _trained("sft", "demo/sft") == (False, 2e-3)
