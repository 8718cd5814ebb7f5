"""Counts of parameters against the real classes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.modules.policy import LoRA
from medgrpo.modules.tiny import Family
from medgrpo.planning import PRESETS, lora_parameters, model_shape, parameters, shape_of, trainable_parameters
from tests.tiny_models import FAMILIES, tiny_directory, tiny_policy


def built(config: dict[str, Any]) -> Any:
    """The real model, without memory for its weights."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    values = copy.deepcopy({name: value for name, value in config.items() if name != "model_type"})
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.for_model(config["model_type"], **values))


def by_part(model: Any) -> dict[str, int]:
    """Parameters of a built model by the names of its modules."""
    counts = dict.fromkeys(("vision tower", "projector", "embedding", "language layers", "head"), 0)
    for name, parameter in model.named_parameters():
        if "merger" in name:
            part = "projector"
        elif ".visual." in name:
            part = "vision tower"
        elif "embed_tokens" in name:
            part = "embedding"
        else:
            part = "head" if name.startswith("lm_head") else "language layers"
        counts[part] += parameter.numel()
    return counts


@pytest.mark.parametrize("name", PRESETS)
def test_parts_of_the_released_models_are_those_of_their_classes(name: str) -> None:
    assert parameters(model_shape(name)) == by_part(built(PRESETS[name]))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("qwen2.5-vl-7b", 16_584_333_312),
        ("qwen2.5-vl-3b", 7_509_245_952),
        ("qwen3-vl-4b", 8_875_631_616),
    ],
)
def test_presets_are_as_large_as_the_released_checkpoints(name: str, size: int) -> None:
    # What the index of the released bfloat16 weights says (total_size).
    assert 2 * sum(parameters(model_shape(name)).values()) == size


def test_the_vision_part_of_the_four_billion_is_that_of_the_checkpoint() -> None:
    # Bytes of the 315 tensors below model.visual in the released shards.
    parts = parameters(model_shape("qwen3-vl-4b"))
    assert 2 * (parts["vision tower"] + parts["projector"]) == 830_695_424


@pytest.mark.parametrize("family", FAMILIES)
def test_a_directory_is_read(family: Family) -> None:
    policy, _ = tiny_policy(family)
    assert parameters(model_shape(str(tiny_directory(family)))) == by_part(policy.qwen)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rank", [4, None])
def test_what_is_trained_is_what_the_policy_trains(family: Family, rank: int | None) -> None:
    from medgrpo.modules.policy import QwenVLPolicy

    lora = None if rank is None else LoRA(rank=rank)
    policy = QwenVLPolicy(str(tiny_directory(family)), lora=lora, freeze_vision=True)
    policy.setup()
    trained = sum(parameter.numel() for parameter in policy.parameters() if parameter.requires_grad)
    shape = model_shape(str(tiny_directory(family)))
    assert trainable_parameters(shape, rank) == trained
    if rank is not None:
        assert lora_parameters(shape.text, rank) == trained


def test_numbers_beside_the_vision_config_are_read_too() -> None:
    nested = PRESETS["qwen2.5-vl-7b"]
    flat = nested["text_config"] | {name: nested[name] for name in nested if name != "text_config"}
    assert shape_of(flat, "7b") == shape_of(nested, "7b")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"text_config": {"hidden_size": 8}}, "num_attention_heads"),
        ({"vision_config": {}}, "patch_size"),
        ({"vision_config": None}, "patch_size"),
    ],
)
def test_a_config_that_lacks_something_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        shape_of(PRESETS["qwen2.5-vl-7b"] | change, "model")
