"""Forms of numbers, times and dashes that the tolerant parsers share.

Digit counts are bounded, so that no text, however long, makes a number that is infinite or a scan that
is slow; only ASCII digits count as digits.
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = [
    "CLOCK_OR_SECONDS",
    "SECONDS",
    "UNIT",
    "as_number",
    "first_item",
    "one_line",
    "seconds",
    "unify_dashes",
]

SECONDS = r"[0-9]{1,7}(?:\.[0-9]{1,9})?"
"""A plain number of seconds."""

CLOCK_OR_SECONDS = rf"(?:(?:[0-9]{{1,3}}:)?[0-9]{{1,3}}:[0-9]{{2}}(?:\.[0-9]{{1,9}})?|{SECONDS})"
"""``12.5``, ``01:30`` or ``1:02:03.5``."""

UNIT = r"(?:seconds?|secs?|s)\b"
"""What may follow a number of seconds."""

# Hyphens, en and em dashes, minus signs and their full-width forms; one character each, so that
# positions in the text stay the same.
_DASHES = {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"}
_BLANK = re.compile(r"\s+")


def unify_dashes(text: str) -> str:
    """The text with every kind of dash as an ASCII hyphen, same length."""
    return text.translate(_DASHES)


def seconds(text: str) -> float:
    """A time that matched ``CLOCK_OR_SECONDS``, in seconds."""
    total = 0.0
    for part in text.split(":"):
        total = total * 60.0 + float(part)
    return total


def as_number(value: Any) -> float | None:
    """A finite float from a JSON number or a numeric string, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def first_item(truth: Any) -> Any:
    """The first item of a ``struc_info`` list, or the value itself when it is no list."""
    if isinstance(truth, list):
        return truth[0] if truth else None
    return truth


def one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return _BLANK.sub(" ", text).strip()
