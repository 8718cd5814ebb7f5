"""What stands above and below every page: its name, the way to the others, what the page may be used for."""

from __future__ import annotations

from collections.abc import Sequence

from app.show.html import Html, el

__all__ = ["footer", "header", "page"]


def page(*parts: object) -> Html:
    """Parts of a page in the project's style."""
    return el("div", *parts, class_="medgrpo")


def header(title: str, introduction: str, links: Sequence[tuple[str, str]]) -> Html:
    """The top of a page.

    Args:
        title: Of this page.
        introduction: What one sees here, in plain words.
        links: (path, title) of all pages.
    """
    way = [
        el("a", name, href=f"/{path}", aria_current="page" if name == title else None)
        for path, name in [("", "Start"), *((f"{path}/", name) for path, name in links)]
    ]
    return page(el("nav", *way, aria_label="Pages"), el("h1", title), el("p", introduction, class_="muted"))


def footer() -> Html:
    """The bottom of every page."""
    return page(el("p", "Research use only. Not for decisions about patients.", class_="muted small"))
