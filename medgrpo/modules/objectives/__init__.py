"""The policy objective as pure functions: ratios, surrogates, divergences, reductions, one idea a file.

Nothing here knows a model or a trainer. Denominators come from the caller, who sees the whole optimizer step
on all ranks: a mean of micro-batch means is another objective than the one written in the papers.
Formulas as in TRL 1.16 (``GRPOTrainer._compute_loss``), against which the tests compare losses and gradients.
"""

from medgrpo.modules.objectives.correction import EngineCorrection, correction_weights
from medgrpo.modules.objectives.divergence import divergence, k1_divergence, k2_divergence, k3_divergence
from medgrpo.modules.objectives.inputs import Denominators, LossInputs
from medgrpo.modules.objectives.loss import ObjectiveStatistics, policy_loss
from medgrpo.modules.objectives.objective import Objective
from medgrpo.modules.objectives.ratio import policy_ratio, sequence_ratio, token_ratio
from medgrpo.modules.objectives.reduction import masked_mean, reduce_loss
from medgrpo.modules.objectives.surrogate import (
    ClipFlags,
    cispo_surrogate,
    clip_flags,
    clipped_surrogate,
    surrogate_losses,
)

__all__ = [
    "ClipFlags",
    "Denominators",
    "EngineCorrection",
    "LossInputs",
    "Objective",
    "ObjectiveStatistics",
    "cispo_surrogate",
    "clip_flags",
    "clipped_surrogate",
    "correction_weights",
    "divergence",
    "k1_divergence",
    "k2_divergence",
    "k3_divergence",
    "masked_mean",
    "policy_loss",
    "policy_ratio",
    "reduce_loss",
    "sequence_ratio",
    "surrogate_losses",
    "token_ratio",
]
