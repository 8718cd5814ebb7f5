"""What tests of the dashboard share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.app.browsing import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium; not of the whole session, since it holds the thread's event loop."""
    with chromium() as opened:
        yield opened
