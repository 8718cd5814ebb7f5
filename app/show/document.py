"""A whole HTML document, for the pages that need no Gradio."""

from __future__ import annotations

from app.show.html import Html, el

__all__ = ["document"]


def document(title: str, body: Html, style: str) -> str:
    """The document as text.

    Args:
        title: Of the browser's tab.
        body: What is on it.
        style: Style sheet, code of ours.
    """
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"{title} - medgrpo"),
        el("style", Html(style)),
    )
    return f"<!doctype html>{el('html', head, el('body', body, class_='start'), lang='en')}"
