"""The page on which one logs in."""

from __future__ import annotations

from app.show.document import document
from app.show.frame import footer, page
from app.show.html import el, note

__all__ = ["login_page"]


def login_page(style: str, said: str | None = None) -> str:
    """The whole document.

    Args:
        style: Style sheet.
        said: What went wrong, if something did.
    """
    form = el(
        "form",
        el("label", "Name", el("input", name="name", autocomplete="username", required="", autofocus="")),
        el(
            "label",
            "Password",
            el("input", name="password", type="password", autocomplete="current-password", required=""),
        ),
        el("button", "Log in", type="submit"),
        method="post",
        action="/login",
        class_="login card",
    )
    told = note(said, "warning") if said else None
    return document("Log in", page(el("h1", "Log in"), told, form, footer()), style)
