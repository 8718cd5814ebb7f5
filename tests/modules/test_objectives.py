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
    cispo_surrogate,
    clip_flags,
    clipped_surrogate,
    divergence,
    masked_mean,
    policy_loss,
    sequence_ratio,
    token_ratio,
)
from tests.modules import make_trl_oracle

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "trl_oracle.json").read_text())


def _tensors(key: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(values, dtype=torch.bool if name == "mask" else torch.float64)
        for name, values in ORACLE["inputs"][str(key)].items()
    }


def _objective(case: dict[str, Any]) -> Objective:
    return Objective(
        reduction=case["reduction"],
        surrogate=case["surrogate"],
        ratio=case["ratio"],
        dual_clip=case["dual_clip"],
        ratio_cap=1.2,
        kl_weight=0.0 if case["kl"] == "off" else 0.04,
        kl_importance=case["kl"] == "k3_importance",
        entropy_weight=make_trl_oracle.ENTROPY if case["entropy"] else 0.0,
    )


def _ours(case: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[float, list[float], torch.Tensor]:
    """Our loss with the denominators of TRL's situation: ``accumulation`` equal micro-batches a step."""
    logps = tensors["logps"].clone().requires_grad_(True)
    inputs = LossInputs(
        logps=logps,
        old_logps=tensors["old_logps"],
        advantages=tensors["advantages"],
        mask=tensors["mask"],
        ref_logps=tensors["ref_logps"],
        entropy=make_trl_oracle.entropy_of(logps),
        importance=tensors.get(f"importance_{case['importance']}"),
    )
    parts = case["accumulation"]
    denominators = Denominators(
        sequences=len(logps) * parts,
        tokens=int(tensors["mask"].sum()) * parts,
        round_tokens=40 / 2,
        max_length=make_trl_oracle.MAX_LENGTH,
    )
    loss, statistics = policy_loss(inputs, _objective(case), denominators)
    loss.backward()
    assert logps.grad is not None
    clips = (
        [statistics.clip_high]
        if case["surrogate"] == "cispo"
        else [statistics.clip_low, statistics.clip_high]
    )
    # TRL counts a sequence whose tokens are all masked among those that may be clipped.
    share = float(tensors["mask"].any(1).double().mean()) if case["ratio"] == "sequence" else 1.0
    return loss.item(), [clip.item() * share for clip in clips], logps.grad


def _same(
    ours: tuple[float, list[float], torch.Tensor], loss: float, clips: list[float], gradient: Any
) -> None:
    assert ours[0] == pytest.approx(loss, abs=1e-6)
    assert ours[1] == pytest.approx(clips, abs=1e-6)
    expected = torch.tensor(gradient, dtype=torch.float64).view_as(ours[2])
    torch.testing.assert_close(ours[2], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", make_trl_oracle.CASES, ids=make_trl_oracle.name_of)
def test_equals_the_frozen_numbers_of_trl(case: dict[str, Any]) -> None:
    _same(_ours(case, _tensors(case["accumulation"])), *ORACLE["losses"][make_trl_oracle.name_of(case)])


def test_the_frozen_numbers_tell_every_option_from_the_others() -> None:
    assert len(ORACLE["losses"]) == len(make_trl_oracle.CASES) == 648
    values = {(name.rsplit("-", 1)[1], round(row[0], 6)) for name, row in ORACLE["losses"].items()}
    assert len(values) == len(ORACLE["losses"])
    assert all(min(row[1]) > 0 for row in ORACLE["losses"].values())


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_equals_trl_itself_on_new_numbers(seed: int) -> None:
    pytest.importorskip("trl")
    tensors = make_trl_oracle.inputs_of(seed)
    for case in make_trl_oracle.CASES:
        theirs = make_trl_oracle.trl_loss(case, tensors)
        _same(_ours(case, tensors), theirs["loss"], theirs["clips"], theirs["gradient"])


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


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "moves"),
    [(2.5, -1.0, 2.5, True), (3.5, -1.0, 3.0, False), (3.5, 1.0, -1.3, False), (0.5, -1.0, 0.8, False)],
)
def test_dual_clip_bounds_what_a_negative_advantage_costs(
    ratio: float, advantage: float, loss: float, moves: bool
) -> None:
    logps = torch.tensor([[ratio]], dtype=torch.float64).log().requires_grad_(True)
    inputs = LossInputs(
        logps, torch.zeros_like(logps), torch.tensor([advantage], dtype=torch.float64), torch.tensor([[True]])
    )
    objective = Objective(dual_clip=3.0)
    out = clipped_surrogate(inputs, objective)
    assert out.item() == pytest.approx(loss)
    out.sum().backward()
    assert logps.grad is not None
    assert bool(logps.grad.abs().sum() > 0) is moves
    assert bool(clip_flags(inputs, objective).dual) is (ratio > 3 and advantage < 0)


