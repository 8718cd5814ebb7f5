"""Preparing a review: what is asked for, checked, drawn and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.context import Context
from app.review.candidates import candidates
from app.review.reviews import Plan, Review, Reviews, run_id
from app.review.sampler import draw
from medgrpo.errors import UserError

__all__ = ["CAPTION_TASKS", "prepare"]

CAPTION_TASKS = ("video_summary", "region_caption", "dense_captioning")
"""Tasks that are answered in sentences, which the five marks are made for."""

_MOST_ANSWERS, _MOST_REVIEWERS = 5000, 50


def prepare(
    context: Context,
    reviews: Reviews,
    user: str,
    *,
    run: str | None,
    rounds: tuple[Any, Any],
    tasks: Sequence[str],
    size: Any,
    share: Any,
    reviewers: Any,
    seed: Any,
    rubric: str,
) -> Review:
    """Draw a review and keep it.

    Args:
        context: The runs and the audit log.
        reviews: Where it is kept.
        user: Who prepares it.
        run: Name in the index.
        rounds: First and last.
        tasks: Canonical tasks.
        size: Answers.
        share: Percent of them that everybody gets.
        reviewers: How many people take part.
        seed: Of all that is random.
        rubric: Id and version.

    Raises:
        UserError: If something asked for makes no sense or there are no such answers; the message says which.
    """
    if not run:
        raise UserError("Choose a training run first.")
    twins = [one.run for one in context.index.runs() if run_id(one.run) == run_id(run)]
    if len(twins) > 1:
        raise UserError(
            f"The training runs {', '.join(sorted(twins))} have the same name: a verdict about one could be "
            "taken for one about another. Open the dashboard on the folder of one of them alone (--runs)."
        )
    if not tasks:
        raise UserError("Choose at least one kind of question.")
    count = _whole(size, "The number of answers", 1, _MOST_ANSWERS)
    people = _whole(reviewers, "The number of reviewers", 1, _MOST_REVIEWERS)
    percent = _whole(share, "The share for everybody", 0, 100)
    number = _whole(seed, "The seed", 0, 2**31 - 1)
    first, last = (_whole(bound, "A round", 0, 2**31 - 1) for bound in rounds)
    found = candidates(context.index, run, (first, last), tasks, count, number)
    if not found:
        raise UserError("There are no answers of these kinds in these rounds. Choose more rounds or kinds.")
    drawn_size = min(count, len(found))
    shared = round(drawn_size * percent / 100)
    drawn = draw(found, size=drawn_size, shared=shared, reviewers=people, seed=number)
    plan = Plan(run, first, last, tuple(tasks), count, shared, people, number, rubric)
    context.audit.record(user, "prepare review", f"{len(drawn)} answers of run {run}")
    return reviews.add(user, plan, drawn)


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if not isinstance(value, int | float) or value != int(value) or not least <= value <= most:
        raise UserError(f"{what} must be a whole number from {least} to {most}.")
    return int(value)
