import asyncio
from types import SimpleNamespace

import pytest

from tests.services.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time in every module of the client that measures it or waits; time limits stay the machine's."""
    clock = Clock()
    for name in ("chat_attempts", "limits", "spending"):
        module = f"medgrpo.services.{name}"
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=clock.time, time=clock.time))
        monkeypatch.setattr(f"{module}.asyncio", SimpleNamespace(sleep=clock.sleep, timeout=asyncio.timeout))
    return clock
