"""Checks of single fields of a record, with messages that say what was found and what is expected."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from medgrpo.errors import UserError

__all__ = ["FieldError", "check_text", "describe", "number", "positive_rate", "required_text"]


class FieldError(UserError):
    """A field of a record is not as it should be.

    Args:
        field: Its name, with dots for nested ones.
        problem: What is wrong and what is expected.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"field {field!r}: {problem}")
        self.field = field
        self.problem = problem

    def __reduce__(self) -> tuple[type[FieldError], tuple[str, str]]:
        return FieldError, (self.field, self.problem)


def describe(value: Any) -> str:
    """What a JSON value is, for a message."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    names: dict[type, str] = {str: "text", list: "list", dict: "object", type(None): "nothing"}
    name = names.get(type(value), type(value).__name__)
    return name if value or value is None else f"empty {name}"


def required_text(record: Mapping[str, Any], field: str) -> str:
    """A field that must be a non-empty text.

    Raises:
        FieldError: If it is not.
    """
    value = record.get(field)
    if not isinstance(value, str) or not value:
        raise FieldError(field, f"expected text, found {describe(value)}")
    check_text(value, field)
    return value


def check_text(value: str, field: str, where: str = "") -> None:
    """Check that a text can be written as UTF-8: JSON's escapes can spell half a character.

    Args:
        value: The text.
        field: Where it is from.
        where: The same more precisely, e.g. ``"turn 0: "``.

    Raises:
        FieldError: If it cannot.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FieldError(field, f"{where}character {error.start} is half of a surrogate pair") from None


def number(text: str | None) -> float:
    """A finite number written as text; NaN for anything else."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


MAX_RATE = 10_000.0
"""Frames a second beyond which a rate is a mistake, of units for example."""

MIN_RATE = 1e-4
"""The same at the other end: a frame in almost three hours."""


def positive_rate(metadata: Mapping[str, str], name: str) -> float:
    """A rate in frames a second from a row's metadata.

    Raises:
        FieldError: If it is missing, not a number, not positive or not that of any camera.
    """
    text = metadata.get(name)
    rate = number(text)
    if not rate > 0:
        found = "is missing" if text is None else f"is {text!r}"
        raise FieldError(f"metadata.{name}", f"{found}; expected a positive number of frames a second")
    if rate > MAX_RATE:
        raise FieldError(f"metadata.{name}", f"is {text!r}; no camera has over {MAX_RATE:g} frames a second")
    if rate < MIN_RATE:
        raise FieldError(f"metadata.{name}", f"is {text!r}; no camera has under {MIN_RATE:g} frames a second")
    return rate
