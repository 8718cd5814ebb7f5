"""How good the simulated policies are, and how sure of themselves, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from medgrpo.ablation.simulated.policy import Policies, Questions, sample
from medgrpo.ablation.simulated.world import FEATURES, FORMATS, Pair, World, outcomes, raw_scores

__all__ = ["Measured", "Scoring", "measure", "rollout_scores"]

Floats = NDArray[np.float64]


class Scoring:
    """The worlds of a block of seeds, and where formats belong.

    Args:
        seeds: S of them.
        pairs: In order.
    """

    def __init__(self, seeds: Sequence[int], pairs: tuple[Pair, ...]) -> None:
        self.seeds = tuple(seeds)
        self.pairs = pairs
        self.worlds = tuple(World(seed, pairs) for seed in seeds)
        self.formats = np.array([FORMATS.index(pair.task) for pair in pairs])
        self.caption = np.array([pair.kind == "caption" for pair in pairs])

    def outcomes(self, questions: Questions, tokens: torch.Tensor) -> NDArray[np.int64]:
        """Outcome of each answer, ``[S, P, G]``, from tokens ``[S, P, G, 3]``."""
        chosen = tokens.numpy()
        found = []
        for world, features, own in zip(self.worlds, questions.features, chosen, strict=True):
            place, manner = world.right(questions.pair, features)
            steps = np.abs(own[..., 1] - place[:, None])
            manner_steps = np.abs(own[..., 2] - manner[:, None])
            in_format = own[..., 0] == self.formats[questions.pair][:, None]
            pair = np.broadcast_to(questions.pair[:, None], steps.shape)
            found.append(world.outcome(pair, steps, manner_steps, in_format))
        return np.stack(found)

    def mask(self, questions: Questions, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens that were written, ``[S, P, G, 3]`` bool: a wrong format ends the answer."""
        in_format = tokens[..., 0] == torch.from_numpy(self.formats[questions.pair])[:, None]
        caption = torch.from_numpy(self.caption[questions.pair])[:, None].expand_as(in_format)
        return torch.stack([torch.ones_like(in_format), in_format, in_format & caption], dim=3)


@dataclass(frozen=True)
class Measured:
    """What test questions show, each ``[S, pairs]``.

    Attributes:
        greedy: Metric of the likeliest answer on a scale of 0 to 1; for captions the judge's.
        similarity: Of the likeliest caption; NaN for other tasks.
        validity: Share of likeliest answers in the task's format.
        sampled: Mean metric of answers at temperature 1.
        entropy: Of an answer, nats.
    """

    greedy: Floats
    similarity: Floats
    validity: Floats
    sampled: Floats
    entropy: Floats


def measure(policies: Policies, scoring: Scoring, per_pair: int) -> Measured:
    """Ask every pair's test questions.

    Args:
        policies: Of the seeds.
        scoring: Of the same seeds.
        per_pair: Test questions of each pair; the same ones at every call.
    """
    count = len(scoring.pairs)
    pair = np.repeat(np.arange(count), per_pair)
    chances = [np.random.default_rng([seed, 3]) for seed in scoring.seeds]
    questions = Questions(pair, np.stack([c.standard_normal((len(pair), FEATURES)) for c in chances]))
    with torch.no_grad():
        logps = policies(questions)
    best = torch.stack([part.argmax(dim=2, keepdim=True) for part in logps], dim=3)
    uniform = np.stack([chance.random((len(pair), 4, 3)) for chance in chances])
    drawn = sample(logps, uniform)
    greedy, likeness = _metrics(scoring, questions, best)
    sampled, _ = _metrics(scoring, questions, drawn)

    def by_pair(values: Floats) -> Floats:
        return values.reshape(len(values), count, -1).mean(axis=2)

    return Measured(
        greedy=by_pair(greedy),
        similarity=by_pair(likeness),
        validity=by_pair((scoring.outcomes(questions, best) > 0).astype(np.float64)),
        sampled=by_pair(sampled),
        entropy=by_pair(_entropy(logps, scoring, questions)),
    )


def rollout_scores(
    policies: Policies, scoring: Scoring, per_pair: int, answers: int
) -> list[list[Mapping[str, Floats]]]:
    """Raw scores of sampled answers, by seed, pair and component: what statistics are made of."""
    count = len(scoring.pairs)
    pair = np.repeat(np.arange(count), per_pair)
    chances = [np.random.default_rng([seed, 4]) for seed in scoring.seeds]
    questions = Questions(pair, np.stack([c.standard_normal((len(pair), FEATURES)) for c in chances]))
    uniform = np.stack([chance.random((len(pair), answers, 3)) for chance in chances])
    with torch.no_grad():
        tokens = sample(policies(questions), uniform)
    found = scoring.outcomes(questions, tokens).reshape(len(scoring.seeds), count, -1)
    return [
        [
            {name: table[own[index]] for name, table in _score_tables(one).items()}
            for index, one in enumerate(scoring.pairs)
        ]
        for own in found
    ]


@lru_cache(maxsize=64)
def _score_tables(pair: Pair) -> dict[str, Floats]:
    """The raw score of every outcome, by component."""
    rows = [raw_scores(pair, outcome) for outcome in range(outcomes(pair))]
    return {name: np.array([row[name].value for row in rows]) for name in rows[0]}


def _metrics(scoring: Scoring, questions: Questions, tokens: torch.Tensor) -> tuple[Floats, Floats]:
    """Metric from 0 to 1 and similarity of answers, mean over a question's answers, each ``[S, P]``."""
    found = scoring.outcomes(questions, tokens)
    metric, likeness = np.empty(found.shape), np.full(found.shape, np.nan)
    for index, pair in enumerate(scoring.pairs):
        rows = questions.pair == index
        tables = _score_tables(pair)
        if pair.kind == "caption":
            metric[:, rows] = (tables["judge"][found[:, rows]] - 1.0) / 4.0
            likeness[:, rows] = tables["similarity"][found[:, rows]]
        else:
            metric[:, rows] = tables["metric"][found[:, rows]]
    return metric.mean(axis=2), likeness.mean(axis=2)


def _entropy(logps: Sequence[torch.Tensor], scoring: Scoring, questions: Questions) -> Floats:
    """Entropy of an answer, the tokens weighted by how often they are written, ``[S, P]``."""
    own, place, manner = (-(part.exp() * part).sum(dim=2).double().numpy() for part in logps)
    right = torch.from_numpy(scoring.formats[questions.pair]).expand(len(own), -1).unsqueeze(2)
    written = logps[0].gather(2, right).squeeze(2).exp().double().numpy()
    return own + written * (place + scoring.caption[questions.pair] * manner)
