"""A judge without a model: compares what two captions say, in the words of a surgical lexicon.

Deterministic, offline and fast enough to score every rollout. It knows synonyms, inflections, negation, order
and which instrument does what to which structure; it does not know what it has no word for, where it falls
back to comparing words. It is the default of the demo and a check on other judges, not a clinician.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from medgrpo.rewards.judges.base import Judge, JudgeRequest, load_rubric
from medgrpo.rewards.judges.gates import Gates, gated
from medgrpo.rewards.judges.vocabulary import Reading, Vocabulary, load_vocabulary, normalise_text
from medgrpo.types import Judgement

__all__ = ["LexiconJudge"]

_GATES = Gates()
_VERSION = 2  # rises whenever a score could change
_CAP = 2.0
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")


@dataclass(frozen=True, slots=True)
class _Overlap:
    """Agreement of two sets of concepts: an F1 in which a broader or narrower term counts half."""

    f1: float
    shared: tuple[str, ...]
    missed: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether something else stands where the reference names something."""
        return bool(self.missed and self.extra)


class LexiconJudge(Judge):
    """Scores the five dimensions of ``medgrpo-five@1`` by overlap with the reference.

    Scores are fractions between 1 and 5: they order answers more finely than whole points do. An answer that
    that does not pass the gates gets 1 throughout with status ``gated``.
    Sentences that address a judge are not read.

    Args:
        gates: Which answers are worthless by rule.
        cache_size: How many judged pairs are kept.
    """

    def __init__(self, gates: Gates = _GATES, cache_size: int = 100_000) -> None:
        self.rubric = load_rubric("medgrpo-five@1")
        self.gates = gates
        self.vocabulary: Vocabulary = load_vocabulary()
        self._read = lru_cache(maxsize=20_000)(self.vocabulary.read)
        self._compare = lru_cache(maxsize=cache_size)(self._judge)

    @property
    def id(self) -> str:
        """``lexicon-<version of the rules>.<version of the vocabulary>``."""
        return f"lexicon-{_VERSION}.{self.vocabulary.version}"

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """See :meth:`Judge.judge`; never fails."""
        return [self._compare(request.reference, request.candidate) for request in requests]

    def __getstate__(self) -> dict[str, object]:
        return {"gates": self.gates}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _judge(self, reference: str, candidate: str) -> Judgement:
        if normalise_text(reference).split() == normalise_text(candidate).split() and _has_letter(candidate):
            return self._judgement(dict.fromkeys(self._names, (5.0, "Says what the reference says.")))
        described, removed = self._described(candidate)
        gate = self._gate(reference, candidate, described)
        if gate:
            return gated(self.id, self.rubric, gate)
        scored = self._score(self._read(reference), self._read(described))
        if removed:
            scored = {
                k: (s, f"{why} Text addressed to the judge was not read.") for k, (s, why) in scored.items()
            }
        return self._judgement(scored)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(d.name for d in self.rubric.dimensions)

    def _judgement(self, scored: dict[str, tuple[float, str]]) -> Judgement:
        return Judgement(
            model=self.id,
            rubric=self.rubric.name,
            scores={name: round(score, 4) for name, (score, _) in scored.items()},
            rationales={name: why for name, (_, why) in scored.items()},
        )

    def _described(self, candidate: str) -> tuple[str, bool]:
        """The answer without the sentences that are aimed at a judge, and whether there were any."""
        if not self.vocabulary.injection.search(candidate):
            return candidate, False
        kept = [s for s in _SENTENCE.findall(candidate) if not self.vocabulary.injection.search(s)]
        return "".join(kept), True

    def _gate(self, reference: str, candidate: str, described: str) -> str:
        if reason := self.gates.reason(reference, candidate):
            return reason
        return "" if _has_letter(described) else "The answer addresses the judge and describes nothing."

    def _score(self, ref: Reading, can: Reading) -> dict[str, tuple[float, str]]:
        clinical = ("instrument", "anatomy", "action", "context", "state")
        words = self._overlap(self._items(ref), self._items(can))

        terms = self._overlap(ref.of(*clinical), can.of(*clinical)) if ref.of(*clinical) else words

        instruments = self._overlap(ref.of("instrument"), can.of("instrument"))
        anatomy = self._overlap(ref.of("anatomy"), can.of("anatomy"))
        named = [
            part for part, category in ((instruments, "instrument"), (anatomy, "anatomy")) if ref.of(category)
        ] or [words]
        wrong = instruments.wrong or anatomy.wrong
        identification = _points(sum(part.f1 for part in named) / len(named))

        filler = [w for w in can.vague if w not in ref.vague]
        particulars = len(self._items(can))
        specificity = words.f1 * (1.0 - len(filler) / max(1, len(filler) + particulars))

        setting = ("anatomy", "action", "state")
        scene = self._overlap(ref.of(*setting), can.of(*setting)) if ref.of(*setting) else words
        context = scene
        context_score = scene.f1
        if ref.of("context"):
            context = self._overlap(ref.of("context"), can.of("context"))
            context_score = 0.6 * context.f1 + 0.4 * scene.f1

        actions = self._overlap(ref.of("action"), can.of("action")) if ref.actions else words
        order = 0.5 * _order(ref.actions, can.actions) + 0.5 * _order(ref.things, can.things)
        bonds = _set_f1(ref.bonds, can.bonds) if ref.bonds else 1.0
        action_score = actions.f1 * (0.4 + 0.3 * order + 0.3 * bonds)
        if ref.of("state"):
            action_score = 0.8 * action_score + 0.2 * self._overlap(ref.of("state"), can.of("state")).f1
        action = _points(action_score)

        found = _Overlap(
            0.0,
            tuple(t for p in named for t in p.shared),
            tuple(t for p in named for t in p.missed),
            tuple(t for p in named for t in p.extra),
        )
        capped = " A wrong instrument or structure caps this at 2." if wrong else ""
        doing = _why(actions)
        if order < 1.0 and actions.shared and not actions.missed:
            doing = doing[:-1] + "; order or targets differ."
        vague = f"Vague: {', '.join(dict.fromkeys(filler))}. " if filler else ""
        return {
            "terminology": (_points(terms.f1), _why(terms)),
            "identification": (min(identification, _CAP) if wrong else identification, _why(found) + capped),
            "specificity": (_points(specificity), vague + _why(words)),
            "context": (_points(context_score), _why(context)),
            "action": (min(action, _CAP) if wrong else action, doing + capped),
        }

    def _items(self, reading: Reading) -> frozenset[str]:
        return reading.of(*self.vocabulary.categories) | reading.words

    def _overlap(self, ref: Set[str], can: Set[str]) -> _Overlap:
        if not ref or not can:
            return _Overlap(float(not ref and not can), (), tuple(sorted(ref)), tuple(sorted(can)))
        related = self.vocabulary.related

        def credit(term: str, others: Set[str]) -> float:
            return 1.0 if term in others else 0.5 if related(term, others) else 0.0

        recall = {term: credit(term, can) for term in ref}
        precision = {term: credit(term, ref) for term in can}
        r, p = sum(recall.values()) / len(ref), sum(precision.values()) / len(can)
        return _Overlap(
            2 * r * p / (r + p) if r + p else 0.0,
            tuple(sorted(t for t, c in recall.items() if c)),
            tuple(sorted(t for t, c in recall.items() if not c)),
            tuple(sorted(t for t, c in precision.items() if not c)),
        )


