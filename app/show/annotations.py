"""What experts marked and models answered, ready to be drawn: spans of time, and boxes on frames."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["segments_of"]


def segments_of(value: Any) -> list[tuple[float, float, str]]:
    """Start, end and text of the spans of a ``tal`` or ``dense_captioning`` structure.

    Args:
        value: A list of ``[start, end]`` or of ``{"start", "end", "caption"}``, in seconds.
            What has no finite times is left out.
    """
    found = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            parts = (item.get("start"), item.get("end"), item.get("caption"))
        else:
            parts = (*item[:2], None)
        start, end = (v if isinstance(v, int | float) else math.nan for v in parts[:2])
        if math.isfinite(start) and math.isfinite(end):
            found.append((float(start), float(end), str(parts[2] or "")))
    return found
