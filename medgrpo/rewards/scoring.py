"""The scores of one component, checked: an error is told by row, and what is no number is a failed reward."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.rewards.component import RawScore, RewardComponent
from medgrpo.tasks import Parsed
from medgrpo.types import Sample

__all__ = ["checked_scores"]


def checked_scores(
    name: str,
    component: RewardComponent,
    samples: Sequence[Sample],
    texts: Sequence[str],
    parsed: Sequence[Parsed],
) -> list[RawScore]:
    """Score answers with a component that may be anyone's code.

    Args:
        name: Of the component, for messages.
        component: Scores the answers.
        samples: The question of each answer.
        texts: The answers.
        parsed: What the tasks' parsers found in them.

    Returns:
        One score an answer. An infinite or missing value is NaN with the status ``not_finite``, and then what
        ``on_failed_reward`` says happens to the group: an infinite one would pass for a perfect answer.

    Raises:
        UserError: If the component raises, naming it, the first answer that it cannot score, and where in the
            code; or if it gives fewer or more scores than there are answers.
    """
    told = f"reward component {name!r} ({type(component).__name__})"
    try:
        scores = component.score(samples, texts, parsed)
    except UserError:
        raise
    except Exception as error:
        answer = _culprit(component, samples, texts, parsed)
        raise UserError(f"{told} raised {_described(error)} {answer}") from error
    if len(scores) != len(texts):
        raise UserError(f"{told} gave {len(scores)} scores for {len(texts)} answers")
    return [_finite(score) for score in scores]


def _finite(score: RawScore) -> RawScore:
    if math.isfinite(score.value):
        return score
    status = "not_finite" if score.status in ("ok", "gated") else score.status
    return replace(score, value=math.nan, status=status)


def _described(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).split("\n", 1)[0]
    return f"{type(error).__name__}{f': {text}' if text else ''} ({Path(frame.filename).name}:{frame.lineno})"


def _culprit(
    component: RewardComponent, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
) -> str:
    """The first answer that cannot be scored alone, in words."""
    for sample, text, found in zip(samples, texts, parsed, strict=True):
        try:
            component.score([sample], [text], [found])
        except Exception:
            return f"on row {sample.row} ({sample.id}), answer {text[:80]!r}"
    return f"on {len(texts)} answers together, though on none of them alone"
