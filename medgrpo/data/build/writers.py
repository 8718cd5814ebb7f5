"""Writers: models that describe clips, each behind an OpenAI-compatible server.

A reply is kept the moment it comes, refusals and unreadable ones too, so that nothing is paid for twice. What
failed on the way is not kept: the next run asks again. Nothing leaves the machine unless the config says so.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.errors import UserError
from medgrpo.services.addresses import is_local
from medgrpo.services.chat import ChatClient, ChatReply
from medgrpo.services.chat_message import PicturedPrompt, user_message
from medgrpo.services.limits import Limits
from medgrpo.services.reply_cache import content_key
from medgrpo.tasks import get_task

__all__ = ["FLAGGED", "SCHEMA", "SETTLED", "SPEECH", "ChatWriter", "TextRequest", "Writer"]

_log = logging.getLogger(__name__)

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"texts": {"type": "array", "items": {"type": "string"}}},
    "required": ["texts"],
    "additionalProperties": False,
}
"""Of a reply: one text, or one for each event."""

SETTLED = ("ok", "refused", "schema")
"""Statuses of replies for which asking again would cost and not help."""

FLAGGED = "flagged pictures"
SPEECH = "speech with names"
"""What a remote writer does not get."""

REASK = (
    'Answer with JSON of the form {"texts": [...]} and nothing else, with exactly as many texts as asked for.'
)


@dataclass(frozen=True)
class TextRequest:
    """A text that is asked for.

    Attributes:
        draft: The question.
        prompt: What may stay on this machine; None if there is nothing to show.
        remote: What may leave it; None if nothing may.
        detail: Why one of them is None.
        holds: What the prompts hold, for the log: ``pictures``, ``annotations``, ``speech``.
        held_back: What was left out of ``remote``: ``flagged pictures``, ``speech with names``.
    """

    draft: Draft
    prompt: PicturedPrompt | None
    remote: PicturedPrompt | None
    detail: str = ""
    holds: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()

    def sends(self, remote: bool) -> tuple[str, ...]:
        """What goes to a writer, remote or of the house; nothing if there is no prompt for it."""
        if (self.remote if remote else self.prompt) is None:
            return ()
        kept = "speech" if remote and SPEECH in self.held_back else ""
        return tuple(kind for kind in self.holds if kind != kept)

    @property
    def count(self) -> int:
        """Texts that the answer consists of."""
        return len(self.draft.events) if self.draft.task == "dense_captioning" else 1


class Writer(Protocol):
    """Answers requests; kept in the config under the suffix of its texts' ``qa_type``."""

    def settings(self) -> dict[str, Any]:
        """What texts depend on, ready for JSON; where the writer is does not count."""
        ...

    def check(self) -> None:
        """Find out what can be known without a request.

        Raises:
            UserError: If the writer cannot be asked, e.g. for want of its key.
        """
        ...

    def write(self, requests: Sequence[TextRequest], name: str) -> list[WrittenText]:
        """One text a request, in order; failures carry a status.

        Args:
            requests: What is asked for.
            name: Suffix of the question type.
        """
        ...


