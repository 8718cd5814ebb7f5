"""The configs of the released models against their real classes, built without memory."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.compose import compose, variables
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.planning import GPUS, PRESETS, RunSizes, model_shape
from medgrpo.planning.config_sizes import sft_sizes_of_config, sizes_of_config
from medgrpo.planning.memory import model_memory
from medgrpo.planning.report import plan
from medgrpo.planning.sft_report import plan_sft

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GIVEN = [(f"paths.{name}", "unused") for name in ("model", "records", "statistics")]
MODELS = {"qwen2_5_vl_3b": "qwen2.5-vl-3b", "qwen2_5_vl_7b": "qwen2.5-vl-7b", "qwen3_vl_4b": "qwen3-vl-4b"}
LINEARS = (
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)
RUNS = {
    "LoRA": ("policy/grpo_lora", "trainer/ddp"),
    "LoRA, vLLM": ("policy/grpo_lora", "trainer/ddp", "rollout/vllm"),
    "QLoRA": ("policy/grpo_lora", "policy/qlora", "trainer/ddp"),
    "full, vLLM": ("policy/full", "trainer/fsdp2", "rollout/vllm"),
    "paper": ("paper/grpo", "rollout/vllm"),
}
SPARE = 0.1
"""Share of a GPU's memory that a plan leaves for what it does not count (docs/scale.md)."""


def files(*names: str) -> list[Path]:
    return [CONFIGS / f"{name}.yaml" for name in names]


def composed(entry: str, model: str, *overlays: str) -> dict[str, Any]:
    return compose(files(entry, f"model/{model}", *overlays), GIVEN)


