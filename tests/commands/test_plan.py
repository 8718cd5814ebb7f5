"""What ``plan`` prints, and what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medgrpo import cli
from medgrpo.planning import RunSizes
from tests.tiny_models import tiny_directory


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["plan", "--json", *arguments]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_the_defaults_are_those_of_the_grpo_config(capsys: pytest.CaptureFixture[str]) -> None:
    from medgrpo.compose import compose

    unused = ("model", "records", "statistics")
    config = compose(["configs/grpo.yaml"], [(f"paths.{name}", "unused") for name in unused])
    model, data, sizes = config["model"]["init_args"], config["data"]["init_args"], RunSizes()
    assert sizes.prompts == data["prompts_per_round"]
    assert sizes.groups_per_batch == data["groups_per_batch"]
    assert (sizes.visual, sizes.frame) == (
        data["sampling"]["max_tokens"],
        data["sampling"]["frame_max_tokens"],
    )
    assert sizes.group == model["group_size"]
    assert sizes.rank == model["policy"]["init_args"]["lora"]["rank"]
    assert sizes.max_rows == model["engine"]["init_args"]["max_rows"]
    assert planned(capsys)["sizes"]["strategy"] == "ddp"


MODELS = {"qwen2.5-vl-7b": "qwen2_5_vl", "qwen2.5-vl-3b": "qwen2_5_vl", "qwen3-vl-4b": "qwen3_vl"}
TRAINED = {
    "LoRA": ["policy/grpo_lora", "trainer/ddp"],
    "full": ["policy/full", "trainer/fsdp2", "rollout/vllm"],
    "paper": ["paper/grpo", "rollout/vllm"],
    "QLoRA": ["policy/grpo_lora", "policy/qlora", "trainer/ddp"],
}


@pytest.mark.parametrize("trained", TRAINED)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_fits_eight_gpus_with_the_sizes_of_its_configs(
    model: str, trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["grpo", f"model/{MODELS[model]}", *TRAINED[trained]]
    options = [part for name in files for part in ("--config", f"configs/{name}.yaml")]
    told = planned(capsys, "--model", model, "--answer", "512", *options)
    assert told["sizes"]["gpus"] == 8
    assert told["sizes"]["strategy"] == ("ddp" if "LoRA" in trained else "fsdp2")
    assert told["sizes"]["rank"] == (64 if "LoRA" in trained else None)
    assert told["sizes"]["quantize"] == ("nf4" if trained == "QLoRA" else None)
    update = told["memory"]["update"]["packed"]["checkpointing"]
    assert sum(update.values()) < 0.9 * told["gpu"]["memory"]  # a tenth is left for what is not counted


def test_a_config_is_planned_with_its_own_steps(capsys: pytest.CaptureFixture[str]) -> None:
    paper = planned(capsys, "--config", "configs/grpo.yaml", "--config", "configs/paper/grpo.yaml")
    assert paper["sizes"]["optimizer_steps"] == 1
    demo = planned(
        capsys, "--gpus", "1", "--config", "configs/grpo.yaml", "--config", "configs/demo/grpo.yaml"
    )["sizes"]
    assert (demo["prompts"], demo["answer"], demo["frame"], demo["gpus"]) == (48, 96, 8, 1)
    assert demo["optimizer_steps"] == 48 * 2 // 12
    assert cli.main(["plan", "--config", "configs/sft.yaml"]) == 2
    assert "is it a GRPO config" in capsys.readouterr().err


def test_half_the_rate_takes_twice_the_time_but_where_memory_bounds_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fast = planned(capsys, "--utilisation", "0.4")["seconds"]["packed"]
    slow = planned(capsys, "--utilisation", "0.2")["seconds"]["packed"]
    assert slow["update"]["seconds"] == pytest.approx(2 * fast["update"]["seconds"])
    assert slow["decode"]["seconds"] == fast["decode"]["seconds"] == fast["decode"]["traffic"]
    wider = planned(capsys, "--utilisation", "0.4", "--bandwidth", "6.7")["seconds"]["packed"]
    assert wider["decode"]["traffic"] == pytest.approx(fast["decode"]["traffic"] / 2)


@pytest.mark.parametrize("options", [["--markdown"], ["--lora-rank", "0", "--strategy", "fsdp2"], []])
def test_tables_of_a_directory(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(tiny_directory("qwen3_vl"))
    assert cli.main(["plan", "--model", directory, "--optimizer-steps", "2", *options]) == 0
    out = capsys.readouterr().out
    for line in ("vision tower", "one layer, recomputed", "keys and values of prompts, once", "decode"):
        assert line in out
    assert out.count("### ") == (7 if "--markdown" in options else 0)


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--markdown"]) == 0
    assert capsys.readouterr().out.strip() in Path("docs/scale.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--model", "nowhere"], "nowhere is neither of qwen2.5-vl-7b"),
        (["--prompts", "50"], "50 prompts do not divide among 8 GPUs"),
        (["--group", "1"], "group must be at least 2"),
        (["--answer", "0"], "answer must be at least 1, got 0"),
        (["--lora-rank", "-1"], "rank must be at least 1, got -1"),
        (["--utilisation", "1.5"], "utilisation must be above 0 and at most 1, got 1.5"),
        (["--memory", "0"], "memory of a GPU must be above 0"),
        (["--vllm-share", "2"], "vllm share must be between 0 and 1"),
        (["--gpus", "many"], "--gpus"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert named in lines[0]


@pytest.mark.parametrize(("text", "named"), [("{", "is not JSON"), ("[]", "holds no mapping")])
def test_a_broken_config_is_named(
    text: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(text)
    assert cli.main(["plan", "--model", str(tmp_path)]) == 2
    assert named in capsys.readouterr().err
