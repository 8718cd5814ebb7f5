"""Packed groups against the naive batch, which holds the prompt with every answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.encode import EncodedPrompt, Encoder
from medgrpo.data.packed_batch import AnswerBatch, GroupLengths, PackedBatch, pack_groups
from medgrpo.errors import UserError
from medgrpo.modules.flex_groups import flex_grouped_attention
from medgrpo.modules.policy import LoRA, QwenVLPolicy
from medgrpo.modules.shared_prefix import grouped_attention
from medgrpo.modules.tiny import Family, tiny_sampling
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_directory, tiny_policy

ANSWERS = [[[7], [40, 41, 42, 43, 44, 45, 46, 47, 48], [50, 51]], [[60, 61, 62], [63], [64, 65, 66, 67]]]


def two_prompts(encoder: Encoder, folder: Path) -> list[EncodedPrompt]:
    long = frame_list_sample(folder, row=0, frames=12, question="Which instrument retracts?")
    return [encoder.prompt(long), encoder.prompt(frame_list_sample(folder, row=1, frames=4, fps=0.5))]


def rows(encoder: Encoder, prompts: list[EncodedPrompt], answers: list[Any]) -> AnswerBatch:
    repeated = [prompt for prompt, group in zip(prompts, answers, strict=True) for _ in group]
    return encoder.collate(repeated, [answer for group in answers for answer in group])


def outcome(policy: QwenVLPolicy, batch: AnswerBatch) -> dict[str, torch.Tensor]:
    """Log-probabilities, entropies and the gradient of an uneven sum of both."""
    policy.zero_grad()
    logps, entropy = policy.logps_and_entropy(batch, 0.7, entropy_gradient=True)
    values = logps[batch.completion_mask]
    (torch.linspace(-1, 1, len(values)) * (values + 0.1 * entropy[batch.completion_mask])).sum().backward()
    found = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    return {"logps": values.detach(), "entropy": entropy[batch.completion_mask].detach(), **found}


def assert_same(packed: dict[str, torch.Tensor], naive: dict[str, torch.Tensor]) -> None:
    assert packed.keys() == naive.keys()
    for name, expected in naive.items():
        if name in ("logps", "entropy"):
            torch.testing.assert_close(packed[name], expected, atol=5e-6, rtol=0, msg=name)
        else:
            assert float((packed[name] - expected).norm()) <= 1e-5 * float(expected.norm()) + 1e-9, name


VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "frozen vision": {"freeze_vision": True},
    "LoRA": {"lora": LoRA(rank=4, alpha=8.0)},
    "LoRA, frozen vision": {"lora": LoRA(rank=4, alpha=8.0), "freeze_vision": True},
    "checkpointing": {"gradient_checkpointing": True},
    "LoRA, checkpointing": {"lora": LoRA(rank=4, alpha=8.0), "gradient_checkpointing": True},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_those_of_the_naive_batch(family: Family, variant: str, tmp_path: Path) -> None:
    policy = QwenVLPolicy(str(tiny_directory(family)), **VARIANTS[variant])
    policy.setup()
    if policy.lora is not None:  # adapters start at zero, where their gradients are half zero too
        torch.manual_seed(0)
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    encoder = policy.encoder(tiny_sampling(family))
    prompts = two_prompts(encoder, tmp_path)
    packed = pack_groups(encoder, prompts, ANSWERS)
    assert packed.input_ids.shape == (1, sum(len(p.ids) for p in prompts) + packed.completion_tokens)
    found = outcome(policy, packed)
    assert_same(found, outcome(policy, rows(encoder, prompts, ANSWERS)))
    assert any("visual" in name for name in found) == (not policy.freeze_vision)


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_do_not_see_each_other_and_answers_neither(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    policy.eval()
    prompts = two_prompts(encoder, tmp_path)
    changed = [[[7], [99] * 9, [50, 51]], [[20, 21], [63], [9]]]
    with torch.no_grad():
        before = policy.logps(pack_groups(encoder, prompts, ANSWERS))
        after = policy.logps(pack_groups(encoder, prompts, changed))
    for row, length in ((0, 1), (2, 2), (4, 1)):
        assert torch.allclose(before[row, :length], after[row, :length], atol=1e-6)


def test_groups_of_one_clip_encode_it_once(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    sample = frame_list_sample(tmp_path)
    clip = encoder.prompt(sample).clip
    prompts = [encoder.assemble(sample, clip) for _ in range(3)]
    packed = pack_groups(encoder, prompts, [[[50, 60]], [[70]], [[80]]])
    assert len(packed.video_grid_thw) == 1
    assert_same(
        outcome(policy, packed), outcome(policy, rows(encoder, prompts, [[[50, 60]], [[70]], [[80]]]))
    )


def test_what_was_scored_first_is_trained_on(tmp_path: Path) -> None:
    policy, encoder = tiny_policy("qwen2_5_vl")
    # Lengths that no other test has: what is kept of them must not be bound to inference.
    packed = pack_groups(encoder, two_prompts(encoder, tmp_path)[:1], [[[7] * 11, [8] * 5]])
    with torch.inference_mode():
        policy.logps(packed)
    policy.logps(packed).sum().backward()


@pytest.mark.parametrize("kernel", [grouped_attention, flex_grouped_attention])
@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(
        st.tuples(st.integers(1, 9), st.lists(st.integers(1, 7), min_size=1, max_size=5)),
        min_size=1,
        max_size=4,
    ),
    heads=st.sampled_from([(2, 1), (4, 2), (3, 3)]),
)
def test_attention_is_that_of_the_written_out_mask(
    kernel: Any, shape: list[tuple[int, list[int]]], heads: tuple[int, int]
) -> None:
    groups = [GroupLengths(prompt, tuple(answers)) for prompt, answers in shape]
    total = sum(group.total for group in groups)
    torch.manual_seed(total)
    query = torch.randn(1, heads[0], total, 8, dtype=torch.float64, requires_grad=True)
    key = torch.randn(1, heads[1], total, 8, dtype=torch.float64, requires_grad=True)
    value = torch.randn(1, heads[1], total, 8, dtype=torch.float64, requires_grad=True)
    mask = torch.zeros(total, total, dtype=torch.bool)
    start = 0
    for group in groups:
        first = start + group.prompt
        mask[start:first, start:first] = torch.ones(group.prompt, group.prompt).tril().bool()
        for length in group.answers:
            mask[first : first + length, start : start + group.prompt] = True
            mask[first : first + length, first : first + length] = torch.ones(length, length).tril().bool()
            first += length
        start = first
    repeats = heads[0] // heads[1]
    scores = query @ key.repeat_interleave(repeats, 1).mT * 0.4
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    expected = (weights @ value.repeat_interleave(repeats, 1)).transpose(1, 2)
    with pytest.MonkeyPatch.context() as patch:
        # FlexAttention computes gradients on the CPU too, but does not say so.
        patch.setattr("torch.nn.attention.flex_attention._validate_device", lambda *_: None)
        ours = kernel(query, key, value, groups, scale=0.4)
    torch.testing.assert_close(ours, expected)
    upstream = torch.randn_like(expected)
    inputs = (query, key, value)
    for mine, theirs in zip(
        torch.autograd.grad(ours, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_flex_says_the_same_of_a_policy(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    flex = QwenVLPolicy(str(tiny_directory(family)), group_attention="flex")
    flex.setup()
    batch = pack_groups(encoder, two_prompts(encoder, tmp_path), ANSWERS)
    with torch.no_grad():
        torch.testing.assert_close(flex.logps(batch), policy.logps(batch), atol=5e-6, rtol=0)
    with pytest.raises(UserError, match=r"group_attention: flex cannot be used here.*backward on CPU"):
        flex.logps(batch)
    with pytest.raises(ValueError, match=r"group_attention: flex has no dropout"):
        flex_grouped_attention(*torch.zeros(3, 1, 2, 4, 16), [GroupLengths(2, (2,))], scale=1.0, dropout=0.1)


def test_no_tensor_grows_with_the_square_of_the_whole_sequence(tmp_path: Path) -> None:
    """At 2k tokens and more, nothing that the forward or the backward makes has N x N entries."""
    from torch.utils._python_dispatch import TorchDispatchMode

    policy, encoder = tiny_policy("qwen2_5_vl")
    prompt = encoder.prompt(frame_list_sample(tmp_path, question="Which instrument retracts? " * 150))
    batch = pack_groups(encoder, [prompt], [[[5] * 150] * 8])
    total = batch.input_ids.shape[1]
    assert total > 2000
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes() // tensor.element_size())
            return out

    with Largest():
        policy.logps(batch).sum().backward()
    assert largest < total * total / 4


def test_rows_or_packed_is_a_choice_of_the_config(tmp_path: Path) -> None:
    _, encoder = tiny_policy("qwen2_5_vl")
    prompts = two_prompts(encoder, tmp_path)
    assert isinstance(encoder.collate_groups(prompts, ANSWERS), PackedBatch)
    policy = QwenVLPolicy(str(tiny_directory("qwen2_5_vl")), group_layout="rows")
    policy.setup()
    naive = policy.encoder(tiny_sampling()).collate_groups(prompts, ANSWERS)
    assert len(naive) == 6
    assert naive.input_ids.shape[0] == 6


def test_empty_answers_and_functions_without_a_name_are_refused(tmp_path: Path) -> None:
    _, encoder = tiny_policy("qwen2_5_vl")
    with pytest.raises(ValueError, match="answer 1 to row 0 is empty"):
        pack_groups(encoder, two_prompts(encoder, tmp_path)[:1], [[[5], []]])
    with pytest.raises(UserError, match=r"policy\.attention: eager"):
        QwenVLPolicy(str(tiny_directory("qwen2_5_vl")), attention="eager").setup()


def test_an_exported_model_does_not_ask_for_our_attention(tmp_path: Path) -> None:
    policy, _ = tiny_policy("qwen2_5_vl")
    policy.save_hf(tmp_path / "out")
    assert "medgrpo" not in (tmp_path / "out" / "config.json").read_text()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "qwen2_5_vl"


def test_predictors_and_targets_are_those_of_the_rows(tmp_path: Path) -> None:
    _, encoder = tiny_policy("qwen2_5_vl")
    prompts = two_prompts(encoder, tmp_path)
    packed, naive = pack_groups(encoder, prompts, ANSWERS), rows(encoder, prompts, ANSWERS)
    assert torch.equal(packed.targets, naive.targets)
    for batch in (packed, naive):
        before = batch.input_ids.flatten()[batch.predictors].tolist()
        flat = [answer for group in ANSWERS for answer in group]
        expected = [
            token
            for prompt, answer in zip([prompts[0]] * 3 + [prompts[1]] * 3, flat, strict=True)
            for token in [int(prompt.ids[-1]), *answer[:-1]]
        ]
        assert before == expected
    positions = [packed.position_ids[:, 0, k] for k in range(packed.input_ids.shape[1])]
    assert np.array_equal(np.stack(positions[: len(prompts[0].ids)], axis=1), prompts[0].positions)
