"""What ``plan`` prints, and what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medgrpo import cli
from medgrpo.compose import compose
from medgrpo.planning import RunSizes, model_shape, update_memory
from medgrpo.planning.work import update, vision
from tests.tiny_models import tiny_directory


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["plan", "--json", *arguments]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_the_defaults_are_those_of_the_grpo_config(capsys: pytest.CaptureFixture[str]) -> None:
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


MODEL_OF_CONFIG = ("--config", "configs/grpo.yaml", "--config", "configs/model/qwen3_vl_4b.yaml")


def test_a_config_names_its_model_and_sizes_and_options_go_over_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = planned(capsys, *MODEL_OF_CONFIG)
    assert (told["model"], told["sizes"]["answer"], told["sizes"]["rank"]) == ("qwen3-vl-4b", 1024, 64)
    over = planned(capsys, *MODEL_OF_CONFIG, "--answer", "256", "--lora-rank", "0", "--gpus", "4")["sizes"]
    assert (over["answer"], over["rank"], over["gpus"]) == (256, None, 4)
    # A directory may hold the same architecture elsewhere; another released model is a mistake.
    directory = str(tiny_directory("qwen3_vl"))
    assert planned(capsys, "--model", directory, *MODEL_OF_CONFIG)["model"] == directory
    assert cli.main(["plan", "--model", "qwen2.5-vl-7b", *MODEL_OF_CONFIG]) == 2
    assert "the configs are those of qwen3-vl-4b" in capsys.readouterr().err


def test_a_config_is_planned_with_its_own_steps(capsys: pytest.CaptureFixture[str]) -> None:
    paper = planned(capsys, "--config", "configs/grpo.yaml", "--config", "configs/paper/grpo.yaml")
    assert (paper["model"], paper["sizes"]["optimizer_steps"]) == ("qwen2.5-vl-7b", 1)
    demo = planned(
        capsys, "--gpus", "1", "--config", "configs/grpo.yaml", "--config", "configs/demo/grpo.yaml"
    )["sizes"]
    assert (demo["prompts"], demo["answer"], demo["frame"], demo["gpus"]) == (48, 96, 8, 1)
    assert demo["optimizer_steps"] == 48 * 2 // 12


def test_machines_are_counted_and_a_servers_share_is_not_the_trainers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ("grpo", "trainer/ddp", "trainer/multi_node", "rollout/vllm_server")
    told = planned(capsys, *(part for name in files for part in ("--config", f"configs/{name}.yaml")))[
        "sizes"
    ]
    assert (told["gpus"], told["vllm_share"]) == (16, RunSizes.vllm_share)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model: {init_args: {policy: {init_args: {freeze_vision: false}}}}", "policy.freeze_vision"),
        ("trainer: {strategy: fsdp}", "no plan for the strategy fsdp"),
        ("data: {init_args: {tasks: [nothing]}}", "nothing"),
    ],
)
def test_a_config_that_no_plan_knows_is_refused(
    text: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "over.yaml").write_text(text)
    files = ("--config", "configs/grpo.yaml", "--config", str(tmp_path / "over.yaml"))
    assert cli.main(["plan", *files]) == 2
    assert named in capsys.readouterr().err


def test_a_config_of_sft_plans_a_step_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    files = ("--config", "configs/sft.yaml", "--config", "configs/paper/sft.yaml")
    told = planned(capsys, *files, "--answer", "100", "--lora-rank", "8", "--strategy", "ddp")
    sizes = told["sizes"]
    tree = compose([files[1], files[3]], [(f"paths.{name}", "unused") for name in ("model", "records")])
    data, trainer = tree["data"]["init_args"], tree["trainer"]
    assert (sizes["group"], sizes["groups_per_batch"]) == (data["rows_per_clip"], data["clips_per_batch"])
    assert (sizes["answer"], sizes["rank"], sizes["gpus"]) == (100, 8, trainer["devices"])
    assert sizes["prompts"] == 8 * data["clips_per_batch"] * trainer["accumulate_grad_batches"]
    # Every question is a row of its own; the clip is encoded once.
    shape, run = model_shape("qwen2.5-vl-7b"), RunSizes(**sizes)
    assert told["flops"]["update"]["total"] == run.prompts * update(shape, run, "rows").total
    assert told["flops"]["vision"]["total"] == run.prompts * vision(shape, run).total
    assert told["memory"]["checkpointing"] == update_memory(shape, run, "rows")
    rate = 8 * told["gpu"]["flops"] * told["gpu"]["utilisation"]
    assert told["seconds"]["update"] == pytest.approx(told["flops"]["update"]["total"] / rate)


def test_tables_of_sft(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", "configs/sft.yaml", "--group", "1", "--answer", "256"]) == 0
    out = capsys.readouterr().out
    for line in ("vision tower", "in a micro-batch of 1 x 1 answers of 256 tokens", "64 clips", "left of 80"):
        assert line in out
    assert "vLLM" not in out


def test_numbers_of_rounds_are_refused_for_sft(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", "configs/sft.yaml", "--max-rows", "8"]) == 2
    assert "--max-rows is of GRPO's rounds" in capsys.readouterr().err


def test_a_config_of_neither_stage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.yaml").write_text(
        "{paths: {run: other}, model: {init_args: {}}, data: {init_args: {}}}"
    )
    assert cli.main(["plan", "--config", str(tmp_path / "other.yaml")]) == 2
    assert "is it one of GRPO or SFT" in capsys.readouterr().err


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
