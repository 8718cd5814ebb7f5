"""Verdicts made by hand."""

from __future__ import annotations

from typing import Any

from medgrpo.evaluation.verdicts import Verdict, answer_hash

__all__ = ["DIMENSIONS", "make_verdict"]

DIMENSIONS = ("terminology", "identification", "specificity", "context", "action")


def make_verdict(reviewer: str = "ada", index: int = 0, score: float = 3.0, **more: Any) -> Verdict:
    """A verdict about the answer ``index`` of group ``g0``."""
    values = {
        "scores": dict.fromkeys(DIMENSIONS, score),
        "rubric": "medgrpo-five@1",
        "content": answer_hash("q", "r", f"answer {index}"),
        "blind": True,
    }
    return Verdict(("r", 0, "g0", index), reviewer, **{**values, **more})