def test_a_sequence_ratio_is_the_geometric_mean_of_its_tokens() -> None:
    ratios = torch.tensor([[2.0, 0.5, 4.0], [3.0, 7.0, 7.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    inputs = LossInputs(ratios.log(), torch.zeros_like(ratios), torch.ones(2, dtype=torch.float64), mask)
    torch.testing.assert_close(sequence_ratio(inputs)[:, 0], torch.tensor([4.0 ** (1 / 3), 3.0]).double())
    torch.testing.assert_close(token_ratio(inputs), torch.where(mask, ratios, 1.0))


def test_cispo_moves_every_token_and_caps_its_weight() -> None:
    logps = torch.tensor([[1.5, 9.0]], dtype=torch.float64).log().requires_grad_(True)
    advantages = torch.tensor([2.0], dtype=torch.float64)
    inputs = LossInputs(logps, torch.zeros_like(logps), advantages, torch.ones(1, 2, dtype=torch.bool))
    cispo_surrogate(inputs, Objective(surrogate="cispo", ratio_cap=4.0)).sum().backward()
    torch.testing.assert_close(logps.grad, torch.tensor([[-3.0, -8.0]], dtype=torch.float64))


OBJECTIVES = {
    "grpo": Objective(),
    "dapo": Objective(reduction="dapo"),
    "dr_grpo": Objective(reduction="dr_grpo"),
    "bnpo": Objective(reduction="bnpo"),
    "gspo": Objective(ratio="sequence", eps_low=3e-4, eps_high=4e-4),
    "cispo": Objective(reduction="dapo", surrogate="cispo"),
    "everything": Objective(
        dual_clip=2.0, kl_weight=0.1, kl_estimator="k2", kl_importance=True, entropy_weight=0.1
    ),
}


def _inputs(tensors: dict[str, torch.Tensor]) -> LossInputs:
    return LossInputs(
        tensors["logps"],
        tensors["old_logps"],
        tensors["advantages"],
        tensors["mask"],
        ref_logps=tensors["ref_logps"],
        entropy=-0.5 * tensors["logps"],
        importance=tensors["importance_token"],
    )


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_masked_tokens_never_reach_loss_or_gradient(name: str, garbage: float) -> None:
    tensors = _tensors(1)
    mask = tensors["mask"]
    denominators = Denominators(6, int(mask.sum()), float(mask.sum()), 12)
    results = []
    for fill in (0.0, garbage):
        dirty = {
            key: torch.where(mask, value, fill) if value.shape == mask.shape and key != "mask" else value
            for key, value in tensors.items()
        }
        logps = dirty["logps"].requires_grad_(True)
        loss, statistics = policy_loss(_inputs(dirty), OBJECTIVES[name], denominators)
        loss.backward()
        results.append((loss.detach(), logps.grad, statistics.ratio, statistics.old_kl, statistics.ref_kl))
    for clean, dirty_one in zip(*results, strict=True):
        assert torch.isfinite(clean).all()
        assert torch.equal(clean, dirty_one)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_shares_of_micro_batches_add_up_to_the_whole_step(name: str) -> None:
    tensors = _tensors(1)
    tokens = int(tensors["mask"].sum())
    denominators = Denominators(len(tensors["mask"]), tokens, 17.0, 12)

    def share(rows: slice) -> torch.Tensor:
        part = _inputs({key: value[rows] for key, value in tensors.items()})
        return policy_loss(part, OBJECTIVES[name], denominators)[0]

    whole = share(slice(None))
    torch.testing.assert_close(share(slice(0, 1)) + share(slice(1, 4)) + share(slice(4, None)), whole)


def test_a_row_without_tokens_adds_nothing() -> None:
    tensors = _tensors(1)
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


def test_estimators_of_the_divergence_on_average() -> None:
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    logits = p.log().requires_grad_(True)
    exact = (p * (p / q).log()).sum().item()

    def estimates(name: Any) -> torch.Tensor:
        return divergence(logits.log_softmax(-1)[None], q.log()[None], everywhere, name)[0]

    for name in ("k1", "k3"):
        assert (p * estimates(name)).sum().item() == pytest.approx(exact)
    for name in ("k2", "k3"):
        assert (estimates(name) >= 0).all()

    def gradient(of: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(of, logits, retain_graph=True)[0]

    wanted = gradient((logits.softmax(-1) * (logits.log_softmax(-1) - q.log())).sum())
    # k2 as it is, and k1 and k3 under the importance weight, have the gradient of the divergence.
    torch.testing.assert_close(gradient((p * estimates("k2")).sum()), wanted)
    weight = (logits.log_softmax(-1) - p.log()).exp()
    for name in ("k1", "k3"):
        torch.testing.assert_close(gradient((p * weight * estimates(name)).sum()), wanted)


def test_the_entropy_bonus_is_a_mean_over_the_tokens_of_the_step() -> None:
    tensors = _tensors(1)
    plain, _ = policy_loss(_inputs(tensors), Objective(), Denominators(5, 26, 20.0, 12))
    bonus, _ = policy_loss(_inputs(tensors), Objective(entropy_weight=0.5), Denominators(5, 26, 20.0, 12))
    entropy = -0.5 * tensors["logps"][tensors["mask"]]
    assert (plain - bonus).item() == pytest.approx(0.5 * entropy.sum().item() / 26)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "mean"}, "none of grpo"),
        ({"ratio": "answer"}, "none of token, sequence"),
        ({"surrogate": "ppo"}, "none of clip, cispo"),
        ({"kl_estimator": "k4"}, "none of k1, k2, k3"),
        ({"eps_low": 1.5}, "eps_low"),
        ({"kl_weight": -1.0}, "kl_weight"),
        ({"entropy_weight": float("nan")}, "entropy_weight"),
        ({"dual_clip": 1.2}, "above 1 \\+ eps_high"),
        ({"dual_clip": 3.0, "surrogate": "cispo"}, "ratio_cap"),
        ({"ratio_cap": 0.0}, "ratio_cap"),
    ],
)
def test_refuses_nonsense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Objective(**options)


def test_refuses_terms_without_their_numbers() -> None:
    inputs = LossInputs(
        torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), torch.ones(1, 1, dtype=torch.bool)
    )
    for option, message in (("kl_weight", "reference"), ("entropy_weight", "entropy")):
        with pytest.raises(ValueError, match=message):
            policy_loss(inputs, Objective(**{option: 0.1}), Denominators(1, 1, 1.0, 1))
