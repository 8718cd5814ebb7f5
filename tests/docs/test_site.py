"""The site builds from the documents, has all pages of its menu, and fetches nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.integration.conftest import REPOSITORY

FETCHED = re.compile(
    r"""(?:<(?:script|img|iframe|source)[^>]+src|<link[^>]+href)=["']?(https?:)?//""", re.IGNORECASE
)


def _menu(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    parts = (
        entries if isinstance(entries, list) else list(entries.values()) if isinstance(entries, dict) else []
    )
    return [page for part in parts for page in _menu(part)]


def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    site = tmp_path / "site"
    command = [sys.executable, "scripts/build_site.py", "--guide-only", "--out", str(site)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    menu = _menu(tomllib.loads((REPOSITORY / "zensical.toml").read_text())["project"]["nav"])
    documents = {page.name for page in (REPOSITORY / "docs").glob("*.md")}
    assert documents <= set(menu), "a document is missing from the menu"
    for page in menu:
        if page.endswith(".md") and not page.startswith("results/"):
            assert (site / page.replace(".md", ".html")).is_file(), page
    for page in site.rglob("*.html"):
        assert not FETCHED.search(page.read_text()), page.name
