"""What tests of the dashboard share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.browsing import chromium, serving
from tests.app.scene import write_scene


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium; not of the whole session, since it holds the thread's event loop."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the usual run."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder)
    return folder


@pytest.fixture(scope="module")
def address(scene: Path) -> Iterator[str]:
    """The address of a dashboard on the runs of the scene."""
    with serving(scene / "runs") as found:
        yield found
