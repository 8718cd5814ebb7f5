"""What the simulated policy is asked, and what its answers score: datasets and tasks without a video.

A question is a vector of features. Its right answer is a place on a line of :data:`PLACES` (where the
instrument is, when the action happens, what is done), for captions also a manner of wording; both follow from
the features, by a direction that differs between (dataset, task) pairs and seeds. An answer names a format, a
place and a manner. What it scores depends only on whether the format is the task's, how many steps its place
is from the right one, and how many its manner: its outcome. Scores have the scales and the sparsity that a
fine-tuned model's have (see :data:`PAIRS`), in the units of the project's metrics; how easily a policy learns
is the simulator's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from medgrpo.rewards import RawScore
from medgrpo.tasks import TASKS
from medgrpo.types import PairKey

__all__ = [
    "FEATURES",
    "FORMATS",
    "MANNERS",
    "PAIRS",
    "PLACES",
    "Pair",
    "World",
    "names",
    "outcomes",
    "raw_scores",
]

FEATURES = 16
PLACES = 24
MANNERS = 12
FORMATS = tuple(TASKS)

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Kind = Literal["overlap", "exact", "criteria", "caption"]


@dataclass(frozen=True)
class Pair:
    """A (dataset, task) and how its answers score.

    Attributes:
        dataset: Source dataset.
        task: Canonical task.
        kind: ``overlap``: IoU of two spans of equal length at the answered and the right place. ``exact``: 1
            fewer than ``width`` steps from the right place. ``criteria``: the share of ``width`` criteria
            that hold, one fewer each step. ``caption``: judge and similarity.
        width: Length of the spans, places that count as right, number of criteria, or steps at which a
            caption's content is worth nothing.
        noise: Standard deviation of the demonstrated places, in steps: what the annotators do not agree on.
        common: Share of questions whose right place is the first, whatever their features (a majority class).
    """

    dataset: str
    task: str
    kind: Kind
    width: int
    noise: float
    common: float = 0.0

    @property
    def key(self) -> PairKey:
        """As statistics and advantages know it."""
        return (self.dataset, self.task)

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.dataset}/{self.task}"


PAIRS = (
    Pair("CoPESD", "tal", "overlap", 11, 2.0),
    Pair("NurViD", "tal", "overlap", 5, 3.0),
    Pair("EgoSurgery", "tal", "overlap", 3, 4.0),
    Pair("CoPESD", "stg", "overlap", 12, 2.0),
    Pair("EgoSurgery", "stg", "overlap", 5, 3.0),
    Pair("CoPESD", "video_summary", "caption", 12, 2.0),
    Pair("NurViD", "video_summary", "caption", 10, 3.0),
    Pair("CholecTrack20", "region_caption", "caption", 10, 2.0),
    Pair("EgoSurgery", "region_caption", "caption", 8, 4.0),
    Pair("CoPESD", "dense_captioning", "overlap", 10, 3.0),
    Pair("EgoSurgery", "dense_captioning", "overlap", 6, 4.0),
    Pair("CoPESD", "next_action", "exact", 5, 1.0),
    Pair("EgoSurgery", "next_action", "exact", 3, 2.0),
    Pair("Cholec80_CVS", "cvs_assessment", "criteria", 3, 0.5, common=0.89),
    Pair("JIGSAWS", "skill_assessment", "criteria", 6, 2.0),
)
"""Spans are chosen so that the fine-tuned policy's median STG overlap is about 0.5 on CoPESD and 0.12 on
EgoSurgery, as the paper reports. The other pairs resemble what the tiny model of ``make demo`` samples: a TAG
pair whose median is 0, next actions that are right or wrong, CVS with a majority class, and captions with
most of the raw variance."""

_FORMATLESS = {"similarity": 0.15, "judge": 1.0}  # a list of times in place of a caption


def names(pairs: tuple[Pair, ...]) -> list[str]:
    """The pairs' names in order."""
    return [pair.name for pair in pairs]


def outcomes(pair: Pair) -> int:
    """How many outcomes answers can have: format, steps of the place, for captions of the manner."""
    return 1 + PLACES * (MANNERS if pair.kind == "caption" else 1)


