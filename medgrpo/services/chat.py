"""Questions to any server that speaks OpenAI's chat completions, many at a time.

Nothing leaves the machine unless the caller says so: a server elsewhere is refused by default, redirects are
not followed, and requests to this machine and to the user's own servers ignore proxies. The key is read from
the environment when it is used and is kept nowhere; messages are cleaned of it. What fails on the way is
retried in :mod:`medgrpo.services.chat_attempts`; an unreadable reply is asked again here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from medgrpo.errors import MissingExtraError, UserError
from medgrpo.services.addresses import is_local
from medgrpo.services.chat_attempts import Attempts
from medgrpo.services.chat_message import PicturedPrompt, user_message
from medgrpo.services.chat_reply import ChatReply
from medgrpo.services.limits import Limits
from medgrpo.services.reply_cache import ReplyCache
from medgrpo.services.spending import Breaker

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ChatClient", "ChatReply"]

_MANY = 50  # questions from which on a progress bar is worth its line


class ChatClient:
    """A chat model behind an HTTP server.

    Args:
        model: Name under which the server knows it.
        base_url: Of the API, e.g. ``http://localhost:8000/v1``.
        api_key_env: Name of the environment variable that holds the key; None for a server without keys.
        allow_remote: Whether the server may be on another machine.
        timeout_s: Seconds for one attempt.
        max_retries: Further attempts after failures on the way.
        concurrency: Questions under way at a time.
        parameters: Sent with every question, e.g. ``temperature``.
        cache: File of good replies, see :class:`ReplyCache`; None keeps none.
        limits: Rates, budget, and when to pause; none by default.
        backoff_s: About the pause before the first retry, where the server names none; it doubles.
        allow_hosts: The user's own servers, to which questions may go without ``allow_remote``.

    Raises:
        UserError: If the server is remote and may not be, an argument is out of range, the variable of the
            key is not set, or the ``openai`` package is missing.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key_env: str | None = None,
        allow_remote: bool = False,
        timeout_s: float = 30.0,
        max_retries: int = 4,
        concurrency: int = 8,
        parameters: Mapping[str, Any] | None = None,
        cache: str | None = None,
        limits: Limits | None = None,
        backoff_s: float = 0.5,
        allow_hosts: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.concurrency = concurrency
        self.parameters = dict(parameters or {})
        self.cache = ReplyCache(cache) if cache else None
        self._is_local = is_local(base_url, allow_remote, allow_hosts)
        if not model:
            raise UserError("a chat model needs a name")
        if not timeout_s > 0 or max_retries < 0 or concurrency < 1 or not backoff_s >= 0:
            raise UserError(
                "timeout_s must be above 0, max_retries and backoff_s at least 0 and concurrency at least 1, "
                f"got {timeout_s}, {max_retries}, {backoff_s} and {concurrency}"
            )
        if importlib.util.find_spec("openai") is None:
            raise MissingExtraError("openai", "judge")
        self._key()
        limits = limits or Limits()
        self._breaker = Breaker(limits, base_url)
        self._attempts = Attempts(
            model,
            base_url,
            self.parameters,
            timeout_s,
            max_retries,
            backoff_s,
            limits,
            self._cleaned,
            api_key_env,
        )

    @property
    def spent(self) -> tuple[float, int]:
        """Cost and tokens so far."""
        return self._attempts.budget.cost, self._attempts.budget.tokens

    def ask(
        self,
        prompts: Sequence[str | PicturedPrompt],
        readable: Callable[[str], bool] = bool,
        reask: str = "",
        reasks: int = 0,
        progress: str = "ask",
        keys: Sequence[str] | None = None,
        settled: Collection[str] = ("ok",),
    ) -> list[ChatReply]:
        """Ask questions, each as one user message.

        Args:
            prompts: The questions, with pictures or without.
            readable: Whether a reply is of use; others are asked again.
            reask: What an unreadable reply is answered with.
            reasks: How often.
            progress: Title of the progress bar, which appears for many questions; without a title it does
                not.
            keys: What each reply is kept under in the cache, see :func:`content_key`; equal keys are asked
                once. None leaves the cache alone.
            settled: Statuses of replies that are kept. With ``refused`` and ``schema`` nothing is paid for a
                second time; a reply that did not come is never kept.

        Returns:
            One reply a question, in order; failures carry a status. Once the server has been out of reach
            for a while, the remaining questions fail without being asked.

        Raises:
            UserError: If the server refuses the key or does not know the model, or questions keep failing
                through all the pauses of the limits.
        """
        if keys is not None and len(keys) != len(prompts):
            raise ValueError(f"{len(prompts)} questions but {len(keys)} keys")
        if self.cache is None or keys is None:
            return self._ask(_Work(list(prompts), None, readable, reask, reasks), progress)
        # What was kept by a reader with other demands may be unreadable to this one.
        work = _Work([], [], readable, reask, reasks, tuple(settled))
        kept = {key: reply for key, reply in self.cache.get(keys).items() if work.is_settled(reply)}
        missing = {key: i for i, key in enumerate(keys) if key not in kept}
        asked = [prompts[i] for i in missing.values()]
        fresh = self._ask(replace(work, prompts=asked, keys=list(missing)), progress)
        kept.update(zip(missing, fresh, strict=True))
        return [kept[key] for key in keys]

    def _ask(self, work: _Work, progress: str) -> list[ChatReply]:
        """Ask all, and keep what is good under its key as it comes."""
        count = len(work.prompts)
        if not count:
            return []
        hidden = not progress or count < _MANY
        work.bar = tqdm(total=count, desc=progress, disable=hidden, unit="call", leave=False)
        with work.bar:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return asyncio.run(self._all(work))
            with ThreadPoolExecutor(1) as pool:  # inside someone's event loop, e.g. a notebook's
                return pool.submit(lambda: asyncio.run(self._all(work))).result()

    def _key(self) -> str:
        """The key, or a stand-in where the server needs none."""
        if self.api_key_env is None:
            return "none"
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.api_key_env):
            # The value is not shown: it may be the key itself.
            raise UserError(
                "api_key_env must be the name of an environment variable in capitals, never the key"
            )
        key = os.environ.get(self.api_key_env, "")
        if not key:
            raise UserError(f"the environment variable {self.api_key_env} is not set; it must hold the key")
        return key

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        return AsyncOpenAI(
            api_key=self._key(),
            base_url=self.base_url,
            timeout=self.timeout_s,
            max_retries=0,  # every attempt passes the limits
            http_client=DefaultAsyncHttpxClient(
                timeout=self.timeout_s, follow_redirects=False, trust_env=not self._is_local
            ),
        )

    async def _all(self, work: _Work) -> list[ChatReply]:
        mistakes: list[BaseException] = []
        async with self._open() as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(work.prompts))):
                        group.create_task(self._worker(client, work))
            except* UserError as found:
                mistakes += found.exceptions
        if mistakes:
            raise mistakes[0]
        return [work.replies[i] for i in range(len(work.prompts))]

    async def _worker(self, client: AsyncOpenAI, work: _Work) -> None:
        for i in work.queue:
            await self._breaker.ready()
            if work.out_of_reach >= 2 * self.concurrency and not self._breaker.active:
                work.done(i, ChatReply(status="http", detail=f"not asked: {work.last_detail}"))
                continue
            reply = await self._converse(client, work, work.prompts[i])
            if work.is_settled(reply) and work.keys is not None and self.cache is not None:
                kept = self.cache.put(work.keys[i], reply)
                # A reader with other demands may have kept what is of no use here.
                reply = kept if work.is_settled(kept) else reply
            self._breaker.note(reply)
            work.done(i, reply)

    async def _converse(self, client: AsyncOpenAI, work: _Work, prompt: str | PicturedPrompt) -> ChatReply:
        """Ask until a reply is readable."""
        messages = [user_message(prompt)]
        before = ChatReply()
        for left in range(work.reasks, -1, -1):
            reply = await self._attempts.ask(client, messages)
            before = reply = replace(
                reply,
                latency_s=before.latency_s + reply.latency_s,
                prompt_tokens=before.prompt_tokens + reply.prompt_tokens,
                cached_tokens=before.cached_tokens + reply.cached_tokens,
                completion_tokens=before.completion_tokens + reply.completion_tokens,
                cost=before.cost + reply.cost,
            )
            if reply.status not in ("ok", "schema") or (reply.text and work.readable(reply.text)):
                return reply
            if left and reply.text and work.reask:
                said = {"role": "assistant", "content": reply.text[:2000]}
                messages = [messages[0], said, {"role": "user", "content": work.reask}]
        shown = " ".join(reply.text.split())[:80]
        return replace(reply, text="", status="schema", detail=reply.detail or f"unreadable reply {shown!r}")

    def _cleaned(self, message: str) -> str:
        """One short line without the key."""
        key = self._key()
        line = " ".join(message.split())
        return (line.replace(key, "***") if self.api_key_env else line)[:240]


