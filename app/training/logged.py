"""Curves from the trainer's own log, for what the stored answers do not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.index import CurvePoint
from medgrpo.rollout.metrics import pair_prefix

__all__ = ["LOGGED", "LoggedMeasure", "logged_points"]


@dataclass(frozen=True, slots=True)
class LoggedMeasure:
    """A metric of the log.

    Attributes:
        title: What the page calls it.
        help: What it means, for a reader who does not program.
        by_pair: Whether it is logged for each dataset and task.
    """

    title: str
    help: str
    by_pair: bool = True


LOGGED: dict[str, LoggedMeasure] = {
    "entropy": LoggedMeasure(
        "Entropy",
        "How undecided the model was over all words that it could have chosen (nats a word piece), from the "
        "trainer's log.",
    ),
    "start_kl": LoggedMeasure(
        "Distance from the start",
        "How far the model has moved from the one that training started with (KL divergence, nats a word "
        "piece), from the trainer's log.",
    ),
    "logp_diff": LoggedMeasure(
        "Sampler against trainer",
        "How far the program that writes the answers and the one that learns from them disagree about their "
        "likelihood, from the trainer's log. It should stay near zero.",
    ),
    "grad_norm": LoggedMeasure(
        "Size of the steps",
        "Length of the gradient in the last step of each round, before it is cut, from the trainer's log.",
        by_pair=False,
    ),
}
"""What the log can tell, by its name there."""


def logged_points(
    metrics: Mapping[int, Mapping[str, float]], pairs: Sequence[tuple[str, str]], name: str
) -> list[CurvePoint]:
    """The points of each dataset and task, or of the whole run.

    Args:
        metrics: Round to logged metrics.
        pairs: Datasets and tasks of the run.
        name: A key of :data:`LOGGED`.
    """
    lines = [(dataset, task, f"{pair_prefix((dataset, task))}/{name}") for dataset, task in pairs]
    if not LOGGED[name].by_pair:
        lines = [("All datasets", "", f"train/{name}")]
    return [
        CurvePoint(dataset, task, "", step, 0, metrics[step][key], math.nan, math.nan, None)
        for dataset, task, key in lines
        for step in sorted(metrics)
        if key in metrics[step]
    ]
