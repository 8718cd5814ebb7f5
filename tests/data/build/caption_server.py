"""Two writers that speak OpenAI's chat completions: what they write follows from the prompt."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.services.chat_server import Answer, ChatServer, serve

__all__ = ["answer_of", "content_of", "pictures_of", "writers"]

_EVENT = re.compile(r"^\d+\. [\d.]+-[\d.]+ seconds: (?P<label>.+)$", re.MULTILINE)
_OBJECT = re.compile(r"a green box marks one object: (?P<label>[^.]+)\.")
_SAYINGS = {
    "gpt": "With steady movements the operator performs {what}, and the tissue moves along with it.",
    "gemini": "The operator performs {what} in steady movements while the tissue follows.",
}


def content_of(request: dict[str, Any]) -> str:
    """The instructions of a prompt."""
    content = request["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def pictures_of(request: dict[str, Any]) -> list[str]:
    """The pictures of a prompt."""
    content = request["messages"][0]["content"]
    return [] if isinstance(content, str) else [p["image_url"]["url"] for p in content if "image_url" in p]


def answer_of(request: dict[str, Any], writer: str) -> Answer:
    """What a writer says: a sentence for each event, the object, or the clip."""
    text = content_of(request)
    assert pictures_of(request), "a writer sees pictures"
    labels = [match["label"] for match in _EVENT.finditer(text)] if "exactly" in text else []
    if not labels:
        match = _OBJECT.search(text)
        mark = hashlib.sha256(text.encode()).hexdigest()[:2]
        labels = [match["label"] if match else f"the task of this part, number {int(mark, 16)},"]
    return Answer(json.dumps({"texts": [_SAYINGS[writer].format(what=label) for label in labels]}))


@contextmanager
def writers() -> Iterator[tuple[ChatServer, ChatServer]]:
    """Both, as ``gpt`` and ``gemini``."""
    with serve(lambda r: answer_of(r, "gpt")) as one, serve(lambda r: answer_of(r, "gemini")) as other:
        yield one, other
