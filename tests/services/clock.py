"""A clock that no machine is too slow for: it stands still until someone sleeps, and then jumps."""

from __future__ import annotations

import asyncio
import math

__all__ = ["Clock"]


class Clock:
    """Stands in for ``time`` and for ``asyncio.sleep``.

    Attributes:
        now: Seconds; a test may move it on, as a server that takes its time would.
        slept: Every sleep, in the order in which they began.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Jump to the end, after all others who are ready have acted at this moment."""
        self.slept.append(seconds)
        end = math.nextafter(self.now + seconds, math.inf)  # no sleep is too short, however it is rounded
        await asyncio.sleep(0)
        self.now = max(self.now, end)
