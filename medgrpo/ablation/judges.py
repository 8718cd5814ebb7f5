"""Judges compared on captions of known worth: does a caption score above what was made worse of it?"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from medgrpo.ablation.corruptions import KINDS, corrupted, ladder, load_terms, paraphrase, synonym
from medgrpo.errors import UserError
from medgrpo.rewards import Judge, JudgeRequest, Rubric, load_rubric
from medgrpo.services.encoder import SentenceEncoder
from medgrpo.types import Judgement

__all__ = [
    "JudgesSettings",
    "SimilarityJudge",
    "available_judges",
    "caption_pairs",
    "judges_report",
    "read_judges",
]

Floats = NDArray[np.float64]
_DRAWS = 1000
GOOD = ("synonym", "paraphrase", "reference")
"""Captions that say what the reference says: one term in other words, all terms, the reference itself."""


class SimilarityJudge(Judge):
    """The similarity reward as a judge: the cosine of two captions' embeddings, 1 to 5 for 0 to 1.

    Args:
        encoder: Embeds the texts; the packaged all-MiniLM-L6-v2 by default.
    """

    def __init__(self, encoder: SentenceEncoder | None = None) -> None:
        self.encoder = encoder or SentenceEncoder()
        self.rubric: Rubric = replace(
            load_rubric("medgrpo-five@1"), id="similarity", version=1, dimensions=(), rules=()
        )

    @property
    def id(self) -> str:
        """The encoder's."""
        return f"similarity:{self.encoder.id}"

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """See :meth:`medgrpo.rewards.Judge.judge`."""
        texts = [request.candidate for request in requests] + [request.reference for request in requests]
        vectors = self.encoder.encode(texts)
        cosines = np.einsum("nd,nd->n", vectors[: len(requests)], vectors[len(requests) :], dtype=np.float64)
        return [
            Judgement(self.id, self.rubric.name, {"similarity": 1.0 + 4.0 * max(0.0, float(cosine))}, {})
            for cosine in cosines
        ]


@dataclass(frozen=True)
class JudgesSettings:
    """Which judges are compared.

    Attributes:
        judges: Name to ``lexicon``, ``similarity``, or a judge's YAML file as ``--judge`` takes it.
        needs: Name to the environment variable without which that judge is left out: the address of a model's
            server, or the key of an API. A judge that no model answers for has no numbers.
        captions: How many captions of the synthetic world are judged beside the written ones.
    """

    judges: dict[str, str] = field(default_factory=lambda: {"lexicon": "lexicon", "similarity": "similarity"})
    needs: dict[str, str] = field(default_factory=dict)
    captions: int = 60

    def __post_init__(self) -> None:
        if unknown := sorted(self.needs.keys() - self.judges.keys()):
            raise UserError(f"judges: needs names {unknown[0]!r}, which is none of {', '.join(self.judges)}")
        if self.captions < 0:
            raise UserError(f"judges: captions must be at least 0, got {self.captions}")


def read_judges(path: Path, overrides: Sequence[str] = ()) -> JudgesSettings:
    """Read the settings of a YAML file, with ``key=value`` overrides.

    Raises:
        UserError: Naming the file and the key that is wrong.
    """
    from medgrpo.ablation.settings_file import read_typed

    return read_typed(JudgesSettings, path, overrides)


def available_judges(settings: JudgesSettings) -> tuple[dict[str, Judge], dict[str, str]]:
    """The judges that can be asked here, and why the others cannot.

    Raises:
        UserError: If a judge's file is wrong.
    """
    from medgrpo.commands.judge_option import judge_option

    found: dict[str, Judge] = {}
    missing: dict[str, str] = {}
    for name, source in settings.judges.items():
        variable = settings.needs.get(name)
        if variable is not None and not os.environ.get(variable):
            missing[name] = f"{source} needs {variable}, which is not set"
        else:
            found[name] = SimilarityJudge() if source == "similarity" else judge_option(source)
    return found, missing


