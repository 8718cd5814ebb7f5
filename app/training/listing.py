"""The list of groups: a table of which each row opens its group."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from app.index import GroupRow, SearchState
from app.show.html import Html, el, note, number, table
from app.show.terms import term
from app.show.words import plain, skip_words, task_words

__all__ = ["DISAGREEMENT", "PAGE_SIZES", "group_link", "listing_page", "position_words", "search_words"]

PAGE_SIZES = (50, 100, 200)
"""How many groups a page may hold."""

DISAGREEMENT = 0.5
"""How far apart judge and similarity rank an answer, as a share of all, before the list says so."""


def group_link(run: str, step: int, group_id: str) -> str:
    """The query that opens a group."""
    return "?" + urlencode({"run": run, "step": step, "group": group_id})


def position_words(offset: int, shown: int, total: int) -> str:
    """Where in the list a page is."""
    if not total:
        return "No groups"
    return f"Groups {offset + 1:,} to {offset + shown:,} of {total:,}"


def search_words(state: SearchState) -> str:
    """Why words may be found in too few groups; empty if they are found in all."""
    if state.message:
        return f"Not all texts can be searched. {state.message}"
    if state.waiting:
        return f"Texts are still being read: {state.waiting:,} groups cannot be found by words yet."
    return ""


def listing_page(run: str, groups: Sequence[GroupRow], filtered: bool) -> Html:
    """The groups of one page.

    Args:
        run: The run.
        groups: In their order.
        filtered: Whether a filter is set, which may be why there are none.
    """
    if not groups:
        words = (
            "No group passes these filters. Loosen one of them, or choose Clear filters."
            if filtered
            else "This run has no groups of answers yet. They appear here after its first round."
        )
        return note(words)
    head = [
        term("Group", "group"),
        term("Round", "round"),
        "Dataset",
        "Task",
        "Clip",
        "Answers",
        term("Average", "reward"),
        "Best",
        "Worst",
        term("Judge", "judge"),
        "Remark",
    ]
    return table(head, [_row(run, group) for group in groups], class_="listing")


def _row(run: str, group: GroupRow) -> list[object]:
    link = el(
        "a",
        group.group_id,
        href=group_link(run, group.step, group.group_id),
        data_step=group.step,
        data_group=group.group_id,
        class_="opens",
    )
    remarks = [plain(skip_words(group.skip_reason))] if group.skip_reason else []
    if group.disagreement is not None and group.disagreement >= DISAGREEMENT:
        remarks.append("judge and similarity disagree")
    if group.unreadable:
        remarks.append(f"{group.unreadable} not readable")
    return [
        el("td", link),
        str(group.step),
        group.dataset,
        task_words(group.task),
        group.video_id,
        str(group.answers),
        number(group.mean),
        number(group.best),
        number(group.worst),
        number(group.judge_mean, 1),
        "; ".join(remarks),
    ]
