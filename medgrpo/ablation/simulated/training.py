"""GRPO of simulated policies: the project's rewards, advantages and loss, a block of seeds side by side."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from medgrpo.ablation.simulated.measures import Measured, Scoring, measure
from medgrpo.ablation.simulated.policy import Policies, Questions, sample, token_logps
from medgrpo.ablation.simulated.rewards import SeedRewards
from medgrpo.ablation.simulated.settings import Arm, SimulatedSettings, Sizes
from medgrpo.ablation.simulated.start import Start
from medgrpo.ablation.simulated.world import FEATURES
from medgrpo.modules.advantages import Advantages
from medgrpo.modules.objectives import Denominators, LossInputs, policy_loss

__all__ = ["Trained", "train"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_PROBES = 10  # rounds whose gradient is taken apart by pair
_CURVE = 5  # measurements on the way


@dataclass(frozen=True)
class Trained:
    """What became of a block of seeds under one arm.

    Attributes:
        rounds: After which ``curve`` was measured.
        curve: Measurements in order; the last is of the trained policies.
        share: ``[S, pairs]`` part of the summed squared advantage, all pairs asked alike; NaN outside the
            mix.
        share_late: The same over the last third of the rounds.
        gradient: ``[S, pairs]`` part <g_p, g> / <g, g> of the first step's gradient, mean over the probed
            rounds.
        gradient_norm: ``[S, pairs]`` root mean square over the probed rounds of a pair's gradient's norm, in
            shares of all pairs' sum.
        flat: ``[S, pairs]`` part of the groups whose answers are worth the same.
        clipped: Part of the tokens whose gradient a bound stopped, mean over steps and seeds.
    """

    rounds: tuple[int, ...]
    curve: tuple[Measured, ...]
    share: Floats
    share_late: Floats
    gradient: Floats
    gradient_norm: Floats
    flat: Floats
    clipped: float


def train(start: Start, arm: Arm, settings: SimulatedSettings) -> Trained:
    """Train every seed of a block.

    Args:
        start: Where they start.
        arm: How.
        settings: Normalizers, advantages and sizes.
    """
    return _Training(start, arm, settings).run()


class _Training:
    def __init__(self, start: Start, arm: Arm, settings: SimulatedSettings) -> None:
        sizes = settings.sizes
        self.sizes: Sizes = replace(
            sizes,
            rounds=max(1, round(arm.length * sizes.rounds)),
            learning_rate=arm.learning_rate or sizes.learning_rate,
        )
        self.start, self.arm = start, arm
        tasks = settings.tasks if arm.tasks is None else arm.tasks
        self.mix = np.array([index for index, pair in enumerate(start.pairs) if pair.task in tasks])
        self.scoring = Scoring(start.seeds, start.pairs)
        self.policies = Policies(start.seeds, len(start.pairs), sizes.hidden)
        self.policies.load_state_dict(start.weights)
        self.reference = copy.deepcopy(self.policies)
        self.optimizer = torch.optim.Adam(self.policies.parameters(), lr=self.sizes.learning_rate)
        self.rewards = [
            SeedRewards(start.pairs, statistics, settings.normalizers[arm.normalizer], arm.captions)
            for statistics in start.statistics
        ]
        self.estimators = [copy.deepcopy(settings.advantages[arm.advantage]) for _ in start.seeds]
        self.chances = [np.random.default_rng([seed, 6]) for seed in start.seeds]
        shape = (self.sizes.rounds, len(start.seeds), len(start.pairs))
        self.squares, self.groups, self.flat = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.clipped: list[float] = []

    def run(self) -> Trained:
        rounds, seeds, pairs = self.squares.shape
        marks = sorted({round(rounds * (i + 1) / _CURVE) for i in range(_CURVE)})
        probes = sorted({rounds * i // _PROBES for i in range(_PROBES)})
        curve = []
        gradient, norm = np.full((seeds, pairs), np.nan), np.full((seeds, pairs), np.nan)
        gradient[:, self.mix] = norm[:, self.mix] = 0.0
        for index in range(rounds):
            inputs = self._rollout(index)
            if index in probes:
                products, squares = self._gradients(*inputs)
                gradient[:, self.mix] += products / len(probes)
                norm[:, self.mix] += squares / len(probes)
            self._update(*inputs)
            if index + 1 in marks:
                curve.append(measure(self.policies, self.scoring, self.sizes.test_questions))
        late = slice(rounds - max(1, rounds // 3), None)
        root = np.sqrt(norm)
        return Trained(
            rounds=tuple(marks),
            curve=tuple(curve),
            share=self._share(slice(None)),
            share_late=self._share(late),
            gradient=gradient,
            gradient_norm=root / np.nansum(root, axis=1, keepdims=True),
            flat=_ratio(self.flat.sum(axis=0), self.groups.sum(axis=0)),
            clipped=float(np.mean(self.clipped)),
        )

    def _rollout(self, index: int) -> tuple[Questions, torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """Ask, sample, reward: questions, tokens, the sampling policy's log-probabilities, advantages."""
        sizes = self.sizes
        turn = (index * sizes.groups + np.arange(sizes.groups)) % len(self.mix)
        pair = self.mix[turn]
        features = np.stack([chance.standard_normal((len(pair), FEATURES)) for chance in self.chances])
        uniform = np.stack([chance.random((len(pair), sizes.group_size, 3)) for chance in self.chances])
        questions = Questions(pair, features)
        with torch.no_grad():
            old = self.policies(questions)
        tokens = sample(old, uniform)
        outcome = self.scoring.outcomes(questions, tokens)
        exponents = self._exponents(index)
        found: list[Advantages] = []
        for seed, (rewards, estimator) in enumerate(zip(self.rewards, self.estimators, strict=True)):
            rewards.change(exponents)
            found.append(estimator(rewards.groups(pair, outcome[seed])))
            rewards.observe(pair, outcome[seed])
        values = np.stack([one.values for one in found])
        for column, p in enumerate(pair):
            self.squares[index, :, p] += np.square(values[:, column]).mean(axis=1)
            self.groups[index, :, p] += 1
            self.flat[index, :, p] += [one.reasons[column] == "zero_variance" for one in found]
        return questions, tokens, old, torch.from_numpy(values).float()

    def _exponents(self, index: int) -> Floats:
        """Of the scores of each pair in a round, see :class:`Difficulty`."""
        exponents = np.ones(len(self.start.pairs))
        if self.arm.difficulty is not None:
            progress = min(1.0, np.floor(20 * index / self.sizes.rounds) / 10)
            moved = [pair.dataset in self.arm.difficulty.datasets for pair in self.start.pairs]
            exponents[moved] = self.arm.difficulty.exponent**progress
        return exponents

    def _loss(
        self,
        questions: Questions,
        tokens: torch.Tensor,
        old: Sequence[torch.Tensor],
        advantages: torch.Tensor,
    ) -> torch.Tensor:
        """The sum of the seeds' losses; each has gradients only for its own weights."""
        mask = self.scoring.mask(questions, tokens)
        now = self.policies(questions)
        reference = None
        if self.arm.objective.kl_weight > 0:
            with torch.no_grad():
                reference = token_logps(self.reference(questions), tokens).flatten(0, 2)
        answers = tokens[0].shape[0] * tokens.shape[2]
        inputs = LossInputs(
            logps=token_logps(now, tokens).flatten(0, 2),
            old_logps=token_logps(old, tokens).flatten(0, 2),
            advantages=advantages.flatten(),
            mask=mask.flatten(0, 2),
            ref_logps=reference,
        )
        length = tokens.shape[3]
        written = int(mask.sum()) // len(tokens)
        sizes = Denominators(
            sequences=answers, tokens=written, round_tokens=float(written), max_length=length
        )
        loss, numbers = policy_loss(inputs, self.arm.objective, sizes)
        self.clipped.append(float(numbers.clip_low + numbers.clip_high))
        return loss

    def _update(
        self,
        questions: Questions,
        tokens: torch.Tensor,
        old: Sequence[torch.Tensor],
        advantages: torch.Tensor,
    ) -> None:
        for _ in range(self.sizes.updates):
            self.optimizer.zero_grad()
            self._loss(questions, tokens, old, advantages).backward()
            self.optimizer.step()

    def _gradients(
        self,
        questions: Questions,
        tokens: torch.Tensor,
        old: Sequence[torch.Tensor],
        advantages: torch.Tensor,
    ) -> tuple[Floats, Floats]:
        """Parts <g_p, g> / <g, g> of the pairs of the mix, and <g_p, g_p>, each ``[S, mix]``."""
        parts = []
        for p in self.mix:
            own = torch.from_numpy(questions.pair == p)
            loss = self._loss(questions, tokens, old, advantages * own[:, None])
            found = torch.autograd.grad(loss, list(self.policies.parameters()))
            parts.append(torch.cat([g.flatten(1) for g in found], dim=1))
        stacked = torch.stack(parts, dim=1).double()
        whole = stacked.sum(dim=1, keepdim=True)
        products = (stacked * whole).sum(dim=2) / whole.square().sum(dim=2).clamp(min=1e-30)
        return products.numpy(), stacked.square().sum(dim=2).numpy()

    def _share(self, rounds: slice) -> Floats:
        """As :func:`medgrpo.ablation.shares.shares`, over many rounds and for every seed."""
        means = _ratio(self.squares[rounds].sum(axis=0), self.groups[rounds].sum(axis=0))
        return means / np.nansum(means, axis=1, keepdims=True)


def _ratio(total: Floats, count: Floats) -> Floats:
    """NaN where nothing was counted."""
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
