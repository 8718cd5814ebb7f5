"""From raw component values to one reward: normalise, gate by format, mix, and keep every number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent
from medgrpo.rewards.normalizers import LogisticNormalizer, Normalizer
from medgrpo.rewards.penalties import PENALTY, Penalty
from medgrpo.rewards.scoring import checked_scores
from medgrpo.rewards.statistics import Statistics
from medgrpo.services.files import file_hash
from medgrpo.tasks import Parsed, get_task
from medgrpo.types import ComponentScore, Judgement, PairKey, Reward, Sample

__all__ = ["CompositeReward", "leave_out"]


class CompositeReward:
    """The weighted mean of the components that a task is routed to.

    Weights are shares within a task. If one component fails, the reward is NaN: what then happens to the
    group is the trainer's decision, and :func:`leave_out` mixes again without the failed one.

    Args:
        components: By the name under which rollouts and logs show them; null leaves one out.
        normalizer: Brings components to a common scale; the paper's logistic by default.
        penalties: What an answer loses for how it is written, by the name under which it is shown.
        statistics: File that the ``baseline`` command wrote, read at :meth:`setup` or at the first score;
            None for a normalizer that needs none.
    """

    def __init__(
        self,
        components: dict[str, RewardComponent | None],
        normalizer: Normalizer | None = None,
        statistics: str | Statistics | None = None,
        penalties: dict[str, Penalty] | None = None,
    ) -> None:
        self.components = {name: part for name, part in components.items() if part is not None}
        if not self.components:
            raise UserError("CompositeReward needs at least one component")
        self.normalizer = normalizer or LogisticNormalizer()
        self.statistics = statistics
        self.penalties = dict(penalties or {})
        if shared := self.components.keys() & self.penalties.keys():
            raise UserError(f"{', '.join(sorted(shared))} names a reward component and a penalty")
        self._ready = False

    def setup(self) -> None:
        """Read the statistics and hand them to the normalizer; does nothing the second time.

        Raises:
            UserError: If the file is missing or broken, or the normalizer needs one and none is given.
        """
        if self._ready:
            return
        if isinstance(self.statistics, str):
            self.statistics = Statistics.load(self.statistics)
        self.normalizer.bind(self.statistics)
        self._ready = True

    def check(self, samples: Sequence[Sample]) -> None:
        """Fail before training instead of in it: every pair must have a component and its statistics.

        Raises:
            UserError: Naming the pair and, where there is one, the file.
        """
        self.setup()
        for sample in {s.pair: s for s in samples}.values():
            for _, component in self._routed(sample.task):
                self.normalizer.normalise(math.nan, sample.pair, component.metric(sample.task).name)

    def check_records(self, path: str | Path) -> None:
        """Warn if the statistics were made from other records than those in training.

        Args:
            path: The records file, which is read through.
        """
        self.setup()
        if isinstance(self.statistics, Statistics) and self.statistics.provenance.records_hash:
            self.statistics.check_records(file_hash(path))

    def score(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        """Reward answers.

        Args:
            samples: The question of each answer; repeats for the answers of a group.
            texts: The answers.

        Returns:
            One reward an answer, in order.

        Raises:
            UserError: If a task has no component, a pair no statistics, a row no reference, or a component
                raises.
        """
        self.setup()
        parsed, raw = self._raw(samples, texts)
        return [
            self._penalised(self.mix(sample.pair, scores, found), sample, text)
            for sample, text, found, scores in zip(samples, texts, parsed, raw, strict=True)
        ]

    def mix(self, pair: PairKey, raw: Mapping[str, RawScore], parsed: Parsed) -> Reward:
        """Make a reward of raw values: of an answer just scored, or of a stored one under another normalizer.

        Args:
            pair: (dataset, task).
            raw: What the components that the task is routed to made of the answer, by name.
            parsed: What the task's parser found in it.
        """
        _, task = pair
        total = math.fsum(self.components[name].tasks[task] for name in raw)
        scores: dict[str, ComponentScore] = {}
        judgement: Judgement | None = None
        for name, score in raw.items():
            component = self.components[name]
            scores[name] = self._component(pair, component.metric(task), score, component.tasks[task] / total)
            judgement = score.judgement or judgement
        return Reward(_mix(scores), scores, parsed.status, parsed.value, judgement)

    def raw_metrics(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[dict[str, float]]:
        """The raw value of every metric of every answer, NaN where it failed; needs no statistics."""
        return [
            {self.components[name].metric(sample.task).name: score.value for name, score in scores.items()}
            for sample, scores in zip(samples, self._raw(samples, texts)[1], strict=True)
        ]

    def observe(self, pairs: Sequence[PairKey], rewards: Sequence[Reward]) -> None:
        """Let normalizer and components see the raw values of a round, scored on all ranks."""
        seen = [
            (pair, name, score)
            for pair, reward in zip(pairs, rewards, strict=True)
            for name, score in reward.components.items()
            if name in self.components  # and not a penalty that the trainer added
        ]
        self.normalizer.observe([(pair, score.metric, score.raw) for pair, _, score in seen])
        for name, component in self.components.items():
            component.observe(
                [(pair, score.raw) for pair, own, score in seen if own == name and math.isfinite(score.raw)]
            )

    def diagnostics(self) -> dict[str, float]:
        """What the components noticed about themselves since the last call, as ``<component>/<name>``."""
        return {
            f"{name}/{key}": value
            for name, component in self.components.items()
            for key, value in component.diagnostics().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """What later rewards depend on: the states of the normalizer and the components that have one."""
        states = {name: component.state_dict() for name, component in self.components.items()}
        return {
            "normalizer": self.normalizer.state_dict(),
            "components": {name: state for name, state in states.items() if state},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with it."""
        self.normalizer.load_state_dict(state["normalizer"])
        for name, own in state["components"].items():
            if name in self.components:
                self.components[name].load_state_dict(own)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The bounds of every metric that :meth:`raw_metrics` can name."""
        specs = (c.metric(task) for c in self.components.values() for task in c.tasks)
        return {spec.name: (spec.low, spec.high) for spec in specs}

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that can be rewarded."""
        return frozenset(task for component in self.components.values() for task in component.tasks)

    def _routed(self, task: str) -> list[tuple[str, RewardComponent]]:
        routed = [(name, c) for name, c in self.components.items() if task in c.tasks]
        if not routed:
            raise UserError(
                f"no reward component is routed to task {task!r}; name it in the tasks of one of "
                f"{', '.join(self.components)}, or leave it out of the training records"
            )
        return routed

    def _raw(
        self, samples: Sequence[Sample], texts: Sequence[str]
    ) -> tuple[list[Parsed], list[dict[str, RawScore]]]:
        if len(samples) != len(texts):
            raise ValueError(f"{len(samples)} samples but {len(texts)} answers")
        for task in dict.fromkeys(sample.task for sample in samples):
            self._routed(task)
        parsed = [
            get_task(sample.task).parse(text, sample) for sample, text in zip(samples, texts, strict=True)
        ]
        raw: list[dict[str, RawScore]] = [{} for _ in samples]
        for name, component in self.components.items():
            rows = [i for i, sample in enumerate(samples) if sample.task in component.tasks]
            if not rows:
                continue
            scores = checked_scores(
                name,
                component,
                [samples[i] for i in rows],
                [texts[i] for i in rows],
                [parsed[i] for i in rows],
            )
            for i, score in zip(rows, scores, strict=True):
                raw[i][name] = score
        return parsed, raw

    def _penalised(self, reward: Reward, sample: Sample, text: str) -> Reward:
        if not self.penalties:
            return reward
        lost = {name: penalty.score(sample, text) for name, penalty in self.penalties.items()}
        scores = {**reward.components, **lost}
        return dataclasses.replace(reward, value=_mix(scores), components=scores)

    def _component(self, pair: PairKey, spec: MetricSpec, raw: RawScore, weight: float) -> ComponentScore:
        accuracy = self.normalizer.normalise(raw.value, pair, spec.name)
        value = accuracy.value
        factors: dict[str, float] = {}
        if raw.format is not None:
            # A plain product where the floor is 0, as for the logistic. An unbounded normalizer goes below 0:
            # there a product would rank an invalid answer above a poor one.
            floor = self.normalizer.floor(pair, spec.name, spec.low)
            value = floor + raw.format * (accuracy.value - floor)
            factors = {"format": raw.format, "accuracy": accuracy.value}
        return ComponentScore(
            raw=raw.value,
            normalised=value,
            weight=weight,
            metric=spec.name,
            normalizer=accuracy.name,
            p25=accuracy.p25,
            p50=accuracy.p50,
            p75=accuracy.p75,
            k=accuracy.k,
            status=raw.status,
            factors=factors,
        )


def leave_out(reward: Reward, names: Collection[str]) -> Reward:
    """The same reward without some components, weights shared anew among the rest; penalties stay.

    For a group in which a judge failed: all of its answers are mixed again from the similarity alone.
    The value is NaN if nothing is left. Components that are left out keep their numbers with weight 0.
    """
    mixed = {name: c for name, c in reward.components.items() if c.normalizer != PENALTY}
    rest = math.fsum(c.weight for name, c in mixed.items() if name not in names)
    again = {
        name: dataclasses.replace(c, weight=0.0 if name in names or rest == 0 else c.weight / rest)
        for name, c in mixed.items()
    }
    scores = {**reward.components, **again}
    return dataclasses.replace(reward, value=_mix(scores), components=scores)


def _mix(scores: Mapping[str, ComponentScore]) -> float:
    """The weighted mean less the penalties; NaN if no component has a weight."""
    used = [c for c in scores.values() if c.weight > 0]
    if all(c.normalizer == PENALTY for c in used):
        return math.nan
    return math.fsum(c.weight * c.normalised for c in used)
