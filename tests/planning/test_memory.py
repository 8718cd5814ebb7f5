"""Bytes against tensors that are really there while the tiny models run."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgrpo.data.packed_batch import GroupLayout
from medgrpo.modules.tiny import Family
from medgrpo.planning import GPUS, RunSizes, generation_memory, model_shape, update_memory
from medgrpo.planning.groups import group_tokens
from medgrpo.planning.memory import (
    answer_kv,
    layer_activations,
    logits_kept,
    model_memory,
    prompt_kv,
    vllm_kv_tokens,
)
from medgrpo.rollout.decoding import prefill
from tests.planning.scene import ANSWER, GROUP, Scene, scene
from tests.tiny_models import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_keys_and_values_are_those_of_a_decoding_state(family: Family, tmp_path: Path) -> None:
    at = scene(family, tmp_path, dtype="bfloat16")
    state = prefill(at.policy, at.encoder, [at.prompt], GROUP, ANSWER)
    assert prompt_kv(at.shape.text, at.sizes) == size_of(state._prompts)
    assert answer_kv(at.shape.text, at.sizes) == size_of(state._answers)
    assert prompt_kv(at.shape.text, at.sizes, copies=GROUP) == GROUP * size_of(state._prompts)


def size_of(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> int:
    return sum(tensor.nbytes for pair in pairs for tensor in pair)


@pytest.mark.parametrize(
    ("family", "layout", "rank"),
    [
        ("qwen2_5_vl", "packed", 4),
        ("qwen2_5_vl", "rows", 4),
        ("qwen2_5_vl", "packed", None),
        ("qwen3_vl", "packed", 4),
    ],
)
def test_activations_are_what_the_backward_pass_keeps(
    family: Family, layout: GroupLayout, rank: int | None, tmp_path: Path
) -> None:
    at = scene(family, tmp_path, rank, dtype="bfloat16")
    kept = saved(at, layout)
    planned = at.shape.text.layers * layer_activations(at.shape.text, at.sizes, layout)
    # The final norm and the masks are in what is counted.
    assert planned + logits_kept(at.shape.text, at.sizes) == pytest.approx(kept, rel=0.06)


@pytest.mark.parametrize(("layout", "rank"), [("packed", 4), ("packed", None), ("rows", 4)])
def test_checkpointing_keeps_the_inputs_of_the_layers(
    layout: GroupLayout, rank: int | None, tmp_path: Path
) -> None:
    at = scene("qwen2_5_vl", tmp_path, rank, dtype="bfloat16", gradient_checkpointing=True)
    tokens, text = group_tokens(at.sizes, layout), at.shape.text
    final_norm = tokens * text.width * (8 if rank is None else 4)  # a trained one keeps its output too
    planned = update_memory(at.shape, at.sizes, layout)["inputs of the layers"]
    expected = planned + final_norm + logits_kept(text, at.sizes)
    assert expected == pytest.approx(saved(at, layout), rel=0.06)


def saved(at: Scene, layout: GroupLayout) -> int:
    """Bytes of the storages that a forward under autocast keeps, weights and their copies left out."""
    batch = at.batch(layout)
    weights = {parameter.untyped_storage().data_ptr() for parameter in at.policy.parameters()}
    shapes = {parameter.shape for parameter in at.policy.parameters() if parameter.ndim == 2}
    copies = shapes | {torch.Size(reversed(shape)) for shape in shapes}
    held: list[weakref.ref[torch.Tensor]] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights and tensor.shape not in copies:
            held.append(weakref.ref(tensor))
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        out = at.policy.logps(batch)
    assert out.requires_grad
    alive = [tensor.untyped_storage() for tensor in (ref() for ref in held) if tensor is not None]
    return sum({storage.data_ptr(): storage.nbytes() for storage in alive}.values())


@pytest.mark.parametrize("rank", [4, None])
def test_weights_gradients_and_optimizer_are_those_of_a_step(rank: int | None, tmp_path: Path) -> None:
    at = scene("qwen2_5_vl", tmp_path, rank, dtype="bfloat16")
    trained = [parameter for parameter in at.policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    at.policy.logps(at.batch("packed")).sum().backward()
    optimizer.step()
    held = model_memory(at.shape, at.sizes)
    frozen = [parameter.nbytes for parameter in at.policy.parameters() if not parameter.requires_grad]
    assert held["frozen weights, bfloat16"] == sum(frozen)
    assert held["trained weights, float32"] == sum(parameter.nbytes for parameter in trained)
    assert held["gradients, float32"] == sum(p.grad.nbytes for p in trained if p.grad is not None)
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    assert held["AdamW, float32"] == sum(tensor.nbytes for tensor in moments)


def test_what_a_strategy_shards() -> None:
    shape = model_shape("qwen2.5-vl-7b")
    whole, zero2, fsdp2 = (
        model_memory(shape, RunSizes(rank=None, strategy=name)) for name in ("ddp", "zero2", "fsdp2")
    )
    assert zero2["AdamW, float32"] * 8 == whole["AdamW, float32"]
    assert zero2["trained weights, float32"] == whole["trained weights, float32"]
    assert fsdp2["trained weights, float32"] * 8 == whole["trained weights, float32"]
    # 7.6 billion parameters with sixteen bytes each fit no GPU of 80 GB, whole.
    assert sum(whole.values()) > 80e9 > sum(fsdp2.values())


def test_the_packed_layout_is_what_fits() -> None:
    shape, sizes = model_shape("qwen2.5-vl-7b"), RunSizes()
    packed, rows = (sum(update_memory(shape, sizes, layout).values()) for layout in ("packed", "rows"))
    kept = sum(update_memory(shape, sizes, "packed", checkpointing=False).values())
    assert packed < rows < GPUS["h100"].memory < kept
    held = generation_memory(shape, sizes)
    assert "gradients, float32" not in held
    assert held["keys and values of prompts, once"] == 6 * 8448 * 57344


def test_vllm_has_what_its_copy_of_the_weights_leaves() -> None:
    shape, sizes = model_shape("qwen2.5-vl-7b"), RunSizes()
    fits = vllm_kv_tokens(shape, sizes, GPUS["h100"])
    assert fits == (0.4 * 80e9 - 16_584_333_312) / 57344
    assert vllm_kv_tokens(shape, replace(sizes, vllm_share=0.1), GPUS["h100"]) < 0
