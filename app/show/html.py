"""HTML and SVG from untrusted text: whatever is not already :class:`Html` is escaped on its way in.

Model answers, judge rationales and dataset texts reach the page only as children or attribute values of
:func:`el`, so that no caller has to remember to escape.
"""

from __future__ import annotations

import difflib
import html
import math
import re
from collections.abc import Iterable

__all__ = ["Html", "el", "join", "note", "number", "signed", "table", "word_difference"]


class Html(str):
    """Markup that may go to the browser as it is. Only this module makes it."""

    __slots__ = ()


def _escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """One element.

    Args:
        name: Tag name, given by code, never by data.
        children: Html stays, None is left out, anything else is shown as text.
        attributes: ``class_`` for ``class``, ``_`` for ``-`` otherwise; None is left out. Names come from
            code; values may be any text.

    Returns:
        ``<name ...>children</name>``.
    """
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{_escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    return Html(f"<{name}{''.join(parts)}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Children one after the other, text escaped."""
    return Html("".join(c if isinstance(c, Html) else _escape(c) for c in children if c is not None))


def note(text: object, kind: str = "info") -> Html:
    """A paragraph that stands out; ``kind`` is info or warning."""
    return el("p", text, class_=f"note {kind}", role="status")


def number(value: float | None, digits: int = 2) -> str:
    """A number for reading; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:z.{digits}f}".replace("-", "−")  # no -0.00


def signed(value: float | None, digits: int = 2) -> str:
    """A number with its sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:+z.{digits}f}".replace("-", "−")


def table(head: Iterable[object], rows: Iterable[Iterable[object]], **attributes: object) -> Html:
    """A table with a row of headings; cells that are already ``td`` elements keep their spans."""
    cells = (
        el("tr", *(c if isinstance(c, Html) and c.startswith("<td") else el("td", c) for c in row))
        for row in rows
    )
    headings = el("thead", el("tr", *(el("th", h, scope="col") for h in head)))
    return el("div", el("table", headings, el("tbody", *cells), **attributes), class_="scroll")


def word_difference(answer: str, reference: str) -> Html:
    """The answer's words, marked against the reference.

    Words that the reference has and the answer lacks are struck out (``del``), those that only the answer
    has are underlined (``ins``); joined they give the answer's own words in their order.
    """
    ours, theirs = re.findall(r"\S+", answer), re.findall(r"\S+", reference)
    matcher = difflib.SequenceMatcher(
        None, [w.lower() for w in theirs], [w.lower() for w in ours], autojunk=False
    )
    pieces: list[Html] = []
    for operation, a1, a2, b1, b2 in matcher.get_opcodes():
        if operation == "equal":
            pieces.append(el("span", " ".join(ours[b1:b2])))
            continue
        if a2 > a1:
            pieces.append(el("del", " ".join(theirs[a1:a2]), title="in the reference, missing here"))
        if b2 > b1:
            pieces.append(el("ins", " ".join(ours[b1:b2]), title="not in the reference"))
    return Html(" ".join(pieces))
