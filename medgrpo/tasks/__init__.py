"""The eight MedVidBench tasks: question form, answer writer, parser and per-answer metric of each.

Adding a task is one file that defines a :class:`~medgrpo.tasks.base.Task` and one line in ``TASKS``.
Pure Python and NumPy/SciPy: no deep-learning framework and no network.
"""

from __future__ import annotations

from medgrpo.errors import UserError
from medgrpo.tasks.base import Parsed, Task
from medgrpo.tasks.cvs import CvsAssessment
from medgrpo.tasks.dense_captioning import DenseCaptioning
from medgrpo.tasks.next_action import NextAction
from medgrpo.tasks.region_caption import RegionCaption
from medgrpo.tasks.skill import SkillAssessment
from medgrpo.tasks.stg import SpatioTemporalGrounding
from medgrpo.tasks.tal import TemporalGrounding
from medgrpo.tasks.video_summary import VideoSummary

__all__ = ["TASKS", "Parsed", "Task", "canonical_task", "get_task"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        TemporalGrounding(),
        SpatioTemporalGrounding(),
        DenseCaptioning(),
        NextAction(),
        VideoSummary(),
        RegionCaption(),
        SkillAssessment(),
        CvsAssessment(),
    )
}
"""Canonical name to task, in the order of the tables."""

_BY_QA_TYPE = {name: task for task in TASKS.values() for name in (task.name, *task.qa_types)}


def get_task(name_or_qa_type: str) -> Task:
    """The task of a canonical name or of a ``qa_type`` spelling.

    Args:
        name_or_qa_type: For example ``dense_captioning`` or ``dense_captioning_gpt``.

    Raises:
        UserError: If no task has that name.
    """
    try:
        return _BY_QA_TYPE[name_or_qa_type]
    except (KeyError, TypeError):
        known = ", ".join(sorted(_BY_QA_TYPE))
        raise UserError(f"unknown task or qa_type {name_or_qa_type!r}; known are: {known}") from None


def canonical_task(qa_type: str) -> str:
    """The canonical task name of a ``qa_type``.

    Raises:
        UserError: If no task has that name.
    """
    return get_task(qa_type).name
