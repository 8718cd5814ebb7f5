"""The dashboard as a server, and a real Chromium that looks at it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["ROOT", "chromium", "serving", "watched"]

ROOT = Path(__file__).parents[2]
_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=20_000)  # other work may share the machine


@contextmanager
def serving(runs: Path, *options: str) -> Iterator[str]:
    """The address of a dashboard on a folder of runs, with further options."""
    command = [sys.executable, "-m", "app", "--runs", str(runs), *options]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        said = server.stdout.readline()
        assert "http://127.0.0.1:" in said
        yield next(word for word in said.split() if word.startswith("http"))
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The distribution's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("the dashboard's tests need a browser: install chromium (apt-get install -y chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield opened
        opened.close()


_LEFT = "BodyStreamBuffer was aborted"
"""Told by Gradio's client when a page is left while it still listens to an event."""


@contextmanager
def watched(browser: Browser, url: str, expected: tuple[str, ...] = ()) -> Iterator[Page]:
    """A page that must ask only this machine and write no error to the console.

    Args:
        browser: Opens it.
        url: What is opened.
        expected: Parts of the errors that the test provokes.
    """
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    try:
        opened.goto(url)
        yield opened
    finally:
        opened.close()  # a server waits for those that listen before it ends
    assert asked
    elsewhere = [url for url in asked if urlsplit(url).hostname not in ("127.0.0.1", None)]
    assert elsewhere == [], elsewhere
    told = [error for error in errors if not any(part in error for part in (*expected, _LEFT))]
    assert told == [], told
