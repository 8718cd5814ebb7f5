"""Scores of free-text answers: similarity, a judge, and the things that are named without being there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from medgrpo.errors import UserError
from medgrpo.evaluation.official.captions import CaptionJudge, CaptionPair, Encoder
from medgrpo.rewards.judges.vocabulary import Vocabulary, load_vocabulary
from medgrpo.types import Sample

__all__ = ["HIGHEST", "LOWEST", "CaptionScorer", "caption_scorer", "judged_means", "mentions"]

CaptionScorer = Callable[[Sequence[Sample], Sequence[str]], Sequence[Mapping[str, float]]]
"""For each free-text answer its scores: ``similarity`` in [0, 1] and, with a judge, ``judge`` in 1..5."""

LOWEST = 1.0
"""A judge's minimum: what an empty answer and a missed event have."""

HIGHEST = 5.0
"""A judge's maximum."""

_THINGS = {"instruments": "instrument", "anatomy": "anatomy"}


def caption_scorer(encoder: Encoder, judge: CaptionJudge | None = None) -> CaptionScorer:
    """Similarity by sentence embeddings, mentions by the lexicon and, if given, a judge.

    An empty answer has the minimum of similarity and judge.

    Args:
        encoder: Sentence embeddings.
        judge: Scores pairs of reference and answer.

    Returns:
        A scorer, which raises a ``UserError`` if a judge call fails: a failed judgement is not a score.
    """

    def score(samples: Sequence[Sample], texts: Sequence[str]) -> list[dict[str, float]]:
        references = [sample.answer or "" for sample in samples]
        encoder.encode([*references, *texts])  # one batch; what follows comes from its cache
        cosines = (encoder.encode(references) * encoder.encode(list(texts))).sum(axis=1)
        scores = [
            {"similarity": min(1.0, max(0.0, float(c))) if text.strip() else 0.0}
            for c, text in zip(cosines, texts, strict=True)
        ]
        for entry, reference, text in zip(scores, references, texts, strict=True):
            entry.update(mentions(reference, text))
        if judge is not None:
            asked = [i for i, text in enumerate(texts) if text.strip()]
            pairs = [CaptionPair.of_sample(samples[i], references[i], texts[i]) for i in asked]
            means = dict(zip(asked, judged_means(judge, pairs, [samples[i] for i in asked]), strict=True))
            for i, entry in enumerate(scores):
                entry["judge"] = means.get(i, LOWEST)
        return scores

    return score


def judged_means(judge: CaptionJudge, pairs: Sequence[CaptionPair], samples: Sequence[Sample]) -> list[float]:
    """The mean over a judge's aspects of each pair.

    Raises:
        UserError: If a call failed, naming the row of ``samples`` that it belongs to.
    """
    means = []
    for given, sample in zip(judge(pairs), samples, strict=True):
        if not given:
            raise UserError(
                f"row {sample.row} ({sample.id}): "
                "the judge gave no score, and strict scoring needs all of them"
            )
        means.append(sum(given.values()) / len(given))
    return means


def mentions(reference: str, text: str, vocabulary: Vocabulary | None = None) -> dict[str, float]:
    """How many instruments and structures answer and reference name, and how many only one of them does.

    A term is founded if the other side names it or a broader or narrower one ("forceps" for "grasper").

    Returns:
        For ``instruments`` and ``anatomy``, as ``<kind>:<count>``: ``said`` in the answer, ``unfounded``
        among those, ``true`` in the reference, ``unsaid`` among those.
    """
    words = vocabulary or load_vocabulary()
    true, said = words.read(reference), words.read(text)
    counts = {}
    for kind, category in _THINGS.items():
        wanted, given = true.of(category), said.of(category)
        counts[f"{kind}:said"] = float(len(given))
        counts[f"{kind}:unfounded"] = float(sum(not words.related(term, wanted) for term in given))
        counts[f"{kind}:true"] = float(len(wanted))
        counts[f"{kind}:unsaid"] = float(sum(not words.related(term, given) for term in wanted))
    return counts
