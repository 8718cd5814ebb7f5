"""What is optimised, as one frozen description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["KLEstimator", "Objective", "RatioLevel", "Reduction", "Surrogate"]

Reduction = Literal["grpo", "dapo", "dr_grpo", "bnpo"]
RatioLevel = Literal["token", "sequence"]
Surrogate = Literal["clip", "cispo"]
KLEstimator = Literal["k1", "k2", "k3"]


@dataclass(frozen=True)
class Objective:
    """What is optimised. Defaults are the paper's; GSPO is ``ratio: sequence``, CISPO ``surrogate: cispo``.

    Attributes:
        reduction: How per-token losses become one number. ``grpo``: mean over an answer's tokens, then over
            answers. ``bnpo``: mean over the tokens of the optimizer step. ``dapo``: sum over tokens, divided
            by the tokens of an average step of the round. ``dr_grpo``: sum over tokens, divided by answers
            times the longest answer allowed.
        ratio: Of each ``token``, or one for the ``sequence``: the geometric mean of its tokens' ratios (GSPO,
            arXiv 2507.18071).
        surrogate: ``clip`` is PPO's. ``cispo`` weighs the log-probability with the capped ratio, so no
            token's gradient vanishes (MiniMax-M1, arXiv 2506.13585).
        eps_low: ``clip`` bounds the ratio at ``1 - eps_low`` from below.
        eps_high: ``clip`` bounds the ratio at ``1 + eps_high`` from above.
        dual_clip: With ``clip``, the largest ratio that a negative advantage is multiplied with (dual-clip
            PPO, arXiv 1912.09729); None for no bound.
        ratio_cap: The largest ratio of ``cispo``.
        kl_weight: Weight of the divergence from the reference policy; 0 needs none.
        kl_estimator: ``k1`` is the log-ratio, ``k2`` half its square, ``k3`` unbiased and never negative.
        kl_importance: Multiply the divergence by the ratio, which corrects it for answers of an older
            policy; TRL's ``use_bias_correction_kl``.
        entropy_weight: Weight of the entropy, mean over the tokens of the optimizer step, which is maximised.
        mask_truncated: Tokens of truncated answers stay out of the loss. The answers still count as answers,
            in their group's baseline and in the denominators of ``grpo`` and ``dr_grpo``.
    """

    reduction: Reduction = "grpo"
    ratio: RatioLevel = "token"
    surrogate: Surrogate = "clip"
    eps_low: float = 0.2
    eps_high: float = 0.3
    dual_clip: float | None = None
    ratio_cap: float = 5.0
    kl_weight: float = 0.0
    kl_estimator: KLEstimator = "k3"
    kl_importance: bool = False
    entropy_weight: float = 0.0
    mask_truncated: bool = False

    def __post_init__(self) -> None:
        for name, choices in (
            ("reduction", Reduction),
            ("ratio", RatioLevel),
            ("surrogate", Surrogate),
            ("kl_estimator", KLEstimator),
        ):
            value, allowed = getattr(self, name), get_args(choices)
            if value not in allowed:
                raise ValueError(f"objective.{name}: {value!r} is none of {', '.join(allowed)}")
        if not (0 <= self.eps_low < 1 and self.eps_high >= 0):
            raise ValueError(
                f"objective: eps_low must be in [0, 1) and eps_high at least 0, "
                f"got {self.eps_low} and {self.eps_high}"
            )
        if self.dual_clip is not None and self.dual_clip <= 1 + self.eps_high:
            raise ValueError(
                f"objective.dual_clip must be above 1 + eps_high ({1 + self.eps_high:g}), "
                f"got {self.dual_clip}"
            )
        if self.dual_clip is not None and self.surrogate != "clip":
            raise ValueError("objective.dual_clip belongs to the clip surrogate; cispo has ratio_cap")
        if self.ratio_cap <= 0:
            raise ValueError(f"objective.ratio_cap must be above 0, got {self.ratio_cap}")
        for name in ("kl_weight", "entropy_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"objective.{name} must be at least 0, got {getattr(self, name)}")