class ChatWriter:
    """A model behind an OpenAI-compatible server.

    Args:
        model: Name under which the server knows it.
        base_url: Of the API.
        cache: File in which replies are kept; the writers of a build may share one.
        api_key_env: Name of the environment variable that holds the key; None for a server without keys.
        allow_remote: Whether pictures, annotations and speech may go to another machine.
        allow_hosts: The user's own servers, to which they may go without ``allow_remote``, and which get what
            stays in the house.
        timeout_s: Seconds for one attempt.
        max_retries: Further attempts after failures on the way.
        concurrency: Requests under way at a time.
        temperature: Of the model; None sends none.
        seed: Sent with every request; None sends none.
        max_tokens: Longest reply, what the model thinks included; None sends none.
        reasks: How often an unreadable reply is asked for again.
        extra_body: Further fields of the request.
        limits: Rates, budget and prices.
        backoff_s: About the pause before the first retry.
        revision: Of the model, where its name alone does not say which weights answer.

    Raises:
        UserError: If the server is remote and may not be, or an argument is out of range.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        cache: str,
        api_key_env: str | None = None,
        allow_remote: bool = False,
        allow_hosts: Sequence[str] = (),
        timeout_s: float = 120.0,
        max_retries: int = 4,
        concurrency: int = 8,
        temperature: float | None = 0.0,
        seed: int | None = 0,
        max_tokens: int | None = 2048,
        reasks: int = 1,
        extra_body: dict[str, Any] | None = None,
        limits: Limits | None = None,
        backoff_s: float = 0.5,
        revision: str = "",
    ) -> None:
        if temperature is not None and not 0.0 <= temperature < math.inf:
            raise UserError(f"ChatWriter: temperature must be at least 0, got {temperature}")
        if reasks < 0 or (max_tokens is not None and max_tokens < 1):
            raise UserError("ChatWriter: reasks must be at least 0 and max_tokens at least 1")
        self.model = model
        self.base_url = base_url
        self.cache = cache
        self.api_key_env = api_key_env
        self.allow_remote = allow_remote
        self.allow_hosts = tuple(allow_hosts)
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.concurrency = concurrency
        self.temperature = temperature
        self.seed = seed
        self.max_tokens = max_tokens
        self.reasks = reasks
        self.extra_body = extra_body
        self.limits = limits or Limits()
        self.backoff_s = backoff_s
        self.revision = revision
        self.remote = not is_local(base_url, allow_remote, allow_hosts)
        given = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "extra_body": extra_body}
        self.parameters = {key: value for key, value in given.items() if value is not None} | {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "texts", "strict": True, "schema": dict(SCHEMA)},
            }
        }
        self.sent: Counter[str] = Counter()

    def settings(self) -> dict[str, Any]:
        """What replies depend on."""
        return {"model": self.model, "revision": self.revision, "parameters": self.parameters}

    def check(self) -> None:
        """See :class:`Writer`."""
        self._client()

    def write(self, requests: Sequence[TextRequest], name: str) -> list[WrittenText]:
        """See :class:`Writer`.

        Raises:
            UserError: If the server refuses the key or does not know the model.
        """
        prompts = [request.remote if self.remote else request.prompt for request in requests]
        asked = [k for k, prompt in enumerate(prompts) if prompt is not None]
        client = self._client()  # without its key nothing leaves, so nothing is said to
        self._tell(requests, name)
        keys = [content_key({"prompt": _content(prompts[k]), **self.settings()}) for k in asked]
        counts = {key: requests[k].count for key, k in zip(keys, asked, strict=True)}
        texts: dict[int, WrittenText] = {}
        for count in sorted(set(counts.values())):
            chosen = [(key, k) for key, k in zip(keys, asked, strict=True) if requests[k].count == count]
            replies = client.ask(
                [prompts[k] for _, k in chosen],  # type: ignore[misc]
                readable=lambda text, count=count: _texts(text, count) is not None,  # type: ignore[misc]
                reask=REASK,
                reasks=self.reasks,
                progress="",  # the build shows one for all
                keys=[key for key, _ in chosen],
                settled=SETTLED,
            )
            for (key, k), reply in zip(chosen, replies, strict=True):
                texts[k] = _written(requests[k].draft, reply, name, self.model, key)
        withheld = [WrittenText(name, self.model, "withheld", detail=request.detail) for request in requests]
        return [texts.get(k, withheld[k]) for k in range(len(requests))]

    def _client(self) -> ChatClient:
        if not hasattr(self, "_made"):
            self._made = ChatClient(
                self.model,
                self.base_url,
                self.api_key_env,
                self.allow_remote,
                self.timeout_s,
                self.max_retries,
                self.concurrency,
                self.parameters,
                self.cache,
                self.limits,
                self.backoff_s,
                self.allow_hosts,
            )
        return self._made

    def _tell(self, requests: Sequence[TextRequest], name: str) -> None:
        """Say once for each kind of data where it goes, or that it stays."""
        host = urlsplit(self.base_url).hostname or ""
        where = f"leave this machine for {host}" if self.remote else f"go to {host}"
        going = Counter(kind for request in requests for kind in request.sends(self.remote))
        staying = Counter(kind for request in requests for kind in request.held_back if self.remote)
        for kind in (kind for kind in sorted(going) if not self.sent[kind]):
            _log.warning("writer %s (%s): %s of clips %s", name, self.model, kind, where)
        for kind in (kind for kind in sorted(staying) if not self.sent[kind]):
            _log.warning("writer %s (%s): %s stay on this machine", name, self.model, kind)
        self.sent.update(going + staying)


def _content(prompt: PicturedPrompt | None) -> dict[str, Any]:
    return {} if prompt is None else user_message(prompt)


def _texts(reply: str, count: int) -> list[str] | None:
    """The texts of a reply in one line each; None if they are not as many as asked for."""
    answer = reply.rpartition("</think>")[2].strip()
    answer = answer.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        content = json.loads(answer)
    except ValueError:
        return None
    found = content.get("texts") if isinstance(content, dict) else None
    if not isinstance(found, list) or len(found) != count or not all(isinstance(t, str) for t in found):
        return None
    texts = [" ".join(text.split()) for text in found]
    return texts if all(texts) else None


def _written(draft: Draft, reply: ChatReply, name: str, model: str, key: str) -> WrittenText:
    count = len(draft.events) if draft.task == "dense_captioning" else 1
    texts = _texts(reply.text, count) if reply.status == "ok" else None
    status = "schema" if reply.status == "ok" and texts is None else reply.status
    if status == "schema" and not reply.body:
        status = "http"  # no model answered: the next run asks again
    captions: tuple[str, ...] = ()
    text = ""
    if texts is not None:
        text = texts[0]
        if draft.task == "dense_captioning":
            captions = tuple(texts)
            events = [
                {"start": event.start, "end": event.end, "caption": f"{event.caption}: {caption}"}
                for event, caption in zip(draft.events, captions, strict=True)
            ]
            text = get_task(draft.task).write(events)
    return WrittenText(
        writer=name,
        model=reply.model or model,
        status=status,
        text=text,
        captions=captions,
        prompt_hash=key,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cost=reply.cost,
        detail=reply.detail if status != "ok" else "",
    )
