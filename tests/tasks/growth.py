"""Whether a reader's time grows with the length of its text, and no faster.

A pattern that starts again at every letter takes 256 times as long for 16 times the text, where 16 times is
right. Only this ratio is judged, far from both; only of the time that this thread has computed, which other
programs do not lengthen as they do the time that passes; and only where it is long enough to be measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["is_slow"]

SHORT, LONG = 1_000, 16_000
"""Letters."""

MEASURABLE = 0.02
"""Seconds; the slowest of the readers takes about as long for the long text, a slow pattern ten times it."""


def is_slow(read: Callable[[str], object], piece: str) -> bool:
    """Whether reading a text that repeats a piece, and then ends in another way, is more than in proportion.

    Args:
        read: The reader.
        piece: At least one letter.
    """
    short, long = (_repeated(piece, length) for length in (SHORT, LONG))
    if _seconds(read, long) < MEASURABLE:
        return False
    # The least of several: a disturbance comes once, a slow pattern is slow every time.
    least_short, least_long = (min(_seconds(read, text) for _ in range(3)) for text in (short, long))
    return least_long > max(MEASURABLE, least_short * (LONG / SHORT) ** 1.5)


def _repeated(piece: str, length: int) -> str:
    return (piece * (length // len(piece) + 1))[:length] + "!"


def _seconds(read: Callable[[str], object], text: str) -> float:
    begin = time.thread_time()
    read(text)
    return time.thread_time() - begin
