"""What a chat server is asked, in the form of its messages: a text, or a text after pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PICTURE_TOKENS", "PicturedPrompt", "message_bytes", "pictures_in", "user_message"]

PICTURE_TOKENS = 256
"""Assumed of a picture where tokens are reserved; servers differ, and tell the true number afterwards."""


@dataclass(frozen=True, slots=True)
class PicturedPrompt:
    """A question about pictures.

    Attributes:
        text: The question.
        pictures: A caption and a ``data:`` URI each, sent in front of the question in their order.
    """

    text: str
    pictures: Sequence[tuple[str, str]]


def user_message(prompt: str | PicturedPrompt) -> dict[str, Any]:
    """The user's turn of a chat completion."""
    if isinstance(prompt, str):
        return {"role": "user", "content": prompt}
    parts: list[dict[str, Any]] = []
    for caption, uri in prompt.pictures:
        parts += [{"type": "text", "text": caption}, {"type": "image_url", "image_url": {"url": uri}}]
    return {"role": "user", "content": [*parts, {"type": "text", "text": prompt.text}]}


def message_bytes(message: Mapping[str, Any]) -> int:
    """UTF-8 bytes of a message's text, pictures left out."""
    content = message["content"]
    texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def pictures_in(message: Mapping[str, Any]) -> int:
    """How many pictures a message holds."""
    content = message["content"]
    return 0 if isinstance(content, str) else sum(part["type"] == "image_url" for part in content)
