"""A question about the clip of a record: its own, or one in the form of a task, of bounded length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import Formatter

from medgrpo.errors import UserError
from medgrpo.tasks import TASKS, get_task
from medgrpo.tasks.text import as_number
from medgrpo.types import Sample, sample_key

__all__ = [
    "LONGEST_FIELD",
    "LONGEST_REFERENCE",
    "MOST_FIELDS",
    "Question",
    "field_words",
    "form_fields",
    "form_words",
    "typed",
]

LONGEST_FIELD = 300
"""Characters of what is filled into a form."""

LONGEST_REFERENCE = 4000
"""Characters of a reference answer that is typed."""

_WORDS = {
    "action": "Action to look for",
    "actions": "Possible actions, with commas between them",
    "tool": "Instrument to look for",
    "step": "Seconds from one box to the next",
    "start": "From second",
    "end": "To second",
    "steps": "Possible next steps, with commas between them",
    "procedure": "Name of the procedure",
}
_NUMBERS = ("step", "start", "end")


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked.

    Attributes:
        sample: The question, its clip, and a reference answer if one is known.
        source: Records file and row, for people and for the audit log.
        temperature: 0 takes the likeliest answer, more draws one.
        seed: Of the drawing.
    """

    sample: Sample
    source: str
    temperature: float = 0.0
    seed: int = 0


def form_fields(task: str, variant: int) -> list[str]:
    """What one has to fill into a form of a task, in the order of the form.

    Raises:
        UserError: If there is no such task or form.
    """
    forms = get_task(task).forms
    if not 0 <= variant < len(forms):
        raise UserError(f"there are {len(forms)} ways to ask this; choose one of them")
    return [name for _, name, _, _ in Formatter().parse(forms[variant]) if name]


def form_words(task: str, variant: int) -> str:
    """A form of a task with gaps for what is filled in."""
    return get_task(task).question(variant, **dict.fromkeys(form_fields(task, variant), "…"))


MOST_FIELDS = max(
    len(form_fields(task.name, variant)) for task in TASKS.values() for variant in range(len(task.forms))
)
"""Of any form."""


def field_words(name: str) -> str:
    """What to fill in, in plain words."""
    return _WORDS.get(name, name)


def typed(sample: Sample, task: str, variant: int, values: Sequence[str], reference: str) -> Sample:
    """A question in the form of a task about the clip of a record.

    Args:
        sample: The record.
        task: Canonical name.
        variant: Which of the task's forms.
        values: What is filled in, in the order of :func:`form_fields`.
        reference: To compare the answer with; empty for none.

    Raises:
        UserError: If something is missing, too long, no number, or the clip has no marked object.
    """
    filled = {}
    for name, value in zip(form_fields(task, variant), values, strict=False):
        text = " ".join(value.split())
        if not text:
            raise UserError(f"fill in: {field_words(name)}")
        if len(text) > LONGEST_FIELD:
            raise UserError(f"{field_words(name)}: at most {LONGEST_FIELD} letters, these are {len(text)}")
        if name in _NUMBERS and (as_number(text) is None or (as_number(text) or 0.0) < 0.0):
            raise UserError(f"{field_words(name)}: a number of seconds, such as 2.5")
        filled[name] = text
    if len(reference) > LONGEST_REFERENCE:
        raise UserError(f"reference answer: at most {LONGEST_REFERENCE} letters, these are {len(reference)}")
    if task == "region_caption" and sample.region is None:
        raise UserError("no object is marked in this clip; choose a row that asks about a marked object")
    found = get_task(task)
    question = found.question(variant, **filled)
    return replace(
        sample,
        key=sample_key(sample.id, task, question),
        qa_type=found.qa_types[0],
        task=task,
        question=question,
        answer=reference.strip() or None,
        truth=None,
        # A box is drawn on the clip for questions about it alone.
        region=sample.region if task == "region_caption" else None,
    )
