"""What checks say about a question or a text, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipFacts

__all__ = ["CHECKS", "Finding", "KeptClip", "KeptPair", "Rejection"]

CHECKS = (
    "repeated",
    "writer",
    "format",
    "times",
    "leakage",
    "terminology",
    "similarity",
    "near_duplicate",
)
"""Names of the checks, in the order in which a rejection is put down to one of several."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Attributes:
        check: One of :data:`CHECKS`.
        detail: What is wrong, one line.
        writer: Whose text it is; empty for the question, a structured answer, or both texts together.
        numbers: What was measured.
    """

    check: str
    detail: str
    writer: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptPair:
    """A question with its answer or answers.

    Attributes:
        draft: The question.
        texts: Writer to text; empty where the draft has its own answer.
        similarity: Of the two texts, -1..1; None where there are not two.
    """

    draft: Draft
    texts: Mapping[str, WrittenText] = field(default_factory=dict)
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class KeptClip:
    """What is left of the questions about a clip.

    Attributes:
        clip: The clip.
        pictures: Its frames.
        facts: What is known about it.
        pairs: Questions with answers, in the order of the drafts.
    """

    clip: BuildClip
    pictures: ClipPictures
    facts: ClipFacts
    pairs: tuple[KeptPair, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A question, or one writer's text of it, that was set aside.

    Attributes:
        check: What it is put down to: the first of :data:`CHECKS` among the findings.
        findings: All that is wrong with it.
        draft: The question.
        texts: Writer to text.
        similarity: Of the two texts; None where it was not measured.
        split: Which split it would have been in, where that was known.
    """

    check: str
    findings: tuple[Finding, ...]
    draft: Draft
    texts: Mapping[str, WrittenText] = field(default_factory=dict)
    similarity: float | None = None
    split: str | None = None
