"""One question to a server, attempted until it is answered or there is no hope: waits, retries, cost.

Every attempt passes the rate limits and the budget, and has a time limit as a whole, so that a server that
trickles does not hold it. What fails on the way is tried again (lost connections, half a body, 408, 409, 429,
5xx) after as long as the server says, else after a pause that doubles and differs from client to client.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError
from medgrpo.services.chat_message import PICTURE_TOKENS, message_bytes, pictures_in
from medgrpo.services.chat_reply import ChatReply, read_completion
from medgrpo.services.limits import Limits, RateLimit
from medgrpo.services.spending import Budget, Reservation

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["LONGEST_WAIT", "Attempts", "retry_after"]

LONGEST_WAIT = 120.0
"""Seconds: a server that says to wait longer has failed."""

_LONGEST_BACKOFF = 8.0
_ASSUMED_REPLY = 512  # tokens, where the parameters do not say
_BYTES_PER_TOKEN = 3.5
_PASSING = (408, 409, 429)


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that failed; ``wait_s`` is what the server says, None if it says nothing."""

    reply: ChatReply
    passing: bool = True
    wait_s: float | None = None


class Attempts:
    """Asks single questions within limits; keeps count over calls.

    Args:
        model: Name under which the server knows it.
        base_url: For messages.
        parameters: Sent with every question.
        timeout_s: Seconds for one attempt.
        max_retries: Further attempts.
        backoff_s: About the pause before the first retry; it doubles.
        limits: Rates and budget.
        cleaned: Takes secrets out of messages.
        key_name: Of the environment variable with the key, for messages.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        parameters: Mapping[str, Any],
        timeout_s: float,
        max_retries: int,
        backoff_s: float,
        limits: Limits,
        cleaned: Callable[[str], str],
        key_name: str | None = None,
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.parameters = parameters
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.backoff_s = backoff_s
        self.key_name = key_name
        self.budget = Budget(limits, model)
        self._requests = RateLimit(limits.requests_per_minute)
        self._tokens = RateLimit(limits.tokens_per_minute)
        self._cleaned = cleaned
        self._chance = random.Random()  # of its own: a seeded run must not depend on failures

    async def ask(self, client: AsyncOpenAI, messages: Sequence[Mapping[str, Any]]) -> ChatReply:
        """The reply, or the last failure.

        Raises:
            UserError: If the server refuses the key or does not know the model.
        """
        wanted = self._most(messages)
        latency, cost = 0.0, 0.0
        for attempt in range(self.max_retries + 1):
            if reason := self.budget.refusal(wanted):
                return ChatReply("", "budget", reason, self.model, latency, cost=cost)
            self.budget.reserve(wanted)
            reply = ChatReply(status="http")
            try:
                await self._requests.take(1)
                await self._tokens.take(wanted.tokens)
                started = time.monotonic()
                outcome = await self._attempt(client, messages)
                reply = outcome.reply if isinstance(outcome, _Failure) else outcome
            finally:  # also if the whole call is given up
                cost += self.budget.settle(wanted, reply)
                self._tokens.give_back(wanted.tokens - reply.prompt_tokens - reply.completion_tokens)
            latency += time.monotonic() - started
            reply = replace(reply, latency_s=latency, cost=cost)
            if not isinstance(outcome, _Failure) or not outcome.passing or attempt == self.max_retries:
                return reply
            pause = self._pause(attempt, outcome.wait_s)
            latency += pause
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns")

    def _pause(self, attempt: int, wait_s: float | None) -> float:
        if wait_s is not None:
            return wait_s * self._chance.uniform(1.0, 1.1)
        return min(_LONGEST_BACKOFF, self.backoff_s * 2.0**attempt) * self._chance.uniform(0.5, 1.0)

    def _most(self, messages: Sequence[Mapping[str, Any]]) -> Reservation:
        size = sum(map(message_bytes, messages))
        pictures = PICTURE_TOKENS * sum(map(pictures_in, messages))
        longest = self.parameters.get("max_tokens") or self.parameters.get("max_completion_tokens")
        return Reservation(int(size / _BYTES_PER_TOKEN) + pictures + 8, int(longest or _ASSUMED_REPLY))

    async def _attempt(
        self, client: AsyncOpenAI, messages: Sequence[Mapping[str, Any]]
    ) -> ChatReply | _Failure:
        import openai

        def failed(status: str, detail: str, passing: bool = True, wait_s: float | None = None) -> _Failure:
            return _Failure(ChatReply("", status, self._cleaned(detail), self.model), passing, wait_s)

        try:
            async with asyncio.timeout(self.timeout_s):
                answer: Any = await client.chat.completions.create(
                    model=self.model, messages=messages, **self.parameters
                )
        except (openai.APITimeoutError, TimeoutError):
            return failed("timeout", f"no reply from {self.base_url} within {self.timeout_s:g} s")
        except openai.APIConnectionError:
            return failed("http", f"{self.base_url} cannot be reached")
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            told = self._cleaned(f"{self.base_url} refuses {self.model}: {error.message}")
            raise UserError(f"{told} (key from: {self.key_name or 'none'})") from None
        except openai.APIStatusError as error:
            status, code = error.status_code, error.code
            wait_s = retry_after(error.response.headers)
            detail = f"{status}: {error.message}"
            if wait_s is not None and wait_s > LONGEST_WAIT:
                return failed("http", f"{detail} (says to wait {wait_s:.0f} s)", passing=False)
            passing = (status in _PASSING or status >= 500) and code != "insufficient_quota"
            return failed("refused" if code == "content_filter" else "http", detail, passing, wait_s)
        except openai.OpenAIError as error:
            return failed("http", type(error).__name__, passing=False)
        except (ValueError, TypeError, AttributeError):  # what the SDK trips over in a body of another form
            return failed("schema", "the body is no JSON of a chat completion", passing=False)
        return read_completion(answer, self.model, 0.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server says to wait, from its headers; None if it does not say or is not understood."""
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000.0
        elif "retry-after" in headers:
            said = headers["retry-after"].strip()
            wait = (
                float(said) if said[:1].isdigit() else parsedate_to_datetime(said).timestamp() - time.time()
            )
        else:
            return None
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None