@dataclass
class _Work:
    """The questions of one call and what has come back for them."""

    prompts: list[str | PicturedPrompt]
    keys: list[str] | None
    readable: Callable[[str], bool]
    reask: str
    reasks: int
    settled: tuple[str, ...] = ("ok",)
    bar: Any = None

    def __post_init__(self) -> None:
        self.queue: Iterator[int] = iter(range(len(self.prompts)))
        self.replies: dict[int, ChatReply] = {}
        self.out_of_reach = 0  # failures to reach the server, one after the other
        self.last_detail = ""

    def is_settled(self, reply: ChatReply) -> bool:
        """Whether a reply is kept, and one that was kept is of use."""
        if reply.status == "schema" and not reply.body:
            return False  # no model answered, but a proxy or a server that is something else
        return reply.status in self.settled and (reply.status != "ok" or self.readable(reply.text))

    def done(self, i: int, reply: ChatReply) -> None:
        """Keep a reply."""
        self.replies[i] = reply
        unreached = reply.status == "timeout" or reply.detail.endswith("cannot be reached")
        self.out_of_reach = self.out_of_reach + 1 if unreached else self.out_of_reach
        if reply.status in ("ok", "schema", "refused"):
            self.out_of_reach = 0
        self.last_detail = reply.detail if unreached else self.last_detail
        self.bar.update(1)
