"""Any judge as the function that the caption columns call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.official import CaptionJudge, CaptionPair, task_of

__all__ = ["as_caption_judge", "judge_names", "named_judge"]


def as_caption_judge(judge: Any) -> CaptionJudge | None:
    """A caption judge from None, a function over caption pairs, or an object with ``judge(requests)``.

    Raises:
        UserError: If it is none of these.
    """
    if judge is None:
        return None
    method = getattr(judge, "judge", None)
    if callable(method):
        return _requesting(method)
    if callable(judge):
        function: CaptionJudge = judge
        return function
    raise UserError(f"a judge must be callable or have a method judge(requests), got {type(judge).__name__}")


def _requesting(method: Any) -> CaptionJudge:
    """The project's judge interface as a function over caption pairs; a failed judgement becomes None."""
    from medgrpo.rewards.judges.base import JudgeRequest

    def judged(pairs: Sequence[CaptionPair]) -> list[Mapping[str, float] | None]:
        requests = [
            JudgeRequest(
                question=p.question,
                reference=p.reference,
                candidate=p.candidate,
                dataset=p.dataset,
                task=task_of(p.task) or p.task,
            )
            for p in pairs
        ]
        return [judgement.scores or None for judgement in method(requests)]

    return judged


def judge_names(judge: Any) -> dict[str, str]:
    """Under ``judge`` and ``rubric`` who judged by what, as far as a judge says so."""
    names = {
        "judge": getattr(judge, "id", None),
        "rubric": getattr(getattr(judge, "rubric", None), "name", None),
    }
    return {key: name for key, name in names.items() if isinstance(name, str)}


def named_judge(name: str) -> Any:
    """A judge that needs no configuration, by the name that the command line uses.

    Others are built from files by :mod:`medgrpo.commands.judge_option`.

    Raises:
        UserError: If there is none of that name.
    """
    if name == "lexicon":
        from medgrpo.rewards.judges import LexiconJudge

        return LexiconJudge()
    raise UserError(f"unknown judge {name!r}; known are: lexicon, and a YAML file with its class_path")