def _has_letter(text: str) -> bool:
    return any(c.isalpha() for c in text)


def _points(agreement: float) -> float:
    return 1.0 + 4.0 * min(max(agreement, 0.0), 1.0)


def _set_f1(ref: Set[tuple[str, str]], can: Set[tuple[str, str]]) -> float:
    return 2 * len(ref & can) / (len(ref) + len(can)) if ref or can else 1.0


def _order(ref: Sequence[str], can: Sequence[str]) -> float:
    """Longest common subsequence over the longer sequence; 1 when both are empty."""
    if not ref and not can:
        return 1.0
    row = [0] * (len(can) + 1)
    for a in ref:
        diagonal = 0
        for j, b in enumerate(can, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if a == b else max(row[j], row[j - 1])
    return row[-1] / max(len(ref), len(can))


def _why(overlap: _Overlap) -> str:
    parts = []
    for label, terms in (
        ("as in the reference", overlap.shared),
        ("missed", overlap.missed),
        ("not in the reference", overlap.extra),
    ):
        if terms:
            more = f" and {len(terms) - 6} more" if len(terms) > 6 else ""
            parts.append(f"{label}: {', '.join(terms[:6])}{more}")
    sentence = "; ".join(parts) or "nothing to compare"
    return sentence[0].upper() + sentence[1:] + "."