@cache
def policy_of(model: str, entry: str, overlay: str) -> QwenVLPolicy:
    """The policy of a config, on the meta device."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    options = composed(entry, model, overlay)["model"]["init_args"]["policy"]["init_args"]
    lora = options.pop("lora")
    policy = QwenVLPolicy(**options, lora=None if lora is None else LoRA(**lora))
    values = copy.deepcopy(PRESETS[MODELS[model]])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        policy.adopt(AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, policy.dtype_name)))
    return policy


def elements(policy: QwenVLPolicy, *, trained: bool) -> int:
    return sum(p.numel() for p in policy.parameters() if p.requires_grad == trained)


def test_a_config_for_every_architecture_and_no_other() -> None:
    given = [*GIVEN, ("paths.run", "unused")]
    told = {path.stem: variables([path], given).get("model") for path in (CONFIGS / "model").glob("*.yaml")}
    assert {name: model for name, model in told.items() if model is not None} == MODELS
    assert set(MODELS.values()) == set(PRESETS)


@pytest.mark.parametrize("entry", ["sft", "grpo"])
@pytest.mark.parametrize("model", MODELS)
def test_frames_have_the_sizes_and_times_of_the_architecture(model: str, entry: str) -> None:
    sampling = composed(entry, model)["data"]["init_args"]["sampling"]
    architecture = PRESETS[MODELS[model]]
    vision = architecture["vision_config"]
    assert sampling["factor"] == vision["patch_size"] * vision["spatial_merge_size"]
    # Where positions do not tell times (no tokens_per_second), text does.
    assert sampling["timestamps"] == ("regular" if "tokens_per_second" in vision else "text")


@pytest.mark.parametrize("overlay", ["sft_lora", "grpo_lora"])
@pytest.mark.parametrize("model", MODELS)
def test_adapters_find_every_linear_map_of_the_language_model(model: str, overlay: str) -> None:
    policy = policy_of(model, overlay.partition("_")[0], f"policy/{overlay}")
    adapted = {
        match[1]
        for name, _ in policy.named_parameters()
        if (match := re.search(r"language_model\.layers\.(.*)\.lora_A\.", name))
    }
    layers = PRESETS[MODELS[model]]["text_config"]["num_hidden_layers"]
    assert adapted == {f"{layer}.{linear}" for layer in range(layers) for linear in LINEARS}
    assert all("language_model" in name for name, p in policy.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("overlay", ["grpo_lora", "full"])
@pytest.mark.parametrize("model", MODELS)
def test_the_plan_counts_what_the_policy_of_the_config_holds(model: str, overlay: str) -> None:
    tree = composed("grpo", model, f"policy/{overlay}")
    policy, sizes = policy_of(model, "grpo", f"policy/{overlay}"), sizes_of_config(tree, {"gpus": 1})
    held = model_memory(model_shape(MODELS[model]), sizes)
    assert held["trained weights, float32"] == 4 * elements(policy, trained=True)
    assert held["frozen weights, bfloat16"] == 2 * elements(policy, trained=False)
    dtypes = {p.requires_grad: p.dtype for p in policy.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}


def needed(found: dict[str, Any], sizes: RunSizes, vllm: bool) -> dict[str, float]:
    """Bytes of a GPU by phase: vLLM keeps its share during the update."""
    memory = found["memory"]
    update = sum(memory["update"]["packed"]["checkpointing"].values())
    if vllm:
        return {"update": update + memory["vllm"]["share"]}
    return {"update": update, "generation": sum(memory["generation"].values())}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("model", MODELS)
def test_every_run_fits_eight_gpus_of_80_gb(model: str, run: str) -> None:
    tree, gpu, vllm = composed("grpo", model, *RUNS[run]), GPUS["h100"], "rollout/vllm" in RUNS[run]
    sizes = sizes_of_config(tree, {})
    assert (sizes.gpus, sizes.answer, sizes.optimizer_steps) == (8, 1024, 1)  # STG's answers are the longest
    found = plan(model_shape(MODELS[model]), sizes, gpu)
    for phase, size in needed(found, sizes, vllm).items():
        assert size <= (1 - SPARE) * gpu.memory, phase
    if vllm:  # all prompts of a round at once, and room for them in vLLM's context
        assert found["memory"]["vllm"]["kv_tokens"] >= found["memory"]["vllm"]["needed_tokens"]
        engine = tree["model"]["init_args"]["engine"]["init_args"]
        assert sizes.vllm_share == engine["gpu_memory_utilization"]
        assert sizes.prompt + sizes.answer <= engine["max_model_len"]


@pytest.mark.parametrize("model", MODELS)
def test_one_more_group_of_all_weights_would_not_fit(model: str) -> None:
    tree = composed("grpo", model, *RUNS["full, vLLM"])
    more = sizes_of_config(tree, {"groups_per_batch": sizes_of_config(tree, {}).groups_per_batch + 1})
    found = plan(model_shape(MODELS[model]), more, GPUS["h100"])
    assert needed(found, more, True)["update"] > (1 - SPARE) * GPUS["h100"].memory


SFT_RUNS = {
    "LoRA": ("policy/sft_lora", "trainer/ddp"),
    "QLoRA": ("policy/sft_lora", "policy/qlora", "trainer/ddp"),
    "full": ("policy/full", "trainer/fsdp2"),
    "paper": ("paper/sft",),
}


@pytest.mark.parametrize("run", SFT_RUNS)
@pytest.mark.parametrize("model", MODELS)
def test_every_run_of_sft_fits_eight_gpus_of_80_gb(model: str, run: str) -> None:
    tree, gpu = composed("sft", model, *SFT_RUNS[run]), GPUS["h100"]
    sizes = sft_sizes_of_config(tree, {})
    assert (sizes.gpus, sizes.group, sizes.groups_per_batch) == (8, 3, 1)
    assert sizes.answer == 2048  # an answer of dense captioning may be the longest
    assert sizes.prompts == 8 * 1 * tree["trainer"]["accumulate_grad_batches"]
    assert tree["model"]["init_args"]["policy"]["init_args"]["gradient_checkpointing"]
    held = plan_sft(model_shape(MODELS[model]), sizes, gpu)["memory"]
    assert sum(held["checkpointing"].values()) <= (1 - SPARE) * gpu.memory < sum(held["kept"].values())
