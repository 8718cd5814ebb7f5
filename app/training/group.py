"""One group on a page: the clip, the question, the answers side by side, and how each reward came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.show.html import Html, el, note
from app.show.player import clip_view
from app.show.terms import term
from app.show.words import plain, skip_words, task_words
from app.training.answers import answer_cards
from app.training.marks import box_strips
from app.training.question import question_cards
from app.training.seen import seen_frames
from app.training.steps import numbers_table

__all__ = ["group_page"]

Row = Mapping[str, Any]


def group_page(
    rows: Sequence[Row],
    base: Path,
    media: Path,
    opinions: Sequence[Row] = (),
    problems: Sequence[str] = (),
    *,
    link: str = "",
) -> Html:
    """Everything about one group.

    Args:
        rows: The stored rows of its answers in their order, at least one.
        base: Folder that relative frame paths start from.
        media: Folder of review clips.
        opinions: Re-judgements of its answers.
        problems: Files of re-judgements that cannot be read.
        link: Query that opens it.
    """
    first = rows[0]
    return el(
        "article",
        _title(first),
        *(note(f"A second opinion is missing: {problem}", "warning") for problem in problems),
        _clip(first, clip_view(rows, base, media, seen_frames(first, base))),
        box_strips(rows, base),
        answer_cards(rows, opinions),
        el(
            "details",
            el("summary", "All numbers of the group in one table"),
            numbers_table(rows),
            class_="card",
            data_keep="numbers",
        ),
        class_="group",
        data_link=link,
        data_step=first["step"],
        data_group=first["group_id"],
    )


def _title(row: Row) -> Html:
    skipped = row["skip_reason"]
    where = f"{row['dataset']} · clip {row['video_id']} · "
    return el(
        "header",
        el("h2", task_words(row["task"]), tabindex="-1"),
        el(
            "p",
            where,
            term(f"round {row['step']}", "round"),
            f" of training · run {row['run']} · question row {row['sample_row']} ({row['sample_id']})",
            class_="muted",
        ),
        note(plain(skip_words(skipped)) + ".", "warning") if skipped else None,
    )


def _clip(row: Row, clip: Html) -> Html:
    """The clip above, question and reference beside each other below it."""
    return el(
        "div",
        el("section", el("h3", "What the model saw"), clip, class_="card wide"),
        *question_cards(row),
        class_="two",
    )
