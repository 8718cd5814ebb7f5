"""Verification as a stream: clips with drafts and texts come in, what may stay and what may not goes out.

Of what has passed, only counts, histograms and eight bytes a question are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipCandidates, ClipFacts
from medgrpo.data.build.verify.findings import CHECKS, Finding, KeptClip, KeptPair, Rejection
from medgrpo.data.build.verify.format import answer_format, text_format
from medgrpo.data.build.verify.leakage import answer_leakage, object_leakage, text_leakage
from medgrpo.data.build.verify.report import VerificationReport
from medgrpo.data.build.verify.similarity import Encoder, parts_of, similarities
from medgrpo.data.build.verify.terminology import Terminology, terminology_findings
from medgrpo.data.build.verify.times import answer_times, text_times
from medgrpo.errors import UserError
from medgrpo.services.encoder import SentenceEncoder

__all__ = ["THRESHOLD", "Verifier"]

THRESHOLD = 0.3
"""Similarity below which the paper drops a pair."""

_BATCH = 256
"""Clips whose texts are embedded together."""


@dataclass
class _Question:
    """A question on its way through the checks."""

    draft: Draft
    texts: Mapping[str, WrittenText]
    findings: list[Finding]
    good: tuple[str, ...] = ()
    unchecked: int = 0
    similarity: float | None = None


class Verifier:
    """Checks questions and texts.

    Args:
        encoder: For similarity; None is the packaged one.
        threshold: Similarity below which both texts of a pair are dropped.
        keep_single: Whether the text of one writer may stay where that of the other failed. It was then
            compared with nothing.
        terminology: File of terms; None is the shipped one.

    Raises:
        UserError: If the threshold is no cosine, or the terms cannot be read.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        threshold: float = THRESHOLD,
        keep_single: bool = False,
        terminology: str | None = None,
    ) -> None:
        if not -1.0 <= threshold <= 1.0:
            raise UserError(f"verify: threshold must be from -1 to 1, got {threshold}")
        self.encoder = encoder if encoder is not None else SentenceEncoder()
        self.threshold = threshold
        self.keep_single = keep_single
        self.terminology = terminology
        self._terms = Terminology(terminology)
        self.report = VerificationReport(
            {
                "encoder": self.encoder.id,
                "threshold": threshold,
                "keep_single": keep_single,
                "terms_version": self._terms.version,
            }
        )
        self._seen: set[int] = set()

    def verify(self, clips: Iterable[ClipCandidates]) -> Iterator[tuple[KeptClip, tuple[Rejection, ...]]]:
        """For each clip what is kept and what is rejected, in the order of the clips.

        Raises:
            UserError: If a text is missing, or the encoder cannot be loaded.
        """
        batch: list[ClipCandidates] = []
        for clip in clips:
            batch.append(clip)
            if len(batch) == _BATCH:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, clips: list[ClipCandidates]) -> Iterator[tuple[KeptClip, tuple[Rejection, ...]]]:
        asked = [[self._checked(draft, clip) for draft in clip.drafts] for clip in clips]
        pairs = [one for one in chain.from_iterable(asked) if len(one.good) == 2]
        sides = [tuple(parts_of(one.draft, one.texts[name]) for name in one.good) for one in pairs]
        for one, value in zip(pairs, similarities(self.encoder, [(a, b) for a, b in sides]), strict=True):
            one.similarity = value
            self.report.similarity(one.draft, value)
            if value < self.threshold:
                told = f"the two texts are less alike than {self.threshold:g}"
                one.findings.append(Finding("similarity", told, numbers={"similarity": value}))
        for clip, questions in zip(clips, asked, strict=True):
            kept, rejected = [], []
            for one in questions:
                stays, goes = self._decided(one)
                kept += [stays] if stays else []
                rejected += [goes] if goes else []
            yield KeptClip(clip.clip, clip.pictures, clip.facts, tuple(kept)), tuple(rejected)

    def _checked(self, draft: Draft, clip: ClipCandidates) -> _Question:
        """A question with all that is wrong with it, and the writers whose texts are not."""
        facts = clip.facts
        found: list[Finding] = []
        if self._again(draft.key):
            found.append(Finding("repeated", "the same question about the same clip was there before"))
        if draft.answer is not None:
            found += answer_format(draft, facts, clip.pictures)
            found += answer_times(draft)
            found += answer_leakage(draft, facts)
            return _Question(draft, {}, found)
        texts = dict(sorted(clip.texts.get(draft.key, {}).items()))
        if not 1 <= len(texts) <= 2:
            raise UserError(
                f"verify: question {draft.key!r} ({draft.task}) has no answer and {len(texts)} texts; "
                "expected those of two writers"
            )
        found += answer_times(draft)
        found += object_leakage(draft)
        one = _Question(draft, texts, found)
        if len(texts) == 1 and not self.keep_single:
            found.append(Finding("writer", "there is the text of one writer only"))
        one.good = tuple(name for name, written in texts.items() if self._passes(one, written, facts))
        if any(not finding.writer for finding in found):
            one.good = ()
        return one

    def _passes(self, one: _Question, written: WrittenText, facts: ClipFacts) -> bool:
        """Whether nothing is wrong with a text by itself; what is, is noted."""
        draft, before = one.draft, len(one.findings)
        if written.status != "ok":
            told = f"{written.status}{': ' if written.detail else ''}{written.detail}"
            one.findings.append(Finding("writer", told, written.writer))
            return False
        one.findings += text_format(draft, written)
        one.findings += text_times(draft, written)
        one.findings += text_leakage(draft, written, facts)
        contradictions, unchecked = terminology_findings(self._terms, draft, written, facts)
        one.findings += contradictions
        one.unchecked += unchecked
        return len(one.findings) == before

    def _again(self, key: str) -> bool:
        """Whether a question came before; 64 bits of its key are kept."""
        mark = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
        if mark in self._seen:
            return True
        self._seen.add(mark)
        return False

    def _decided(self, one: _Question) -> tuple[KeptPair | None, Rejection | None]:
        """What is kept of a question and what is not: all, nothing or, if that is allowed, one text."""
        findings = tuple(sorted(one.findings, key=lambda finding: CHECKS.index(finding.check)))
        whole = [finding for finding in findings if not finding.writer]
        single = self.keep_single and not whole and len(one.good) >= 1
        stays = not findings or single
        self.report.question(one.draft, findings, None if stays else findings[0].check)
        good = {name: one.texts[name] for name in one.good} if stays else {}
        bad = {name: text for name, text in one.texts.items() if name not in good}
        kept = KeptPair(one.draft, good, one.similarity) if stays else None
        rejection = None
        if findings:
            rejection = Rejection(findings[0].check, findings, one.draft, bad, one.similarity)
        self.report.texts(one.draft, len(good), len(bad), one.unchecked)
        return kept, rejection
