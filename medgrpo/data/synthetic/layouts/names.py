"""Names of drawn videos in the style of their sources."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["youtube_id"]


def youtube_id(source: str, number: int, seed: int) -> str:
    """The 11 characters by which a video of the web is known."""
    digest = hashlib.sha256(f"{source}/{seed}/{number}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:11]
