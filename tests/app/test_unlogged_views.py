"""What cannot be logged is not shown: every page on a workspace whose disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.index import GroupFilter, RolloutIndex
from app.training.listing import group_link
from tests.app.browsing import serving, watched
from tests.app.records_scene import make_records

pytestmark = pytest.mark.browser
_REASON = "the audit log cannot be written (database or disk is full)"


@pytest.fixture(scope="module")
def address(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a dashboard whose log takes no line any more."""
    folder = make_records(tmp_path_factory.mktemp("records"))
    own = folder / "own"
    records, model = str(folder / "world" / "train.json"), str(folder / "model")
    with serving(scene / "runs", "--workspace", str(own), "--records", records, "--model", model) as found:
        with sqlite3.connect(own / "audit.sqlite") as log:
            log.execute(
                "CREATE TRIGGER full BEFORE INSERT ON audit "
                "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        yield found


def test_no_group_is_opened(browser: Browser, address: str, scene: Path) -> None:
    index = RolloutIndex(scene / "runs")
    index.refresh()
    (group,), _ = index.groups(GroupFilter(), limit=1)
    link = group_link(group.run, group.step, group.group_id)
    with watched(browser, f"{address}training/{link}") as page:
        expect(page.get_by_text(_REASON)).to_be_visible()
        expect(page.locator(".player")).to_have_count(0)


def test_no_row_is_shown(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}data/?file=0&row=0") as page:
        expect(page.locator("#record")).to_contain_text(_REASON)
        expect(page.locator("#record figure")).to_have_count(0)


def test_no_model_is_asked(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}ask/?file=0&row=0") as page:
        expect(page.locator("#record")).to_contain_text(_REASON)
        page.locator("#ask").click()
        expect(page.get_by_text(_REASON)).to_have_count(2)
        expect(page.locator("#answer article")).to_have_count(0)
        expect(page.locator("#ask")).to_be_enabled()


def test_no_agreement_is_shown_and_no_review_prepared(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}agreement/") as page:
        expect(page.locator("#agreement-tables")).to_contain_text(_REASON)
        page.locator("#prepare-go").click()
        expect(page.locator("#prepare-said")).to_contain_text(_REASON)
        expect(page.locator("#prepare-list li")).to_have_count(0)
