"""The few lines of JavaScript that pages bring along: files of this package, never made from data."""

from __future__ import annotations

from pathlib import Path

__all__ = ["script"]

_FOLDER = Path(__file__).parent / "static"


def script(name: str) -> str:
    """The text of one file, for an HTML component's ``js_on_load``.

    Args:
        name: File name without ``.js``.
    """
    return (_FOLDER / f"{name}.js").read_text(encoding="utf-8")
