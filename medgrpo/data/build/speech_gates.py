"""Which transcripts are used: those in the right language, of videos in which somebody explains something.

Recognisers write words for music and silence too. A video is judged by the share of its time in which words
are said, and by the language that was detected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medgrpo.errors import UserError

__all__ = ["SpeechGates", "speech_ratio"]

Span = tuple[float, float]


@dataclass(frozen=True)
class SpeechGates:
    """What a transcript must fulfil.

    Attributes:
        languages: Codes as Whisper writes them; empty takes every language.
        min_speech_ratio: Smallest share of the duration in which words are said, 0..1.
        min_words: Fewer are not worth telling a writer.
    """

    languages: Sequence[str] = ("en",)
    min_speech_ratio: float = 0.05
    min_words: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.min_speech_ratio <= 1:
            raise UserError(f"min_speech_ratio must be 0..1, got {self.min_speech_ratio}")
        if isinstance(self.languages, str):
            raise UserError(f"languages is a list of codes, got {self.languages!r}")

    def status(self, language: str, ratio: float, words: int) -> str:
        """``ok``, or why the transcript is not used: ``silent`` or ``language``.

        Silence comes first: a language that is detected in silence means nothing.

        Args:
            language: As detected.
            ratio: See :func:`speech_ratio`.
            words: How many were said.
        """
        if words < max(1, self.min_words) or ratio < self.min_speech_ratio:
            return "silent"
        if self.languages and language not in self.languages:
            return "language"
        return "ok"


def speech_ratio(spans: Iterable[Span], duration: float) -> float:
    """Share of a duration that spans cover together; where they overlap, time counts once.

    Args:
        spans: Start and end of words or sentences, seconds, in any order.
        duration: Seconds.
    """
    covered, reached = 0.0, 0.0
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, duration)
        if end > start:
            covered += end - start
            reached = end
    return covered / duration if duration > 0 else 0.0
