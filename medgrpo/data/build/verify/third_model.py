"""What a third model, of another family than both writers, writes about a sample of questions.

Two writers can agree and both be wrong. Where they are alike and a third is like neither, one of the two
sides errs: such questions are listed, for people to look at. How often it happens is in
:mod:`medgrpo.evaluation.writer_agreement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.verify.findings import Finding
from medgrpo.data.build.verify.sample import Sampled
from medgrpo.data.build.verify.similarity import Encoder, parts_of, similarities
from medgrpo.data.build.verify.terminology import Terminology, terminology_findings

__all__ = ["Comparison", "ThirdWriter", "compare_with_third"]

_BATCH = 64


class ThirdWriter(Protocol):
    """Writes texts as the two writers do, from the same prompts."""

    def write(self, questions: Sequence[Sampled]) -> Sequence[WrittenText]:
        """One text a question, in their order; one that failed has another status than ``ok``."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """What three models wrote about one question.

    Attributes:
        key: Of the draft.
        source: Dataset.
        task: Canonical task.
        video: Canonical id.
        status: Of the third text; the numbers are 0 unless it is ``ok``.
        text: The third text.
        model: That wrote it.
        pair: Similarity of the two writers.
        third: Writer to its similarity with the third.
        contradictions: Words of the third text that the annotation speaks against.
        shared_terms: Instruments, phases and findings that both writers name.
        missed_terms: Of these, those that the third does not name.
    """

    key: str
    source: str
    task: str
    video: str
    status: str
    text: str
    model: str
    pair: float
    third: dict[str, float]
    contradictions: int = 0
    shared_terms: int = 0
    missed_terms: tuple[str, ...] = ()

    def apart(self, threshold: float) -> bool:
        """Whether the two writers are alike and the third is like neither, by a threshold of similarity."""
        return self.status == "ok" and self.pair >= threshold > max(self.third.values(), default=1.0)


def compare_with_third(
    questions: Iterator[Sampled] | Sequence[Sampled],
    writer: ThirdWriter,
    encoder: Encoder,
    terminology: Terminology,
) -> Iterator[Comparison]:
    """Let a third model write about questions, and compare.

    Args:
        questions: Of a sample; those without two texts are passed over.
        writer: The third model.
        encoder: The one that the two writers were compared with.
        terminology: Finds instruments, phases and findings in texts.

    Raises:
        ValueError: If the writer gives another number of texts than it was asked for.
    """
    pairs = (one for one in questions if len(one[0].texts) == 2)
    while batch := list(islice(pairs, _BATCH)):
        texts = list(writer.write(batch))
        if len(texts) != len(batch):
            raise ValueError(f"the third writer gave {len(texts)} texts for {len(batch)} questions")
        yield from _compared(batch, texts, encoder, terminology)


def _compared(
    batch: Sequence[Sampled], texts: Sequence[WrittenText], encoder: Encoder, terminology: Terminology
) -> Iterator[Comparison]:
    usable = [_usable(sampled, text) for sampled, text in zip(batch, texts, strict=True)]
    sides = [
        (parts_of(pair.draft, pair.texts[name]), parts_of(pair.draft, text))
        for (pair, _, _), text in zip(batch, usable, strict=True)
        if text.status == "ok"
        for name in sorted(pair.texts)
    ]
    values = iter(similarities(encoder, sides))
    for (pair, _, facts), text in zip(batch, usable, strict=True):
        draft = pair.draft
        good = text.status == "ok"
        third = {name: next(values) for name in sorted(pair.texts)} if good else {}
        wrong: list[Finding] = []
        shared: set[str] = set()
        if good:
            wrong, _ = terminology_findings(terminology, draft, text, facts)
            one, other = (_named(terminology, written) for written in pair.texts.values())
            shared = one & other
        yield Comparison(
            draft.key,
            draft.clip.source,
            draft.task,
            draft.clip.canonical_id,
            text.status,
            text.text,
            text.model,
            pair.similarity if pair.similarity is not None else 0.0,
            third,
            len(wrong),
            len(shared),
            tuple(sorted(shared - _named(terminology, text))) if good else (),
        )


def _usable(sampled: Sampled, text: WrittenText) -> WrittenText:
    """The text, or one that says why it cannot be compared part by part."""
    draft = sampled[0].draft
    if text.status == "ok" and draft.task == "dense_captioning" and len(text.captions) != len(draft.events):
        return WrittenText(text.writer, text.model, "schema", text.text, text.captions)
    return text


def _named(terminology: Terminology, written: WrittenText) -> set[str]:
    return {mention.concept for mention in terminology.find(written.text) if not mention.negated}
