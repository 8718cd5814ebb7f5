"""Finding groups of answers, and opening one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.index import ORDERS, GroupFilter, RolloutIndex
from app.index.progress import home_of
from app.show.frame import page
from app.show.html import Html, el, note
from app.show.words import status_words, task_words
from app.training.group import group_page
from app.training.judging import second_opinions
from app.training.listing import PAGE_SIZES, group_link, listing_page, position_words, search_words
from medgrpo.errors import UserError

__all__ = ["STATUSES", "Listing", "Review", "filter_of", "status_choices"]

STATUSES = ("ok", "repaired", "failed", "free_text")
"""How well an answer kept to the requested form."""

Key = tuple[int, str]


def filter_of(
    run: str | None,
    dataset: str = "",
    task: str = "",
    step: float | str | None = None,
    low: float | str | None = None,
    high: float | str | None = None,
    status: str = "",
    text: str | None = "",
) -> GroupFilter:
    """The filters as they stand in fields or in a link; what is empty, or not filled in yet, lets all pass.

    Raises:
        UserError: If one of them is no number, or of the wrong kind.
    """
    wanted = {
        "step": _number("Round", step),
        "from": _number("Reward from", low),
        "to": _number("Reward to", high),
    }
    if wanted["step"] is not None and (wanted["step"] < 0 or wanted["step"] % 1):
        raise UserError("Round: write a whole number, such as 7, or nothing for all rounds")
    if wanted["from"] is not None and wanted["to"] is not None and wanted["from"] > wanted["to"]:
        raise UserError("Reward: the lower limit is above the upper one, so nothing can pass")
    if status and status not in STATUSES:
        raise UserError(f"Readability: there is no {status!r}; choose one of the list")
    return GroupFilter(
        run=run,
        step=None if wanted["step"] is None else int(wanted["step"]),
        dataset=dataset or None,
        task=task or None,
        reward_from=wanted["from"],
        reward_to=wanted["to"],
        parse_status=status or None,
        text=(text or "").strip(),
    )


def _number(name: str, value: float | str | None) -> float | None:
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"{name}: {value!r} is no number")
    return found


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list.

    Attributes:
        page: What it looks like.
        offset: Groups before it.
        total: Groups that pass the filters.
        keys: Round and name of the groups on it, in their order.
    """

    page: Html
    offset: int = 0
    total: int = 0
    keys: list[Key] = field(default_factory=list)

    @property
    def words(self) -> str:
        """Where in the list the page is."""
        return position_words(self.offset, len(self.keys), self.total)


class Review:
    """What the list and the group view show; independent of Gradio.

    Args:
        index: The runs.
        base: Folder that relative frame paths in the store start from.
        media: Folder of review clips.
    """

    def __init__(self, index: RolloutIndex, base: Path, media: Path) -> None:
        self.index = index
        self.base = base
        self.media = media

    def listing(self, chosen: GroupFilter, order: str, offset: int, size: int) -> Listing:
        """A page of the list, or why there is none.

        Args:
            chosen: The filters.
            order: A key of :data:`app.index.ORDERS`.
            offset: Groups before the page; beyond the end it is the last page.
            size: Groups on a page.
        """
        if not chosen.run:
            return Listing(page(note("There is no run to look at yet.")))
        order, size = order if order in ORDERS else "newest", size if size in PAGE_SIZES else PAGE_SIZES[0]
        try:
            found, total = self.index.groups(chosen, order, max(0, offset), size)
            if total and not found:
                offset = (total - 1) // size * size
                found, total = self.index.groups(chosen, order, offset, size)
        except UserError as error:
            return Listing(page(note(error, "warning")))
        filtered = chosen != GroupFilter(run=chosen.run)
        unfinished = search_words(self.index.search_state()) if chosen.text else ""
        shown = page(
            note(unfinished, "warning") if unfinished else None, listing_page(chosen.run, found, filtered)
        )
        return Listing(shown, max(0, offset), total, [(group.step, group.group_id) for group in found])

    def neighbour(
        self, chosen: GroupFilter, order: str, size: int, offset: int, keys: Sequence[Key], at: Key, by: int
    ) -> tuple[Key, int] | None:
        """The group before or after one in the list, on another page if need be.

        Args:
            chosen: The filters.
            order: Of the list.
            size: Groups on a page.
            offset: Of the page.
            keys: Its groups.
            at: The open group; one that is not on the page stands before its first.
            by: 1 or -1.

        Returns:
            The group, and the offset of the page that it is on; None at either end.
        """
        position = keys.index(at) + by if at in keys else 0
        if 0 <= position < len(keys):
            return keys[position], offset
        other = offset + by * size
        if other < 0:
            return None
        found = self.listing(chosen, order, other, size)
        if found.offset != other or not found.keys:
            return None
        return found.keys[0 if by > 0 else -1], other

    def group(self, run: str | None, step: str, group_id: str) -> Html:
        """One group, or why it cannot be shown."""
        if not run or not group_id or not step.isdecimal():
            return page(note("Choose a group in the list above to read its answers."))
        try:
            rows = self.index.group(run, int(step), group_id)
        except UserError as error:
            return page(note(error, "warning"))
        if not rows:
            return page(note("There is no such group in this run. Choose one in the list above.", "warning"))
        home = home_of(self.index, run)
        opinions, problems = second_opinions(*home, rows[0]) if home else ([], [])
        link = group_link(run, int(step), group_id)
        return page(
            el("p", el("a", "Link to this group", href=link), class_="small"),
            group_page(rows, self.base, self.media, opinions, problems, link=link),
        )

    def choices(self, run: str | None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(label, value) of the dataset and task filters."""
        pairs = self.index.pairs(run) if run else []
        datasets = sorted({pair[0] for pair in pairs})
        tasks = sorted({pair[1] for pair in pairs}, key=task_words)
        return (
            [("All datasets", ""), *((name, name) for name in datasets)],
            [("All tasks", ""), *((task_words(name), name) for name in tasks)],
        )


def status_choices() -> list[tuple[str, str]]:
    """(label, value) of the filter on readability."""
    return [("All answers", ""), *((status_words(status).capitalize(), status) for status in STATUSES)]