def caption_pairs(captions: int, seed: int) -> list[JudgeRequest]:
    """Reference captions: the written ones, then some of the synthetic world, all different.

    Args:
        captions: How many of the world's summaries and region captions.
        seed: Of the world.
    """
    from medgrpo.data.synthetic.videos import clip_rows, video_clips

    question = "What happens in the clip?"
    found = {
        text: JudgeRequest(question, text, "", "written", "video_summary") for text in load_terms().captions
    }
    whole = len(found) + captions
    video = 0
    while len(found) < whole:
        for plan in video_clips(video, seed):
            for row in clip_rows(plan, plan.scene()):
                task = row["qa_type"].rpartition("_")[0]
                asked, answer = (turn["value"] for turn in row["conversations"])
                if task in ("video_summary", "region_caption") and answer not in found and len(found) < whole:
                    found[answer] = JudgeRequest(
                        asked.removeprefix("<video>\n"), answer, "", row["dataset_name"], task
                    )
        video += 1
    return list(found.values())


def judges_report(judges: Mapping[str, Judge], pairs: Sequence[JudgeRequest], seed: int) -> dict[str, Any]:
    """Ask every judge about the same good and bad captions.

    Good are each reference itself and two rewordings of it (:data:`GOOD`), bad are its corruptions.
    Judgements that failed are left out and counted.

    Args:
        judges: By name.
        pairs: Questions with their references; their candidates are not read. At least two.
        seed: Of the corruptions and the bootstrap.

    Returns:
        Ready for JSON. ``judges``: for each its id, rubric, number of failed judgements, the mean ``score``
        of each good caption, and ``kinds``: for each kind of corruption, by good caption, the share of
        references whose good caption scores above the corruption (``within``; a tie counts half: the AUC
        within a reference), the AUC of all references' good captions against all corruptions (``across``),
        and the mean ``score``. ``all``: the mean of ``within`` over the kinds. ``ladder``: Kendall's tau of
        the score and the number of errors, 1 for a judge that sees them all. ``addressed``: what a sentence
        to the judge adds to a wrong caption's score. ``examples``: one text of each kind. Intervals are
        percentiles of a bootstrap over references.

    Raises:
        UserError: If there are fewer than two references, or two are the same.
    """
    if len({pair.reference for pair in pairs}) != len(pairs) or len(pairs) < 2:
        raise UserError(f"comparing judges needs at least two references, all different; got {len(pairs)}")
    cases = [_case(pair, pairs, Random(f"{seed} {index}")) for index, pair in enumerate(pairs)]
    return {
        "seed": seed,
        "references": len(pairs),
        "judges": {name: _judged(judge, pairs, cases, seed) for name, judge in judges.items()},
        "examples": {kind: _example(kind, pairs, cases) for kind in (*GOOD[:2], *KINDS)},
    }


def _case(pair: JudgeRequest, pairs: Sequence[JudgeRequest], chance: Random) -> dict[str, str]:
    """Every text about one reference, by kind; rungs of the ladder are numbered."""
    text = pair.reference
    texts = {"reference": text, "paraphrase": paraphrase(text, chance), "synonym": synonym(text, chance)}
    rungs = {f"rung {errors}": text for errors, text in enumerate(ladder(text, chance))}
    return texts | corrupted(pair, pairs, chance) | rungs


