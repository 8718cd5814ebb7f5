"""Who is logged in, and how often somebody may guess."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.site.users import User, verified

__all__ = ["LIFETIME_S", "Session", "Sessions"]

LIFETIME_S = 12 * 3600.0
"""A working day: then one logs in again."""

_FREE_TRIES = 5
_LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Session:
    """One login: whose, with which rights, until when (of the clock)."""

    user: str
    role: str
    until: float


class Sessions:
    """Logins of one running dashboard, kept in memory: a restart ends them all.

    After five wrong passwords for a name, from anywhere, each further one doubles a wait for that name, up to
    five minutes.

    Args:
        users: Who may log in.
        clock: Seconds.
    """

    def __init__(self, users: Mapping[str, User], clock: Callable[[], float] = time.monotonic) -> None:
        self.users = dict(users)
        self._clock = clock
        self._open: dict[str, Session] = {}
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait(self, name: str) -> float:
        """Seconds until the name may be tried again."""
        tries, last = self._wrong.get(name[:64], (0, 0.0))
        if tries < _FREE_TRIES:
            return 0.0
        pause = min(_LONGEST_WAIT_S, 2.0 ** min(tries - _FREE_TRIES, 20))
        return max(0.0, last + pause - self._clock())

    def open(self, name: str, password: str) -> str | None:
        """The token of a new session; None if name and password do not fit. Ask :meth:`wait` first."""
        if not verified(self.users, name, password):
            tries, _ = self._wrong.get(name[:64], (0, 0.0))
            if len(self._wrong) > 10_000:  # names are the asker's choice: remember only the latest
                self._wrong.clear()
            self._wrong[name[:64]] = (tries + 1, self._clock())
            return None
        self._wrong.pop(name[:64], None)
        now = self._clock()
        self._open = {token: one for token, one in self._open.items() if one.until > now}
        token = secrets.token_urlsafe(32)
        self._open[token] = Session(name, self.users[name].role, now + LIFETIME_S)
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token while it lasts."""
        found = self._open.get(token)
        return found if found and found.until > self._clock() else None

    def close(self, token: str) -> None:
        """Log out."""
        self._open.pop(token, None)