@lru_cache(maxsize=100_000)
def raw_scores(pair: Pair, outcome: int, exponent: float = 1.0) -> Mapping[str, RawScore]:
    """What the reward components make of an outcome, by component; not to be changed.

    Args:
        pair: Whose answer it is.
        outcome: 0 for an answer in another task's format; else 1 + steps of the place, for captions
            1 + steps of the place * MANNERS + steps of the manner.
        exponent: Applied to scores scaled to 0..1: above 1 the metric became stricter, below 1 kinder.
    """
    if pair.kind == "caption":
        return _caption(pair, outcome, exponent)
    localisation = TASKS[pair.task].localisation
    validity = float(outcome > 0)
    accuracy = _accuracy(pair, outcome - 1) ** exponent if outcome > 0 else 0.0
    return {"metric": RawScore(accuracy, format=validity if localisation else None)}


def _accuracy(pair: Pair, steps: int) -> float:
    if pair.kind == "overlap":
        return max(0.0, (pair.width - steps) / (pair.width + steps))
    if pair.kind == "exact":
        return float(steps < pair.width)
    return max(0.0, (pair.width - steps) / pair.width)


def _caption(pair: Pair, outcome: int, exponent: float) -> dict[str, RawScore]:
    if outcome == 0:
        return {name: RawScore(value) for name, value in _FORMATLESS.items()}
    steps, manner = divmod(outcome - 1, MANNERS)
    content, wording = max(0.0, 1.0 - steps / pair.width), max(0.0, 1.0 - manner / 8)
    # The mean of five whole numbers from 1 to 5 is a multiple of 0.2.
    worth = round(20 * (0.85 * content + 0.15 * wording)) / 20
    likeness = 0.3 * content + 0.7 * wording
    return {
        "similarity": RawScore(0.45 + 0.5 * likeness**exponent),
        "judge": RawScore(1.0 + 4.0 * worth**exponent),
    }


@dataclass(frozen=True)
class World:
    """The right answers of one seed.

    Attributes:
        seed: Of the directions.
        pairs: Whose questions there are.
    """

    seed: int
    pairs: tuple[Pair, ...] = PAIRS

    @cached_property
    def directions(self) -> Array:
        """Of places and manners, ``[pairs, 2, FEATURES]``, of unit length."""
        chance = np.random.default_rng([self.seed, 1])
        drawn = chance.standard_normal((len(self.pairs), 2, FEATURES))
        return drawn / np.linalg.norm(drawn, axis=2, keepdims=True)

    def right(self, pair: Indices, features: Array) -> tuple[Indices, Indices]:
        """The right place and manner of questions.

        Args:
            pair: ``[N]``, of each question.
            features: ``[N, FEATURES]``, standard normal.

        Returns:
            ``[N]`` and ``[N]``: every place is as frequent as any other, but for the common one.
        """
        share = ndtr(np.einsum("nf,ncf->nc", features, self.directions[pair]))
        common = np.array([p.common for p in self.pairs])[pair]
        rare = np.maximum(0.0, (share[:, 0] - common) / (1.0 - common))
        place = np.minimum(np.floor(rare * PLACES).astype(np.int64), PLACES - 1)
        manner = np.minimum(np.floor(share[:, 1] * MANNERS).astype(np.int64), MANNERS - 1)
        return place, manner

    def demonstrated(
        self, pair: Indices, features: Array, chance: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Places and manners that annotators wrote: the right ones with their noise, ``[N]`` and ``[N]``."""
        place, manner = self.right(pair, features)
        noise = np.array([p.noise for p in self.pairs])[pair]
        drawn = chance.standard_normal((2, len(pair)))
        places = np.clip(np.rint(place + noise * drawn[0]), 0, PLACES - 1).astype(np.int64)
        manners = np.clip(np.rint(manner + 2.0 * drawn[1]), 0, MANNERS - 1).astype(np.int64)
        return places, manners

    def outcome(
        self, pair: Indices, steps: Indices, manner_steps: Indices, in_format: NDArray[np.bool_]
    ) -> Indices:
        """Outcomes of answers, see :func:`raw_scores`; all arguments of one shape."""
        caption = np.array([p.kind == "caption" for p in self.pairs])[pair]
        place = np.where(caption, steps * MANNERS + manner_steps, steps)
        return np.where(in_format, 1 + place, 0)
