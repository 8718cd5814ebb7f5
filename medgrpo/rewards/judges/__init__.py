"""Judges: who compares an answer with its reference, by which rubric."""

from __future__ import annotations

from medgrpo.rewards.judges.base import Dimension, Judge, JudgeRequest, Rubric, load_rubric
from medgrpo.rewards.judges.canaries import Canaries
from medgrpo.rewards.judges.chat import ChatJudge
from medgrpo.rewards.judges.gates import Gates
from medgrpo.rewards.judges.lexicon import LexiconJudge
from medgrpo.rewards.judges.open_model import TransformersJudge

__all__ = [
    "Canaries",
    "ChatJudge",
    "Dimension",
    "Gates",
    "Judge",
    "JudgeRequest",
    "LexiconJudge",
    "Rubric",
    "TransformersJudge",
    "load_rubric",
]
