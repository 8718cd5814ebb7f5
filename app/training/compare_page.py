"""The page of a comparison: curves over each other, differences in a table, answers to the same question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.index import CurvePoint
from app.show.curves import Line, curve_chart
from app.show.html import Html, el, join, note, number, signed, table
from app.show.terms import term
from app.show.words import component_words, task_words
from app.training.answers import own_words
from app.training.comparison import Change, Side
from app.training.question import question_cards

__all__ = ["answers_page", "changes_page", "overlaid_page"]

_QUANTITIES = {"reward": "Reward", "readable": "Readable answers", "length": "Length in word pieces"}


def overlaid_page(
    sides: tuple[Side, Side], points: tuple[Sequence[CurvePoint], Sequence[CurvePoint]]
) -> Html:
    """Both sides' curves on the same axes.

    Args:
        sides: What is compared.
        points: Of one measure, for each side.
    """
    first, second = (_by_line(side) for side in points)
    lines = sorted(first.keys() | second.keys(), key=lambda line: (task_words(line[1]), line[0], line[2]))
    if not lines:
        return note("Neither side has such numbers.")
    legend = el(
        "p",
        *(el("span", class_="key mean a"), f"A: {sides[0].name} "),
        *(el("span", class_="key mean b"), f"B: {sides[1].name}"),
        class_="legend",
    )
    cards = []
    for line in lines:
        dataset, task, series = line
        words = [task_words(task), *([component_words(series)] if series else [])]
        there = [(side[line], letter) for side, letter in ((first, "A"), (second, "B")) if line in side]
        both = [Line(_drawn(found), letter, letter.lower()) for found, letter in there]
        chart = curve_chart(both, there[-1][0][-1].reference, f"{dataset}: {', '.join(words)}, A and B")
        cards.append(
            el(
                "div",
                el("h4", dataset),
                el("p", " · ".join(words), class_="muted"),
                chart,
                class_="card chart",
            )
        )
    return join([legend, el("div", *cards, class_="charts")])


_Points = dict[tuple[str, str, str], list[CurvePoint]]


def _by_line(points: Sequence[CurvePoint]) -> _Points:
    found: _Points = {}
    for point in points:
        found.setdefault(point.line, []).append(point)
    return found


def _drawn(points: Sequence[CurvePoint]) -> list[tuple[int, float, float, float]]:
    return [(p.step, p.mean, p.p25, p.p75) for p in points]


def changes_page(found: Sequence[Change]) -> Html:
    """The table of differences."""
    if not found:
        return note("The two sides have no dataset and task in common, so there is nothing to compare.")
    rows = []
    for change in found:
        interval = change.interval
        sure = interval is not None and (interval[0] > 0 or interval[1] < 0)
        kind = (
            "flat" if not sure or change.quantity == "length" else "up" if change.difference > 0 else "down"
        )
        sign = ("▲ " if change.difference > 0 else "▼ ") if sure else "● "
        rows.append(
            [
                el("td", el("strong", change.dataset), el("div", task_words(change.task), class_="muted")),
                _QUANTITIES.get(change.quantity) or component_words(change.quantity),
                number(change.first),
                number(change.second),
                el("td", sign + signed(change.difference), class_=kind),
                f"{signed(interval[0])} to {signed(interval[1])}" if interval else "not known",
                _basis(change),
            ]
        )
    head = [
        "Dataset and task", "What", "A", "B", "B less A", term("95% interval", "interval"), "Questions",
    ]  # fmt: skip
    words = (
        "Differences are taken question by question where both sides were asked the same one; intervals "
        "come from drawing the videos anew. ● means that the difference may be chance. Rewards of two runs "
        "can only be compared if both were scaled alike; the scores below them always can."
    )
    return join([table(head, rows, class_="changes"), el("p", words, class_="muted")])


def _basis(change: Change) -> str:
    if not change.questions:
        return "none in common: averages of all answers"
    return f"{change.questions} in common, {change.videos} video{'s' if change.videos != 1 else ''}"


def answers_page(sides: tuple[Side, Side], answers: tuple[Sequence[Mapping[str, Any]], ...]) -> Html:
    """The answers of both sides to one question beside each other.

    Args:
        sides: What is compared.
        answers: Of each side, as :func:`app.index.questions.answers_to` gives them.
    """
    known = [row for side in answers for row in side]
    if not known:
        return note("Choose a question to read what both sides answered.")
    question = el(
        "div",
        *question_cards(known[0]),
        class_="two",
    )
    columns = [
        el("div", el("h3", f"{letter}: {side.name}"), *(map(_answer, rows) if rows else [note("No answer.")]))
        for letter, side, rows in zip("AB", sides, answers, strict=True)
    ]
    return join([question, el("div", *columns, class_="two sides")])


def _answer(row: Mapping[str, Any]) -> Html:
    title = f"Round {row['step']}, answer {row['sample_index'] + 1}"
    badge = el("span", f"reward {number(row['reward'])}", class_="badge")
    return el("div", el("h4", title, badge), own_words(row), class_="card answer")
