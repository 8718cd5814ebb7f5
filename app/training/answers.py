"""The answers of a group side by side: their words against the reference, and why each got its reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.show.html import Html, el, join, number, signed, word_difference
from app.show.terms import term
from app.show.words import DIMENSION_HELP, plain, status_words
from app.training.judging import disagreement_flag, judge_view, opinions_table
from app.training.steps import reward_steps

__all__ = ["answer_cards", "effect", "own_words"]

Row = Mapping[str, Any]


def answer_cards(rows: Sequence[Row], opinions: Sequence[Row]) -> Html:
    """A card for each answer.

    Args:
        rows: The stored rows of a group.
        opinions: Re-judgements of its answers.
    """
    legend = el(
        "p",
        "Words that the ",
        term("reference", "reference"),
        " does not have are ",
        el("ins", "underlined"),
        ", words of the reference that are missing are ",
        el("del", "struck out"),
        ". Marks of the judge: ",
        DIMENSION_HELP,
        ".",
        class_="muted",
    )
    cards = [_card(row, k, opinions) for k, row in enumerate(rows)]
    return el("section", el("h3", f"The {len(rows)} answers"), legend, el("div", *cards, class_="answers"))


def _card(row: Row, index: int, opinions: Sequence[Row]) -> Html:
    remarks = [status_words(row["parse_status"])]
    if row["truncated"]:
        remarks.append("cut off at the length limit")
    return el(
        "div",
        el("h4", f"Answer {index + 1}", el("span", f"reward {number(row['reward'])}", class_="badge")),
        effect(row),
        disagreement_flag(row),
        own_words(row),
        el(
            "p",
            f"{len(row['completion_ids'])} word pieces, ",
            term("; ".join(remarks), "parse"),
            class_="muted",
        ),
        el(
            "details",
            el("summary", "How this reward came about"),
            reward_steps(row),
            data_keep="steps",
        ),
        judge_view(row["judge"]),
        opinions_table(row, opinions),
        el("p", _provenance(row), class_="muted small"),
        class_="card answer",
    )


def own_words(row: Row) -> Html:
    """The text of an answer, marked against the reference where there is one."""
    text, reference = row["completion_text"], row["reference_text"]
    body = word_difference(text, reference) if reference is not None else text
    return el("p", body if text.strip() else "(empty)", class_="text", dir="auto")


def effect(row: Row) -> Html:
    """What training makes of an answer."""
    advantage = row["advantage"]
    if not row["kept"]:
        return el("p", "○ not used for learning", class_="effect flat")
    if advantage > 0:
        return el("p", f"▲ {signed(advantage)} better than its group: made more likely", class_="effect up")
    if advantage < 0:
        return el("p", f"▼ {signed(advantage)} worse than its group: made less likely", class_="effect down")
    return el("p", "● as its group: left as it is", class_="effect flat")


def _provenance(row: Row) -> Html:
    state = f"Model state {row['policy_hash']}" if row["policy_hash"] else "Model state not recorded"
    return join([f"{state}; ended by {plain(row['finish_reason'] or 'nothing known').lower()}"])
