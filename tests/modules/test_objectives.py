"""The objective against TRL 1.16 (frozen, and live where it is installed), and its edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medgrpo.modules.objectives import (
    Denominators,
    LossInputs,
    Objective,
    clipped_surrogate,
    k3_divergence,
    masked_mean,
    policy_loss,
)
from tests.modules import make_trl_oracle

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "trl_oracle.json").read_text())


def _tensors(seed: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(values, dtype=torch.bool if name == "mask" else torch.float64)
        for name, values in ORACLE["inputs"][str(seed)].items()
    }


def _ours(case: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Our loss with the denominators of TRL's situation: ``accumulation`` equal micro-batches a step."""
    logps = tensors["logps"].clone().requires_grad_(True)
    inputs = LossInputs(
        logps, tensors["old_logps"], tensors["advantages"], tensors["mask"], tensors["ref_logps"]
    )
    parts = case["accumulation"]
    denominators = Denominators(
        sequences=len(logps) * parts,
        tokens=int(tensors["mask"].sum()) * parts,
        round_tokens=1000 / 2,
        max_length=ORACLE["max_length"],
    )
    objective = Objective(reduction=case["reduction"], kl_weight=case["kl_weight"])
    loss, statistics = policy_loss(inputs, objective, denominators)
    loss.backward()
    assert logps.grad is not None
    return {
        "loss": loss.item(),
        "gradient": logps.grad.tolist(),
        "clip_low": statistics.clip_low.item(),
        "clip_high": statistics.clip_high.item(),
    }


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
    torch.testing.assert_close(
        torch.tensor(ours["gradient"]), torch.tensor(theirs["gradient"]), atol=1e-6, rtol=0
    )
    assert ours["clip_low"] == pytest.approx(theirs["clip_low"], abs=1e-6)
    assert ours["clip_high"] == pytest.approx(theirs["clip_high"], abs=1e-6)


@pytest.mark.parametrize("row", ORACLE["losses"], ids=lambda row: "-".join(map(str, row["case"].values())))
def test_equals_the_frozen_numbers_of_trl(row: dict[str, Any]) -> None:
    assert row["expected"]["clip_low"] > 0
    assert row["expected"]["clip_high"] > 0
    _same(_ours(row["case"], _tensors(row["case"]["seed"])), row["expected"])


def test_equals_trl_itself_on_new_numbers() -> None:
    pytest.importorskip("trl")
    for case in make_trl_oracle.CASES:
        fresh = case | {"seed": case["seed"] + 100}
        tensors = make_trl_oracle.inputs_of(fresh["seed"])
        _same(_ours(fresh, tensors), make_trl_oracle.trl_loss(fresh, tensors))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [
        (1.0, 1.0, -1.0, True),
        (1.25, 1.0, -1.25, True),  # between 1 + eps_low and 1 + eps_high: only a symmetric clip would stop it
        (1.4, 1.0, -1.3, False),
        (0.7, 1.0, -0.7, True),
        (1.4, -1.0, 1.4, True),
        (0.75, -1.0, 0.8, False),
    ],
)
def test_asymmetric_clip(ratio: float, advantage: float, loss: float, moves: bool) -> None:
    logps = torch.tensor([[ratio]], dtype=torch.float64).log().requires_grad_(True)
    inputs = LossInputs(
        logps,
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor([advantage], dtype=torch.float64),
        torch.tensor([[True]]),
    )
    out = clipped_surrogate(inputs, Objective())
    assert out.item() == pytest.approx(loss)
    out.sum().backward()
    assert logps.grad is not None
    assert bool(logps.grad.abs().sum() > 0) is moves


@pytest.mark.parametrize("reduction", ["grpo", "dapo", "dr_grpo", "bnpo"])
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_masked_tokens_never_reach_loss_or_gradient(reduction: Any, garbage: float) -> None:
    tensors = _tensors(0)
    mask = tensors["mask"]
    denominators = Denominators(6, int(mask.sum()), float(mask.sum()), 12)
    objective = Objective(reduction=reduction, kl_weight=0.1)
    results = []
    for fill in (0.0, garbage):
        dirty = {name: torch.where(mask, tensors[name], fill) for name in ("logps", "old_logps", "ref_logps")}
        logps = dirty["logps"].requires_grad_(True)
        inputs = LossInputs(logps, dirty["old_logps"], tensors["advantages"], mask, dirty["ref_logps"])
        loss, statistics = policy_loss(inputs, objective, denominators)
        loss.backward()
        results.append((loss.detach(), logps.grad, statistics.ratio, statistics.old_kl, statistics.ref_kl))
    for clean, dirty in zip(*results, strict=True):
        assert torch.equal(clean, dirty)


@pytest.mark.parametrize("reduction", ["grpo", "dapo", "dr_grpo", "bnpo"])
def test_shares_of_micro_batches_add_up_to_the_whole_step(reduction: Any) -> None:
    tensors = _tensors(1)
    tokens = int(tensors["mask"].sum())
    denominators = Denominators(len(tensors["mask"]), tokens, 17.0, 12)

    def share(rows: slice) -> torch.Tensor:
        names = ("logps", "old_logps", "advantages", "mask")
        inputs = LossInputs(*(tensors[name][rows] for name in names))
        return policy_loss(inputs, Objective(reduction=reduction), denominators)[0]

    whole = share(slice(None))
    torch.testing.assert_close(share(slice(0, 1)) + share(slice(1, 4)) + share(slice(4, None)), whole)


def test_a_row_without_tokens_adds_nothing() -> None:
    tensors = _tensors(0)
    empty = torch.zeros_like(tensors["mask"])
    inputs = LossInputs(
        tensors["logps"].requires_grad_(True), tensors["old_logps"], tensors["advantages"], empty
    )
    loss, statistics = policy_loss(inputs, Objective(), Denominators(0, 0, 0.0, 12))
    loss.backward()
    assert loss.item() == 0
    assert statistics.ratio.item() == 0
    assert masked_mean(tensors["logps"], empty).item() == 0


def test_an_exploding_ratio_stays_finite() -> None:
    logps = torch.tensor([[0.0]], requires_grad=True)
    inputs = LossInputs(logps, torch.tensor([[-500.0]]), torch.tensor([0.0]), torch.tensor([[True]]))
    loss, _ = policy_loss(inputs, Objective(), Denominators(1, 1, 1.0, 1))
    loss.backward()
    assert loss.item() == 0
    assert logps.grad is not None
    assert torch.isfinite(logps.grad).all()


def test_k3_is_the_divergence_on_average() -> None:
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    estimates = k3_divergence(p.log()[None], q.log()[None], torch.ones(1, 3, dtype=torch.bool))
    assert (estimates >= 0).all()
    assert (p * estimates[0]).sum().item() == pytest.approx((p * (p / q).log()).sum().item())


def test_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="none of grpo"):
        Objective(reduction="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="eps_low"):
        Objective(eps_low=1.5)
    with pytest.raises(ValueError, match="kl_weight"):
        Objective(kl_weight=-1.0)
    inputs = LossInputs(
        torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), torch.ones(1, 1, dtype=torch.bool)
    )
    with pytest.raises(ValueError, match="reference"):
        policy_loss(inputs, Objective(kl_weight=0.1), Denominators(1, 1, 1.0, 1))
