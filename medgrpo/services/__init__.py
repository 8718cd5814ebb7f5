"""What several parts of medgrpo share: the sentence encoder."""

from __future__ import annotations

from medgrpo.services.encoder import SentenceEncoder

__all__ = ["SentenceEncoder"]
