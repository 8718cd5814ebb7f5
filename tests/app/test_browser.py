"""The site in a real Chromium: what it gives away, and to whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.app.browsing import ROOT, chromium, serving, watched
from tests.app.scene import write_scene

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder)
    return folder


@pytest.fixture(scope="module")
def address(scene: Path) -> Iterator[str]:
    with serving(scene / "runs") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}training/") as opened:
        yield opened


def test_no_file_of_the_run_can_be_fetched(page: Page, scene: Path, address: str) -> None:
    shard = next((scene / "runs").rglob("*.parquet"))
    for path in (shard, scene / "frames" / "000.jpg", Path("/etc/passwd"), ROOT / "pyproject.toml"):
        for spelled in (str(path), str(path).replace("/", "%2f"), f"{scene}/../{path}"):
            answer = page.request.get(f"{address}training/gradio_api/file={spelled}")
            assert answer.status in (403, 404), spelled
    assert "default-src 'self'" in page.request.get(address).headers["content-security-policy"]


def test_a_taken_port_is_one_line(scene: Path, address: str) -> None:
    port = str(urlsplit(address).port)
    command = [sys.executable, "-m", "app", "--runs", str(scene / "runs"), "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} is taken: choose another one with --port\n"
