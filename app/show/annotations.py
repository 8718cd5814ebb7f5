"""What experts marked and models answered, ready to be drawn: spans of time, and boxes on frames."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["segments_of"]


def segments_of(value: Any) -> list[tuple[float, float, str]]:
    """Start, end and text of the spans of a ``tal`` or ``dense_captioning`` structure; others are left out.

    Args:
        value: A list of ``[start, end]`` or of ``{"start", "end", "caption"}``, in seconds.
    """
    found = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            parts: tuple[Any, ...] = item.get("start"), item.get("end"), item.get("caption")
        else:
            parts = item[0], item[1], None
        start, end, text = parts
        if all(isinstance(v, int | float) and math.isfinite(v) for v in (start, end)):
            found.append((float(start), float(end), str(text or "")))
    return found
