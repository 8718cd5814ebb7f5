"""Links lead somewhere, and numbers from measurements stand beside what measures them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links

TEXTS = [ROOT / "README.md", *PAGES]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page if not name else page.parent / name
        if re.match(r"https?://", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_documents_reach_each_other() -> None:
    """From the first page every document can be reached."""
    start = ROOT / "docs" / "index.md"
    seen, ahead = {start}, [start]
    while ahead:
        page = ahead.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target in PAGES and target not in seen:
                seen.add(target)
                ahead.append(target)
    assert {page.name for page in PAGES} == {page.name for page in seen}
