"""The first page: what this is, in plain words, and where to go from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.show.document import document
from app.show.frame import footer, page
from app.show.html import el, note

if TYPE_CHECKING:
    from app.pages import Page
    from app.site.sessions import Session

__all__ = ["start_page"]

_INTRODUCTION = (
    "A computer model watches a clip of an operation and answers a question about it, several times over. "
    "Each answer gets a reward: how well it agrees with what an expert marked, how close its wording is to "
    "the expert's, and what a judge, another program, says about it. Answers with a higher reward than the "
    "others become more likely. Here you can see whether that works, and say where it does not."
)
_NOTHING = "No page is open to you here. Ask whoever runs this site for the role of a researcher."


def start_page(pages: Sequence[Page], style: str, session: Session | None = None) -> str:
    """The whole document.

    Args:
        pages: To go on to.
        style: Style sheet.
        session: Of whoever is logged in.
    """
    cards = [
        el("a", el("h2", one.title), el("p", one.purpose), href=f"/{one.path}/", class_="card way")
        for one in pages
        if session is None or session.role == "researcher" or one.for_reviewers
    ]
    leave = session and el(
        "form",
        f"Logged in as {session.user}. ",
        el("button", "Log out", type="submit"),
        method="post",
        action="/logout",
        class_="muted",
    )
    body = page(
        el("h1", "Review of a model that learns to understand medical video"),
        el("p", _INTRODUCTION),
        el("div", *cards, class_="ways") if cards else note(_NOTHING, "warning"),
        leave,
        footer(),
    )
    return document("Start", body, style)
