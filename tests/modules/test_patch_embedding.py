"""The patch embedding as one matrix product against transformers' convolution."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from medgrpo.modules.tiny import Family
from tests.tiny_models import FAMILIES, frame_list_sample, tiny_directory, tiny_policy


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_convolution_and_its_gradients(family: Family, tmp_path: Path) -> None:
    policy, encoder = tiny_policy(family)
    plain = AutoModelForImageTextToText.from_pretrained(tiny_directory(family)).model.visual.patch_embed
    pixels, _ = encoder.patches([encoder.prompt(frame_list_sample(tmp_path)).clip])
    copied = copy.deepcopy(policy).qwen.model.visual.patch_embed
    with torch.no_grad():
        copied.proj.weight.zero_()  # a copy embeds with its own weights
    weights = torch.linspace(-1, 1, plain.embed_dim)
    gradients = []
    for embedding in (policy.qwen.model.visual.patch_embed, plain):
        out = embedding(pixels)
        (out * weights).sum().backward()
        gradients.append((out.detach(), *(p.grad for p in embedding.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert not torch.equal(copied(pixels), gradients[0][0])


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_keep_their_names(family: Family) -> None:
    policy, _ = tiny_policy(family)
    plain = AutoModelForImageTextToText.from_pretrained(tiny_directory(family))
    assert {name: tuple(v.shape) for name, v in policy.qwen.state_dict().items()} == {
        name: tuple(v.shape) for name, v in plain.state_dict().items()
    }
