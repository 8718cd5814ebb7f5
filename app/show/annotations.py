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
        parts: tuple[Any, ...] = ()
        if isinstance(item, dict):
            parts = item.get("start"), item.get("end"), item.get("caption")
        elif isinstance(item, list | tuple):
            parts = (*item[:2], None)
        if len(parts) == 3 and all(isinstance(v, int | float) and math.isfinite(v) for v in parts[:2]):
            found.append((float(parts[0]), float(parts[1]), str(parts[2] or "")))
    return found
