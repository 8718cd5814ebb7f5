"""The tower with its windows in batches against transformers' own, chunk after chunk."""

from __future__ import annotations

import copy
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForImageTextToText

from medgrpo.modules import vision_attention
from medgrpo.modules.tiny import Family
from medgrpo.modules.vision_attention import chunked_attention, use_batched_windows
from tests.tiny_models import FAMILIES, tiny_directory, tiny_policy

Grid = tuple[int, int, int]

# Frames, height and width in patches: windows are 8 x 8 patches, smaller at the border.
GRIDS: dict[str, list[Grid]] = {
    "one window": [(1, 8, 8)],
    "smaller than a window": [(3, 4, 2)],
    "whole windows": [(2, 16, 8)],
    "ragged windows": [(3, 12, 18)],
    "clips of several sizes": [(2, 12, 10), (4, 4, 4), (1, 20, 12), (3, 12, 10)],
}


@cache
def towers(family: Family) -> tuple[Any, Any]:
    """Ours, as the policy loads it, and transformers'."""
    policy, _ = tiny_policy(family)
    theirs = AutoModelForImageTextToText.from_pretrained(tiny_directory(family)).model.visual
    return policy.qwen.model.visual, theirs.train()


def outputs(tower: Any, grids: list[Grid]) -> list[torch.Tensor]:
    """Features (those of DeepStack too) of patches of noise, and the gradients of all weights."""
    tower.zero_grad()
    grid = torch.tensor(grids)
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(
        int(grid.prod(1).sum()), tower.patch_embed.proj.weight[0].numel(), generator=generator
    )
    out = tower(patches, grid_thw=grid)
    features = [out.pooler_output, *(getattr(out, "deepstack_features", None) or [])]
    loss = sum((f.float() * torch.linspace(-1, 1, f.numel()).view_as(f)).sum() for f in features)
    loss.backward()  # type: ignore[union-attr]
    return [f.detach() for f in features] + [p.grad.clone() for p in tower.parameters()]


def assert_same(family: Family, grids: list[Grid], within: float = 5e-5) -> None:
    ours, theirs = (outputs(tower, grids) for tower in towers(family))
    for found, expected in zip(ours, theirs, strict=True):
        error = (found - expected).abs().max() / expected.abs().max().clamp(min=1e-3)
        assert error < within


@pytest.mark.parametrize("grids", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_features_and_gradients_are_those_of_transformers(family: Family, grids: list[Grid]) -> None:
    assert_same(family, grids)


sides = st.integers(1, 9).map(lambda half: 2 * half)
clips = st.lists(st.tuples(st.integers(1, 3), sides, sides), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(grids=clips)
@pytest.mark.parametrize("family", FAMILIES)
def test_so_they_are_for_any_clips(family: Family, grids: list[Grid]) -> None:
    assert_same(family, grids)


@pytest.mark.parametrize("family", FAMILIES)
def test_so_they_are_under_autocast_and_with_checkpointing(family: Family) -> None:
    grids = GRIDS["clips of several sizes"]
    ours, _ = towers(family)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(family, grids, within=2e-2)
    plain = outputs(ours, grids)
    checkpointed = copy.deepcopy(ours)
    for block in checkpointed.blocks:
        block.gradient_checkpointing = True
        block._gradient_checkpointing_func = lambda run, *args: torch.utils.checkpoint.checkpoint(
            run, *args, use_reentrant=False
        )
    calls = _count(checkpointed.blocks[0].attn)
    recomputed = outputs(checkpointed, grids)
    assert len(calls) == 2
    assert all(torch.equal(*pair) for pair in zip(plain, recomputed, strict=True))


def _count(module: torch.nn.Module) -> list[bool]:
    calls: list[bool] = []
    module.register_forward_hook(lambda *_: calls.append(True))
    return calls


@pytest.mark.parametrize(("family", "kernels"), [("qwen2_5_vl", 4 + 1), ("qwen3_vl", 2)])
def test_one_call_a_length_and_bounds_are_read_once(
    family: Family, kernels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[torch.Size] = []

    def kernel(query: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        calls.append(query.shape)
        return scaled_dot_product_attention(query, *args, **options)

    monkeypatch.setattr(vision_attention, "scaled_dot_product_attention", kernel)
    read = vision_attention._layout.cache_info().misses
    tower = towers(family)[0]
    outputs(tower, [(6, 12, 18)])
    # Twelve by eighteen patches are windows of 8 or 4 by 8 or 2; Qwen3-VL attends to frames alone.
    assert len(calls) == kernels
    windows = {(12, 64), (6, 16), (12, 32), (6, 8)} if family == "qwen2_5_vl" else set()
    assert {(shape[0], shape[2]) for shape in calls} == windows | {(6, 216)}
    kinds = 2 if family == "qwen2_5_vl" else 1
    assert vision_attention._layout.cache_info().misses == read + kinds


@pytest.mark.parametrize("lengths", [[3, 1, 3, 2, 1], [4, 4], [5], [1, 2, 2], [2, 2, 1]])
def test_chunks_are_blocks_of_one_mask(lengths: list[int]) -> None:
    chunk = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    generator = torch.Generator().manual_seed(0)
    rows = [
        torch.randn(sum(lengths), 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(3)
    ]
    bounds = torch.tensor([0, *lengths]).cumsum(0)

    def ours(*tensors: torch.Tensor) -> torch.Tensor:
        return chunked_attention(*tensors, bounds, scale=0.7)

    q, k, v = (tensor.transpose(0, 1) for tensor in rows)
    scores = (0.7 * q @ k.transpose(1, 2)).masked_fill(chunk[:, None] != chunk, -torch.inf)
    torch.testing.assert_close(ours(*rows), (scores.softmax(-1) @ v).transpose(0, 1))
    assert torch.autograd.gradcheck(ours, rows)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flash_attention_3", "eager"])
def test_other_attention_stays_as_it_is(attention: str) -> None:
    config = SimpleNamespace(_attn_implementation=attention)
    use_batched_windows(SimpleNamespace(model=SimpleNamespace(visual=SimpleNamespace(config=config))))
    assert config._attn_implementation == attention


def test_a_saved_model_does_not_name_it() -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    assert policy.qwen.config.vision_config._attn_implementation.startswith("medgrpo_")
    assert "medgrpo" not in policy.qwen.config.to_json_string()
