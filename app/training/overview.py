"""The overview page: how the rewards of a run develop, by dataset and task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from app.index import CurvePoint
from app.show.curves import Line, curve_chart
from app.show.html import Html, el, join, note, number, signed, table
from app.show.words import component_words, task_words

__all__ = ["WINDOW", "curves_page", "empty_page", "problems_note", "table_page"]

WINDOW = 5
"""Rounds at either end of a run that the table averages, because one round is noisy."""


def empty_page(folder: str) -> Html:
    """What to do when there is no rollout yet."""
    return el(
        "section",
        el("h2", "No answers to look at yet"),
        el("p", "This page shows what a model answers while it is trained."),
        el("p", "Nothing was found in ", el("code", folder), "."),
        el(
            "ul",
            el("li", "If training is running, wait for its first round: this page fills by itself."),
            el("li", "If it writes elsewhere, start the page with ", el("code", "--runs"), " FOLDER."),
            el("li", "To try it out, run ", el("code", "make demo"), "; it takes some minutes."),
        ),
        class_="card",
    )  # fmt: skip


def problems_note(problems: dict[str, str]) -> Html | None:
    """A warning about files that could not be read."""
    if not problems:
        return None
    lines = [el("li", message) for message in list(problems.values())[:5]]
    if len(problems) > 5:
        lines.append(el("li", f"… and {len(problems) - 5} more"))
    count = "One file" if len(problems) == 1 else f"{len(problems)} files"
    return el(
        "details",
        el("summary", f"{count} could not be read and cannot be shown."),
        el("ul", *lines),
        class_="note warning",
    )  # fmt: skip


def curves_page(points: Sequence[CurvePoint], title: str, help_: str) -> Html:
    """One chart for each dataset and task, grouped by task.

    Args:
        points: In the order of their lines.
        title: Of what is drawn.
        help_: What it means.
    """
    if not points:
        return note(f"{title}: this run holds no such numbers.")
    lines = [list(found) for _, found in groupby(points, key=lambda p: p.line)]
    lines.sort(key=lambda line: (task_words(line[0].task), line[0].dataset, line[0].series))
    banded = any(math.isfinite(point.p25) for point in points)
    known = any(point.reference is not None for point in points)
    legend = el(
        "p",
        *(el("span", class_="key mean"), "average of the round "),
        *((el("span", class_="key band"), "middle half of the answers ") if banded else ()),
        *((el("span", class_="key reference"), "before this training") if known else ()),
        class_="legend",
    )
    cards = [_curve_card(line) for line in lines]
    return join([el("p", help_, class_="muted"), legend, el("div", *cards, class_="charts")])


def _curve_card(points: Sequence[CurvePoint]) -> Html:
    first = points[0]
    words = [task_words(first.task), *([component_words(first.series)] if first.series else [])]
    count = sum(point.count for point in points)
    return el(
        "div",
        el("h4", first.dataset, el("small", f"{count:,} answers") if count else None),
        el("p", " · ".join(word for word in words if word), class_="muted"),
        curve_chart(
            [Line([(p.step, p.mean, p.p25, p.p75) for p in points])],
            points[-1].reference,
            f"{first.dataset}: {', '.join(words)}, now {number(points[-1].mean)}",
        ),
        class_="card chart",
    )


def _window(points: Sequence[CurvePoint]) -> float:
    """Mean over points, weighted by their answers."""
    total = sum(point.count for point in points)
    return math.fsum(point.mean * point.count for point in points) / total if total else math.nan


def table_page(
    pairs: Sequence[tuple[str, str, int, int, int, int]],
    rewards: Sequence[CurvePoint],
    raws: Sequence[CurvePoint],
) -> Html:
    """First and latest values by dataset and task.

    Args:
        pairs: Dataset, task, answers, unreadable, cut off, failed judgements.
        rewards: Curves of ``reward``.
        raws: Curves of ``raw``, a series for each component.
    """
    rows = []
    for dataset, task, answers, unreadable, cut, failed in pairs:
        of_pair = [p for p in rewards if (p.dataset, p.task) == (dataset, task)]
        ends = min(WINDOW, max(1, len(of_pair) // 2))
        first, last = _window(of_pair[:ends]), _window(of_pair[-ends:])
        change = last - first
        direction = "up" if change > 0.01 else "down" if change < -0.01 else "flat"
        arrow = {"up": "▲", "down": "▼", "flat": "●"}[direction]
        parts = [p for p in raws if (p.dataset, p.task) == (dataset, task)]
        scores = [
            el("div", f"{component_words(name)}: {_now_and_before(list(found))}")
            for name, found in groupby(parts, key=lambda p: p.series)
        ]
        rows.append(
            [
                el("td", el("strong", dataset), el("div", task_words(task), class_="muted")),
                number(first),
                number(last),
                el("td", f"{arrow} {signed(change)}", class_=direction),
                el("td", *scores),
                f"{100 * (answers - unreadable) / answers:.0f}%",
                f"{100 * cut / answers:.0f}%",
                str(failed) if failed else "none",
            ]
        )
    head = [
        "Dataset and task",
        "Reward at first",
        "Reward now",
        "Change",
        "Scores now (before training)",
        "Readable answers",
        "Cut off",
        "Failed judgements",
    ]
    words = f"Rewards and scores are averages over at most {WINDOW} rounds, at the start and at the end."
    return join([table(head, rows), el("p", words, class_="muted")])


def _now_and_before(points: Sequence[CurvePoint]) -> str:
    before = points[-1].reference
    now = number(_window(points[-min(WINDOW, max(1, len(points) // 2)) :]))
    return now if before is None else f"{now} ({number(before)})"
