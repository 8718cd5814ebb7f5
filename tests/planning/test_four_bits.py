"""QLoRA in a plan: bytes against the tensors of a quantized policy, and what cannot be planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.errors import UserError
from medgrpo.planning import GPUS, RunSizes, generation_memory, model_shape, round_times, update_memory
from medgrpo.planning.four_bits import four_bit_bytes
from medgrpo.planning.memory import model_memory
from medgrpo.planning.times import decode_bytes, decode_bytes_vllm
from tests.planning.scene import scene
from tests.tiny_models import FAMILIES

SIZES = RunSizes(quantize="nf4")


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_those_of_a_quantized_policy(family: Any, tmp_path: Path) -> None:
    at = scene(family, tmp_path, dtype="bfloat16", quantize="nf4")
    held = model_memory(at.shape, replace(at.sizes, quantize="nf4"))
    four = plain = 0
    for parameter in at.policy.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            four += parameter.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes
        elif not parameter.requires_grad:
            assert parameter.dtype == torch.bfloat16
            plain += parameter.nbytes
    assert held["frozen weights, four bits"] == four
    assert held["frozen weights, bfloat16"] == plain


def test_seven_billion_fit_where_they_did_not() -> None:
    shape = model_shape("qwen2.5-vl-7b")
    plain, four = (model_memory(shape, sizes) for sizes in (RunSizes(), SIZES))
    weights = shape.text.layers * shape.text.layer_weights
    assert four_bit_bytes(shape.text) / weights == pytest.approx(0.5 + 1 / 64 + 4 / 64 / 256, rel=1e-4)
    assert sum(plain.values()) - sum(four.values()) == pytest.approx(9.54e9, rel=0.01)
    small = replace(SIZES, visual=2048, answer=128)
    packed = [update_memory(shape, replace(small, quantize=kind), "packed") for kind in (None, "nf4")]
    assert sum(packed[1].values()) < 0.9 * 24e9 < sum(packed[0].values())
    assert generation_memory(shape, SIZES)["frozen weights, four bits"] == four_bit_bytes(shape.text)


def test_decoding_moves_more_bytes_but_not_in_vllm() -> None:
    shape = model_shape("qwen2.5-vl-7b")
    plain, four = RunSizes(), SIZES
    assert decode_bytes(shape, four) > 1.5 * decode_bytes(shape, plain)
    assert decode_bytes_vllm(shape, four) == decode_bytes_vllm(shape, plain)
    times = [round_times(shape, sizes, "packed", GPUS["h100"])["decode"].seconds for sizes in (plain, four)]
    assert times[1] > times[0]


@pytest.mark.parametrize("change", [{"rank": None}, {"strategy": "fsdp2"}])
def test_what_the_policy_refuses_is_not_planned(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="four-bit weights are frozen and whole"):
        replace(SIZES, **change)
