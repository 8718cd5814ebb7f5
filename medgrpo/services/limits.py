"""How fast a server may be asked, how much it may cost, and when to stop asking: settings and rate limits."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

from medgrpo.errors import UserError

__all__ = ["Limits", "Price", "RateLimit"]


@dataclass(frozen=True)
class Price:
    """What a model costs.

    Attributes:
        prompt: For a million tokens sent, in any one currency.
        completion: For a million tokens received.
        cached: For a million tokens sent that the server had in its own cache; None is the full price.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        given = [self.prompt, self.completion, self.prompt if self.cached is None else self.cached]
        if not all(math.isfinite(value) and value >= 0 for value in given):
            raise UserError(f"a price must be 0 or more, got {given}")

    def of(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """What so many tokens cost; cached tokens are some of those sent."""
        cached = min(cached_tokens, prompt_tokens)
        cheap = self.prompt if self.cached is None else self.cached
        sent = (prompt_tokens - cached) * self.prompt + cached * cheap
        return (sent + completion_tokens * self.completion) / 1e6


@dataclass(frozen=True)
class Limits:
    """What a client may do; None sets no limit. Each process has its own: divide by the number of ranks.

    Attributes:
        requests_per_minute: Attempts, retries included.
        tokens_per_minute: Sent and received.
        max_cost: Of the whole run, in the currency of the prices; needs the model's price.
        max_tokens: Of the whole run, sent and received.
        prices: Model name to its price.
        failure_share: Pause when more than this share of the last ``failure_window`` questions failed.
        failure_window: Questions.
        pause_s: Seconds of the first pause; each further one is twice as long.
        pauses: How many in a row, without a healthy window between; then the run stops.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    prices: dict[str, Price] = field(default_factory=dict)
    failure_share: float | None = None
    failure_window: int = 100
    pause_s: float = 30.0
    pauses: int = 3

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "max_cost", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"limits: {name} must be above 0, got {value}; leave it out for no limit")
        if self.failure_share is not None and not 0 <= self.failure_share < 1:
            raise UserError(f"limits: failure_share must be from 0 to below 1, got {self.failure_share}")
        if self.failure_window < 1 or not self.pause_s >= 0 or self.pauses < 0:
            raise UserError("limits: failure_window must be at least 1, pause_s and pauses at least 0")

    def price(self, model: str) -> Price | None:
        """The price of a model.

        Raises:
            UserError: If the cost is limited and the price not known.
        """
        price = self.prices.get(model)
        if price is None and self.max_cost is not None:
            raise UserError(f"limits: max_cost needs the price of {model} in limits.prices")
        return price


class RateLimit:
    """A token bucket: so many units a minute, with at most one second's worth at once.

    Whoever takes more than is there owes the rest and waits until it has come in, in the order of asking.

    Args:
        per_minute: Units; None for no limit.
    """

    def __init__(self, per_minute: float | None) -> None:
        self.per_second = None if per_minute is None else per_minute / 60.0
        self._room = 0.0 if self.per_second is None else max(1.0, self.per_second)
        self._level = self._room
        self._since = time.monotonic()

    async def take(self, units: float) -> float:
        """Take units, waiting until they are there.

        Returns:
            Seconds waited.
        """
        if self.per_second is None:
            return 0.0
        self._refill()
        self._level -= units
        wait = max(0.0, -self._level / self.per_second)
        if wait > 0:
            await asyncio.sleep(wait)
        return wait

    def give_back(self, units: float) -> None:
        """Return units that were not used; a negative number takes more, without waiting."""
        if self.per_second is not None:
            self._refill()
            self._level = min(self._room, self._level + units)

    def _refill(self) -> None:
        assert self.per_second is not None
        now = time.monotonic()
        self._level = min(self._room, self._level + max(0.0, now - self._since) * self.per_second)
        self._since = now
