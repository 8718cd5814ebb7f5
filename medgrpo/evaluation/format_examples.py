"""The form of an answer, shown by one example a task, for models that were not trained on the benchmark."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from medgrpo.tasks import get_task
from medgrpo.types import Sample

__all__ = ["example_answer", "with_example"]


@cache
def _truths() -> dict[str, Any]:
    text = (resources.files("medgrpo.evaluation") / "format_examples.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def example_answer(task: str) -> str:
    """An answer in exactly the published form, about no clip.

    Args:
        task: Canonical name.
    """
    return get_task(task).write(_truths()[task])


def with_example(sample: Sample) -> str:
    """A question with an example of the form of its answer, and with the pixels that boxes are in."""
    lines = [sample.question.strip()]
    if sample.task == "stg" and sample.canvas is not None:
        lines.append(f"Boxes are in pixels of a frame of {sample.canvas.width}x{sample.canvas.height}.")
    lines.append(
        "Answer in exactly the form of this example, which is about another clip, and say nothing else:\n"
        + example_answer(sample.task)
    )
    return "\n\n".join(lines)