def _judged(
    judge: Judge, pairs: Sequence[JudgeRequest], cases: Sequence[Mapping[str, str]], seed: int
) -> dict[str, Any]:
    asked = [(index, kind) for index, case in enumerate(cases) for kind in case]
    judgements = judge.judge([replace(pairs[i], candidate=cases[i][kind]) for i, kind in asked])
    scores: dict[str, Floats] = {}
    for (index, kind), judgement in zip(asked, judgements, strict=True):
        scores.setdefault(kind, np.full(len(pairs), np.nan))[index] = judgement.mean
    kinds = [kind for kind in KINDS if kind in scores]
    within = {good: {kind: _above(scores[good], scores[kind]) for kind in kinds} for good in GOOD}
    addressed = scores.get("wrong action, judge addressed")
    return {
        "id": judge.id,
        "rubric": judge.rubric.name,
        "judgements": len(asked),
        "failed": sum(math.isnan(judgement.mean) for judgement in judgements),
        "score": {good: _resampled(scores[good], seed) for good in GOOD},
        "kinds": {
            kind: {
                "within": {good: _resampled(within[good][kind], seed) for good in GOOD},
                "across": {good: _across(scores[good], scores[kind], seed) for good in GOOD},
                "score": _resampled(scores[kind], seed),
            }
            for kind in kinds
        },
        "all": {
            good: _resampled(_mean_of_known(list(parts.values())), seed) for good, parts in within.items()
        },
        "ladder": _resampled(_taus(scores), seed),
        "addressed": None if addressed is None else _resampled(addressed - scores["wrong action"], seed),
    }


def _above(good: Floats, bad: Floats) -> Floats:
    """1 where the first is above the second, half for a tie, NaN where one is missing; ``[references]``."""
    return np.where(np.isnan(good) | np.isnan(bad), np.nan, (good > bad) + 0.5 * (good == bad))


def _across(good: Floats, bad: Floats, seed: int) -> dict[str, Any]:
    """AUC over all references; one that is drawn brings its good and its bad caption."""
    known = ~np.isnan(bad) & ~np.isnan(good)
    above = _above(good[known, None], bad[known][None])
    weights = _weights(len(above), seed)
    drawn = np.einsum("di,ij,dj->d", weights, above, weights, optimize=True) / max(len(above), 1) ** 2
    return _interval(above, drawn, len(above))


def _resampled(values: Floats, seed: int) -> dict[str, Any]:
    """The mean of the references that have a value."""
    known = values[~np.isnan(values)]
    return _interval(known, _weights(len(known), seed) @ known / max(len(known), 1), len(known))


def _weights(count: int, seed: int) -> Floats:
    """How often each of some references is drawn, ``[draws, count]``."""
    if count == 0:
        return np.zeros((_DRAWS, 0))
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _DRAWS)
    return drawn.astype(np.float64)


def _interval(values: Floats, drawn: Floats, count: int) -> dict[str, Any]:
    """Mean and percentile interval of 95%; no interval of fewer than two references."""
    if count == 0:
        return {"mean": None, "low": None, "high": None, "n": 0}
    low, high = np.quantile(drawn, (0.025, 0.975)) if count > 1 else (np.nan, np.nan)
    told = {"mean": float(values.mean()), "low": float(low), "high": float(high)}
    return {key: round(value, 4) if math.isfinite(value) else None for key, value in told.items()} | {
        "n": count
    }


def _mean_of_known(columns: Sequence[Floats]) -> Floats:
    """The mean of several numbers of each reference; NaN where it has none."""
    stacked = np.stack(columns)
    count = (~np.isnan(stacked)).sum(axis=0)
    return np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan)


def _taus(scores: Mapping[str, Floats]) -> Floats:
    """Kendall's tau-b of the score and the number of errors, turned to be 1 where every error costs."""
    rungs = [scores[kind] for kind in sorted(kind for kind in scores if kind.startswith("rung "))]
    return np.array([_tau(own[~np.isnan(own)]) for own in np.stack(rungs, axis=1)])


def _tau(scores: Floats) -> float:
    if len(scores) < 2:
        return math.nan
    return -float(kendalltau(scores, range(len(scores))).statistic) if np.ptp(scores) > 0 else 0.0


def _example(
    kind: str, pairs: Sequence[JudgeRequest], cases: Sequence[Mapping[str, str]]
) -> dict[str, str] | None:
    for pair, case in zip(pairs, cases, strict=True):
        if kind in case:
            return {"reference": pair.reference, "text": case[kind]}
    return None
