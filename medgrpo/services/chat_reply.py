"""What came back for one question to a chat server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

__all__ = ["ChatReply", "read_completion"]


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back for one question.

    Attributes:
        text: The reply; empty unless ``status`` is ``ok``.
        status: ``ok``, ``timeout``, ``http`` (the server failed or could not be reached), ``schema``
            (unreadable), ``refused`` or ``budget`` (not asked, for it could have cost too much).
        detail: What went wrong, for people.
        model: As the server names it.
        latency_s: Seconds, retries and repetitions included; waiting for rate limits is not.
        prompt_tokens: Tokens sent, repetitions included.
        cached_tokens: Those of them that the server had in its own cache.
        completion_tokens: Tokens received, repetitions included.
        cost: In the currency of the price table; 0 without one.
        cached: Whether it came from the reply cache; then nothing was spent now.
        body: The server's whole answer as JSON.
    """

    text: str = ""
    status: str = "ok"
    detail: str = ""
    model: str = ""
    latency_s: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    cached: bool = False
    body: str = ""


def read_completion(answer: Any, model: str, latency: float) -> ChatReply:
    """A completion as a reply; a body of another form is unreadable.

    Args:
        answer: What the SDK made of the server's body.
        model: Its name, where the body has none.
        latency: Seconds.
    """
    try:
        choice = answer.choices[0]
        content, refusal = choice.message.content, getattr(choice.message, "refusal", None)
        filtered = getattr(choice, "finish_reason", None) == "content_filter"
    except (AttributeError, IndexError, KeyError, TypeError):
        return ChatReply("", "schema", "the body is no chat completion", model, latency)
    usage = getattr(answer, "usage", None)
    reply = ChatReply(
        model=str(getattr(answer, "model", None) or model),
        latency_s=latency,
        prompt_tokens=_count(usage, "prompt_tokens"),
        cached_tokens=_count(getattr(usage, "prompt_tokens_details", None), "cached_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        body=_body(answer),
    )
    if refusal or filtered:
        reason = " ".join(str(refusal or "content filter").split())[:240]
        return replace(reply, status="refused", detail=reason)
    return replace(reply, text=content if isinstance(content, str) else "")


def _count(holder: Any, name: str) -> int:
    """A number of tokens; 0 where the server sent none, or something else."""
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0


def _body(answer: Any) -> str:
    try:
        return str(answer.model_dump_json(exclude_none=True, warnings=False))
    except (AttributeError, TypeError, ValueError):  # wrong types that the SDK let through
        return ""
