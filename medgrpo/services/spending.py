"""What a run has spent on a server, what it may still spend, and when it had better pause."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass

from medgrpo.errors import UserError
from medgrpo.services.chat_reply import ChatReply
from medgrpo.services.limits import Limits

__all__ = ["Breaker", "Budget", "Reservation"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt may come to.

    Attributes:
        prompt_tokens: Estimated from the length of the text.
        completion_tokens: The longest reply.
    """

    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


class Budget:
    """Cost and tokens of a run. What is under way counts as if it would cost the most.

    Args:
        limits: With the most that may be spent.
        model: Whose price applies.
    """

    def __init__(self, limits: Limits, model: str) -> None:
        self.limits = limits
        self.price = limits.price(model)
        self.cost = 0.0
        self.tokens = 0
        self._reserved_cost = 0.0
        self._reserved_tokens = 0

    def refusal(self, wanted: Reservation) -> str:
        """Why an attempt may not be made; empty if it may."""
        most_cost, most_tokens = self.limits.max_cost, self.limits.max_tokens
        if most_cost is not None and self.cost + self._reserved_cost + self._most(wanted) > most_cost:
            return f"{self.cost:.4g} of {most_cost:g} are spent, and one more request could exceed it"
        if most_tokens is not None and self.tokens + self._reserved_tokens + wanted.tokens > most_tokens:
            return f"{self.tokens} of {most_tokens} tokens are used, and one more request could exceed it"
        return ""

    def reserve(self, wanted: Reservation) -> None:
        """Set an attempt's most aside."""
        self._reserved_cost += self._most(wanted)
        self._reserved_tokens += wanted.tokens

    def settle(self, wanted: Reservation, reply: ChatReply) -> float:
        """Count what an attempt came to.

        A server may charge for what it reports no usage of: after a timeout the prompt is counted.

        Returns:
            Its cost.
        """
        self._reserved_cost -= self._most(wanted)
        self._reserved_tokens -= wanted.tokens
        sent, received = reply.prompt_tokens, reply.completion_tokens
        if reply.status == "timeout" and not sent:
            sent = wanted.prompt_tokens
        cost = 0.0 if self.price is None else self.price.of(sent, received, reply.cached_tokens)
        self.cost += cost
        self.tokens += sent + received
        return cost

    def _most(self, wanted: Reservation) -> float:
        if self.price is None:
            return 0.0
        return self.price.of(wanted.prompt_tokens, wanted.completion_tokens)


class Breaker:
    """Pauses a client whose questions fail too often, and stops it where pauses do not help.

    Args:
        limits: With the share of failures, the window and the pauses.
        server: For messages.
    """

    def __init__(self, limits: Limits, server: str) -> None:
        self.limits = limits
        self.server = server
        self._recent: deque[bool] = deque(maxlen=limits.failure_window)
        self._pauses = 0
        self._until = 0.0
        self._detail = ""
        self._chance = random.Random()

    @property
    def active(self) -> bool:
        """Whether it is configured."""
        return self.limits.failure_share is not None

    def note(self, reply: ChatReply) -> None:
        """Count a question's end; what ends during a pause was asked before it and does not count."""
        share = self.limits.failure_share
        if share is None or reply.cached or reply.status == "budget" or time.monotonic() < self._until:
            return
        failed = reply.status not in ("ok", "refused")
        self._detail = reply.detail if failed else self._detail
        self._recent.append(failed)
        if len(self._recent) < self.limits.failure_window:
            return
        if sum(self._recent) <= share * len(self._recent):
            self._pauses = 0
            return
        self._recent.clear()
        length = self.limits.pause_s * 2**self._pauses * self._chance.uniform(1.0, 1.2)
        self._pauses += 1
        self._until = time.monotonic() + length

    async def ready(self) -> None:
        """Wait for the end of a pause.

        Raises:
            UserError: If all pauses are used up.
        """
        if self._pauses > self.limits.pauses:
            share = self.limits.failure_share
            raise UserError(
                f"{self.server}: more than {share:.0%} of {self.limits.failure_window} questions failed, "
                f"again after {self.limits.pauses} pauses; the last: {self._detail}"
            )
        wait = self._until - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
