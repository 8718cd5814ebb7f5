"""What several parts of medgrpo share: the sentence encoder, a client for chat models, files."""

from __future__ import annotations

from medgrpo.services.encoder import SentenceEncoder

__all__ = ["SentenceEncoder"]
