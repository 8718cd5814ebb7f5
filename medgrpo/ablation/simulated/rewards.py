"""Rewards of simulated answers: the project's own composite, looked up by outcome.

An answer's reward depends on its pair and outcome alone, so each is mixed once by
:meth:`medgrpo.rewards.CompositeReward.mix` and kept until the normalizer or the metric changes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medgrpo.ablation.simulated.start import components
from medgrpo.ablation.simulated.world import Pair, outcomes, raw_scores
from medgrpo.modules.advantages import ComponentRewards, GroupRewards
from medgrpo.rewards import CompositeReward, Normalizer, Statistics
from medgrpo.rewards.normalizers import Observation
from medgrpo.tasks import Parsed

__all__ = ["SeedRewards"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_PARSED = Parsed(None, "ok")  # the simulated format is told by RawScore.format


class SeedRewards:
    """The rewards of one seed's answers.

    Args:
        pairs: Of the world.
        statistics: Of the seed's fine-tuned policy.
        normalizer: A fresh one is made of it.
        captions: Weights of ``similarity`` and ``judge``.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        statistics: Statistics,
        normalizer: Normalizer,
        captions: Mapping[str, float],
    ) -> None:
        self.pairs = tuple(pairs)
        self.composite = CompositeReward(components(captions), copy.deepcopy(normalizer), statistics)
        self.composite.setup()
        self._exponents = np.ones(len(self.pairs))
        self._moves = type(normalizer).observe is not Normalizer.observe
        names = list(self.composite.components)
        shape = (len(self.pairs), max(outcomes(pair) for pair in self.pairs))
        self._columns = {name: index for index, name in enumerate(["mixed", *names])}
        self._table = np.full((*shape, len(self._columns)), np.nan)
        self._weights = np.array([[self._weight(name, pair) for name in names] for pair in self.pairs])
        self._filled = np.zeros(shape, dtype=bool)

    def change(self, exponents: Floats) -> None:
        """From now on scores from 0 to 1 are raised to these powers, ``[pairs]``."""
        if not np.array_equal(exponents, self._exponents):
            self._exponents = exponents
            self._filled[:] = False

    def groups(self, pair: Indices, outcome: Indices) -> GroupRewards:
        """Rewards of a round.

        Args:
            pair: ``[P]``.
            outcome: ``[P, G]``.
        """
        rows = np.broadcast_to(pair[:, None], outcome.shape)
        for p, o in np.unique(np.stack([rows, outcome])[:, ~self._filled[rows, outcome]], axis=1).T:
            self._fill(int(p), int(o))
        values = self._table[rows, outcome]
        return GroupRewards(
            values=values[..., 0],
            pairs=tuple(self.pairs[p].key for p in pair),
            components={
                name: ComponentRewards(values[..., column], self._weights[pair, column - 1])
                for name, column in self._columns.items()
                if column > 0
            },
        )

    def observe(self, pair: Indices, outcome: Indices) -> None:
        """Let the normalizer see the round, as training does after its rewards are mixed."""
        if not self._moves:
            return
        seen: list[Observation] = []
        for p, group in zip(pair, outcome, strict=True):
            own = self.pairs[p]
            for o in group:
                for name, score in raw_scores(own, int(o), float(self._exponents[p])).items():
                    if name in self.composite.components:
                        metric = self.composite.components[name].metric(own.task).name
                        seen.append((own.key, metric, score.value))
        self.composite.normalizer.observe(seen)
        self._filled[:] = False

    def _weight(self, name: str, pair: Pair) -> float:
        tasks = {key: part.tasks.get(pair.task, 0.0) for key, part in self.composite.components.items()}
        return tasks[name] / sum(tasks.values())

    def _fill(self, pair: int, outcome: int) -> None:
        own = self.pairs[pair]
        raw = {
            name: score
            for name, score in raw_scores(own, outcome, float(self._exponents[pair])).items()
            if name in self.composite.components
        }
        reward = self.composite.mix(own.key, raw, _PARSED)
        self._table[pair, outcome, 0] = reward.value
        for name, score in reward.components.items():
            self._table[pair, outcome, self._columns[name]] = score.normalised
        self._filled[pair, outcome] = True
