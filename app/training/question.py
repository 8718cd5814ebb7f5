"""What was asked, and what an expert answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.show.html import Html, el
from app.show.terms import term

__all__ = ["question_cards"]


def question_cards(row: Mapping[str, Any]) -> tuple[Html, Html]:
    """Question and reference answer of a stored row, to stand beside each other."""
    reference = row["reference_text"]
    return (
        el(
            "section",
            el("h3", "Question"),
            el("p", row["question"], class_="text", dir="auto"),
            class_="card",
        ),
        el(
            "section",
            el("h3", term("Reference answer", "reference")),
            el("p", "not known" if reference is None else reference, class_="text", dir="auto"),
            class_="card",
        ),
    )
