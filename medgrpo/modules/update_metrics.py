"""What the update of a round says: clipping, divergences and entropy, overall and by dataset and task."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch

from medgrpo.data.distributed import gather_objects
from medgrpo.modules.objectives import (
    LossInputs,
    Objective,
    ObjectiveStatistics,
    clip_flags,
    k3_divergence,
    masked_mean,
)
from medgrpo.rollout.metrics import pair_prefix
from medgrpo.types import PairKey

__all__ = ["UpdateMetrics", "step_metrics", "token_values"]


@torch.no_grad()
def token_values(
    inputs: LossInputs, objective: Objective, engine_logps: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Numbers of each token of a micro-batch.

    Args:
        inputs: Of the loss.
        objective: What is optimised.
        engine_logps: ``[B, L]`` as the rollout engine reported them.

    Returns:
        ``[B, L]`` each: ``clip_low`` and ``clip_high``, whether a bound stops the gradient; ``logp_diff``,
        the absolute difference of trainer and engine; with reference log-probabilities ``start_kl``, the k3
        estimate of the divergence from the start in nats.
    """
    flags = clip_flags(inputs, objective)
    shape = inputs.mask.shape
    values = {
        "clip_low": flags.low.float().expand(shape),
        "clip_high": flags.high.float().expand(shape),
        "logp_diff": (inputs.old_logps - engine_logps).abs(),
    }
    if inputs.ref_logps is not None:
        values["start_kl"] = k3_divergence(inputs.logps, inputs.ref_logps, inputs.mask)
    return values


@torch.no_grad()
def step_metrics(
    inputs: LossInputs, statistics: ObjectiveStatistics, answered: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Means over a micro-batch, under the names that loggers show.

    Args:
        inputs: Of the loss, with the entropy.
        statistics: That the loss came with.
        answered: ``[B, L]`` bool, all answer tokens.
    """
    assert inputs.entropy is not None
    numbers = {
        "train/entropy": masked_mean(inputs.entropy, inputs.mask),
        "train/clip_low": statistics.clip_low,
        "train/clip_high": statistics.clip_high,
        "train/clip_dual": statistics.clip_dual,
        "train/ratio": statistics.ratio,
        "train/old_kl": statistics.old_kl,
    }
    if inputs.ref_logps is not None:
        distance = k3_divergence(inputs.logps, inputs.ref_logps, inputs.mask)
        numbers["train/ref_kl"] = statistics.ref_kl
        numbers["train/start_kl"] = masked_mean(distance, inputs.mask)
    if inputs.importance is not None:
        numbers["train/importance"] = masked_mean(inputs.importance.expand_as(answered), answered)
    return numbers


class UpdateMetrics:
    """Gathers the micro-batches of a round on their device, and looks at them when it is closed."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a round."""
        self._rows: list[tuple[Sequence[PairKey], torch.Tensor, dict[str, torch.Tensor]]] = []
        self._tokens = 0
        self._since = time.perf_counter()

    def add(
        self, pairs: Sequence[PairKey], values: Mapping[str, torch.Tensor], mask: torch.Tensor, tokens: int
    ) -> None:
        """Take a micro-batch.

        Args:
            pairs: (dataset, task) of each of its B answers.
            values: ``[B, L]`` each, by name.
            mask: ``[B, L]`` bool, the tokens that take part.
            tokens: Forwarded, prompts included.
        """
        sums = {name: torch.where(mask, v.detach(), 0.0).sum(1) for name, v in values.items()}
        self._rows.append((pairs, mask.sum(1), sums))
        self._tokens += tokens

    def close(self) -> dict[str, float]:
        """Metrics of the round over all ranks, which all call it.

        Returns:
            ``train/<dataset>/<task>/<name>``, means over tokens; ``train/seconds/update`` of the slowest rank
            and ``train/tokens_per_second/update`` of all ranks together.
        """
        totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for pairs, counts, sums in self._rows:
            for name, values in sums.items():
                for pair, value, count in zip(pairs, values.tolist(), counts.tolist(), strict=True):
                    total = totals[f"{pair_prefix(pair)}/{name}"]
                    total[0] += value
                    total[1] += count
        ranks = gather_objects((dict(totals), self._tokens, time.perf_counter() - self._since))
        names = sorted({name for part, *_ in ranks for name in part})
        numbers = {}
        for name in names:
            value, count = (sum(part.get(name, (0.0, 0.0))[k] for part, *_ in ranks) for k in (0, 1))
            if count:
                numbers[name] = value / count
        seconds = max(spent for *_, spent in ranks)
        numbers["train/seconds/update"] = seconds
        numbers["train/tokens_per_second/update"] = sum(tokens for _, tokens, _ in ranks) / seconds
        self.start()
        return numbers
