"""What a reviewer sees: an item without anything about its reward, judge, round or policy.

Everything here reaches the browser. Before a verdict is saved only :func:`item_view` is used, which takes the
few texts it shows and not the stored row; the judge's words are in :func:`reveal_view` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.review.reviews import Review
from app.review.words import mark_words
from app.show.frame import page
from app.show.html import Html, el, note, number, table
from app.show.words import task_words
from medgrpo.evaluation.verdicts import Verdict
from medgrpo.rewards.judges import Rubric

__all__ = [
    "empty_view",
    "finished_view",
    "item_view",
    "lost_view",
    "progress_view",
    "reveal_view",
    "review_label",
]


def item_view(
    task: str, dataset: str, question: str, reference: str | None, answer: str, clip: Html, help_: Html
) -> Html:
    """One answer beside what it has to agree with.

    Args:
        task: Canonical task.
        dataset: Source dataset.
        question: What was asked.
        reference: The expert's answer.
        answer: The model's.
        clip: Of :func:`app.review.clip.clip_of_item`.
        help_: What earns which mark.
    """
    known = reference if reference is not None else "There is none: judge by the clip alone."
    told = answer if answer.strip() else "(The answer is empty.)"
    return page(
        el(
            "article",
            el("p", f"{task_words(task)} · {dataset}", class_="muted small"),
            _text("Question", question),
            el(
                "div",
                _text("Reference answer", known),
                _text("Answer to judge", told, "card judged"),
                class_="pair",
            ),
            el("section", clip, class_="card"),
            el("section", help_),
            class_="review-item",
        )
    )


def _text(heading: str, text: str, class_: str = "card") -> Html:
    return el("section", el("h3", heading), el("p", text, class_="text", dir="auto"), class_=class_)


def review_label(review: Review) -> str:
    """How a review is called: nothing in it tells what was drawn from."""
    return f"Review {review.number} ({len(review.items)} answers)"


def progress_view(done: Mapping[str, tuple[int, int]], reviewer: str, free_seats: int) -> Html:
    """Who has judged how many.

    Args:
        done: Reviewer to judged answers and all of that reviewer's.
        reviewer: Who looks.
        free_seats: For reviewers who did not come yet.
    """
    parts = []
    for name, (count, total) in done.items():
        words = f"{name}{' (you)' if name == reviewer else ''}: {count} of {total}"
        bar = el("progress", words, value=count, max=max(total, 1), aria_label=words)
        parts.append(el("p", bar, " ", words, class_="own" if name == reviewer else None))
    free = f"{free_seats} more can take part." if free_seats else None
    return page(
        el("section", *parts, el("p", free, class_="muted small") if free else None, class_="progress")
    )


def reveal_view(row: Mapping[str, Any], verdict: Verdict, rubric: Rubric) -> Html:
    """The judge's marks and reasons beside the reviewer's own, for an answer that is judged."""
    judge = row["judge"]
    if judge is None or judge["status"] != "ok":
        return page(note("The judge, a program, gave no marks to this answer."))
    given: Sequence[Mapping[str, Any]] = judge["dimensions"]
    titles = {one.name: mark_words(one.name, one.title)[0] for one in rubric.dimensions}
    rows = [
        [
            titles.get(one["dimension"], one["dimension"]),
            number(verdict.scores.get(one["dimension"], math.nan), 0),
            number(one["score"], 1),
            el("span", one["rationale"] or "", class_="text", dir="auto"),
        ]
        for one in given
    ]
    return page(
        el(
            "section",
            el("h3", "What the judge said about your last answer"),
            el("p", row["completion_text"], class_="text muted", dir="auto"),
            table(["", "You", "The judge", "Its reason"], rows),
            el(
                "p",
                "The judge is a program, and often wrong. Your verdict is saved as you gave it.",
                class_="muted",
            ),
            class_="card reveal",
        )
    )


def empty_view(has_runs: bool) -> Html:
    """Nothing to review yet, and what to do."""
    what = (
        "Ask the person who runs the project to prepare one: page “Agreement”, under “Prepare a review”."
        if has_runs
        else "No answers of a model were found either. Ask the person who runs the project to start this "
        "dashboard on the folder of a training."
    )
    return page(note(f"There is nothing to review yet. {what}"))


def finished_view(total: int, skipped: int) -> Html:
    """All is done, or all that was not skipped."""
    if skipped:
        words = f"You skipped {skipped} of your answers. Reload the page to see them again."
    elif total:
        words = f"All {total} of your answers are judged. Thank you. Press U to change the last one."
    else:
        words = "All answers of this review belong to others. Ask for a new review."
    return page(note(words))


def lost_view(token: str) -> Html:
    """An answer whose file is gone; the file's name would tell the run, so it is not shown."""
    words = (
        "This answer cannot be read any more: the folder of its training was moved or deleted. Press Skip to "
        f"go on, and tell the person who prepared the review (item {token})."
    )
    return page(note(words, "warning"))
