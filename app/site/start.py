"""The first page: what this is, in plain words, and where to go from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.show.frame import footer, page
from app.show.html import Html, el

if TYPE_CHECKING:
    from app.pages import Page

__all__ = ["start_page"]

_INTRODUCTION = (
    "A computer model watches a clip of an operation and answers a question about it, several times over. Each "
    "answer gets a reward: how well it agrees with what an expert marked, how close its wording is to the "
    "expert's, and what a judge, another program, says about it. Answers with a higher reward than the others "
    "become more likely. Here you can see whether that works, and say where it does not."
)


def start_page(pages: Sequence[Page], style: str) -> str:
    """The whole document.

    Args:
        pages: To go on to.
        style: Style sheet.
    """
    cards = [
        el("a", el("h2", one.title), el("p", one.purpose), href=f"/{one.path}/", class_="card way")
        for one in pages
    ]
    body = page(
        el("h1", "Review of a model that learns to understand medical video"),
        el("p", _INTRODUCTION),
        el("div", *cards, class_="ways"),
        footer(),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", "medgrpo"),
        el("style", Html(style)),
    )
    return f"<!doctype html>{el('html', head, el('body', body, class_='start'), lang='en')}"
