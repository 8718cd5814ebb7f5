"""What is worthless by rule: answers that no judge is asked about, since even strong judges have been fooled.

A lone colon or "Thought process:" has earned praise from reference-based judges (arXiv:2507.08794); so has
sheer length.
"""

from __future__ import annotations

from dataclasses import dataclass

from medgrpo.errors import UserError
from medgrpo.rewards.judges.base import Rubric
from medgrpo.rewards.judges.replies import LOWEST
from medgrpo.types import Judgement

__all__ = ["Gates", "gated"]


@dataclass(frozen=True)
class Gates:
    """Rules that give an answer the lowest score, with status ``gated`` and the reason.

    Attributes:
        min_letters: Fewer letters than this are too short, unless they are a quarter of the reference's.
        min_letter_share: Below this share of letters among the visible characters an answer is no text.
        max_length_ratio: An answer is over-long when it has this many times the words of the reference.
        long_words: Below this many words no answer is over-long.
    """

    min_letters: int = 8
    min_letter_share: float = 0.3
    max_length_ratio: float = 4.0
    long_words: int = 60

    def __post_init__(self) -> None:
        if self.min_letters < 1 or self.long_words < 1 or self.max_length_ratio < 1.0:
            raise UserError("Gates: min_letters, long_words and max_length_ratio must be at least 1")
        if not 0.0 <= self.min_letter_share < 1.0:
            raise UserError(f"Gates: min_letter_share must be from 0 to below 1, got {self.min_letter_share}")

    def reason(self, reference: str, candidate: str) -> str:
        """Why an answer is worthless; empty if it is not."""
        letters, visible = _letters(candidate), sum(not c.isspace() for c in candidate)
        if visible == 0:
            return "The answer is empty."
        if letters == 0:
            return "The answer holds no words."
        if letters < self.min_letter_share * visible:
            return "The answer is no text: most of its characters are not letters."
        if letters < min(self.min_letters, 0.25 * _letters(reference)):
            return f"The answer is too short: {letters} letters."
        words = len(candidate.split())
        limit = max(self.long_words, int(self.max_length_ratio * len(reference.split())))
        return f"The answer has {words} words, more than the {limit} allowed." if words > limit else ""


def gated(model: str, rubric: Rubric, reason: str, prompt_hash: str = "") -> Judgement:
    """The lowest score throughout, for a reason."""
    names = [dimension.name for dimension in rubric.dimensions]
    return Judgement(
        model=model,
        rubric=rubric.name,
        scores=dict.fromkeys(names, float(LOWEST)),
        rationales=dict.fromkeys(names, reason),
        status="gated",
        prompt_hash=prompt_hash,
    )


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in text)
