"""FLOPs against those that torch counts while the tiny models run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from medgrpo.data.packed_batch import GroupLayout
from medgrpo.modules.tiny import Family
from medgrpo.planning import groups, work
from medgrpo.planning.work import Flops
from medgrpo.rollout.decoding import prefill as run_prefill
from tests.planning.scene import ANSWER, GROUP, scene
from tests.tiny_models import FAMILIES


@pytest.fixture(autouse=True)
def _the_masked_half_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the counted kernels do, which multiply whole matrices and mask them."""
    for module in (groups, work):
        monkeypatch.setattr(module, "causal_pairs", lambda tokens: tokens**2)


def counted(run: Any) -> Flops:
    """FLOPs that torch counts: products with weights, and batched products, which are attention's."""
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        run()
    by_operation = {str(name): n for name, n in counter.get_flop_counts()["Global"].items()}
    attention = by_operation.pop("aten.bmm", 0)
    return Flops(sum(by_operation.values()), attention)


def assert_close(planned: Flops, found: Flops, within: float) -> None:
    assert planned.linear == pytest.approx(found.linear, rel=within)
    assert planned.attention == pytest.approx(found.attention, rel=within)


@pytest.mark.parametrize("family", FAMILIES)
def test_vision(family: Family, tmp_path: Path) -> None:
    at = scene(family, tmp_path)
    batch = at.batch("packed")
    assert_close(work.vision(at.shape, at.sizes), counted(lambda: at.policy.vision(batch)), 0.001)


@pytest.mark.parametrize("family", FAMILIES)
def test_prefill_and_decode(family: Family, tmp_path: Path) -> None:
    at = scene(family, tmp_path)
    vision = work.vision(at.shape, at.sizes)
    state: Any = None

    @torch.no_grad()
    def prompt() -> None:
        nonlocal state
        state = run_prefill(at.policy, at.encoder, [at.prompt], GROUP, ANSWER)
        at.policy.next_token_logits(state.hidden[:1])

    @torch.no_grad()
    def answers() -> None:
        for token in range(ANSWER - 1):
            state.advance(at.policy, torch.full((GROUP,), 10 + token))
            at.policy.next_token_logits(state.hidden)

    # Frequencies times positions, a product of the rotary embedding, are in what is counted.
    assert_close(work.prefill(at.shape, at.sizes).plus(vision), counted(prompt), 0.01)
    steps = ANSWER - 1
    planned = work.decode(at.shape, at.sizes)
    # An answer's token sees those before it and itself, never a masked half.
    own = GROUP * (steps**2 - steps * (steps + 1) / 2)
    text = at.shape.text
    without = Flops(planned.linear, planned.attention - 4 * text.layers * text.query_width * own)
    assert_close(without, counted(answers), 0.02)


@pytest.mark.parametrize(
    ("family", "layout", "rank", "checkpointing"),
    [
        ("qwen2_5_vl", "packed", 4, True),
        ("qwen2_5_vl", "packed", 4, False),
        ("qwen2_5_vl", "packed", None, True),
        ("qwen2_5_vl", "rows", 4, True),
        ("qwen3_vl", "packed", 4, True),
        ("qwen3_vl", "rows", None, False),
    ],
)
def test_update(
    family: Family, layout: GroupLayout, rank: int | None, checkpointing: bool, tmp_path: Path
) -> None:
    at = scene(family, tmp_path, rank, gradient_checkpointing=checkpointing)
    batch = at.batch(layout)
    planned = work.update(at.shape, at.sizes, layout, checkpointing).plus(work.vision(at.shape, at.sizes))
    found = counted(lambda: at.policy.logps(batch).sum().backward())
    # Frozen embeddings ask for no gradient of the first of four layers' queries, keys and values.
    assert_close(planned, found, 0.03)


def test_scoring_is_the_forward_of_an_update(tmp_path: Path) -> None:
    at = scene("qwen2_5_vl", tmp_path)
    batch = at.batch("packed")

    @torch.no_grad()
    def forward() -> None:
        at.policy.logps(batch)

    planned = work.score(at.shape, at.sizes, "packed").plus(work.vision(at.shape, at.sizes))
    assert_close(planned, counted(forward), 0.01)


def test_a_round_sums_its_phases_over_prompts(tmp_path: Path) -> None:
    at = scene("qwen2_5_vl", tmp_path)
    sizes = replace(at.sizes, prompts=6, gpus=2)
    once = work.round_work(at.shape, sizes, "packed")
    assert once["update"].total == 6 * work.update(at.shape, sizes, "packed").total
    assert once["old log-probabilities"].total == 0
    twice = work.round_work(at.shape, replace(sizes, optimizer_steps=2), "packed")
    assert twice["old log-probabilities"].total == 6 * work.score(at.shape, sizes, "packed").total
    assert twice["vision"].total == 18 * work.vision(at.shape, sizes).total
