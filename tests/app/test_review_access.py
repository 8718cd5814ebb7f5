"""Who gets to the pages of clinicians where people log in, and what happens when nothing can be saved."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.context import Context
from app.site.users import add_user
from medgrpo.evaluation.verdict_store import VerdictStore, stored_verdicts
from tests.app.browsing import ROOT, serving
from tests.app.review_scene import make_context, make_review
from tests.app.test_review_browser import enter, go_on, ready
from tests.evaluation.verdict_scene import make_verdict

pytestmark = pytest.mark.browser


@pytest.fixture
def context(tmp_path: Path) -> Context:
    made = make_context(tmp_path, rounds=4)
    make_review(made)
    return made


@pytest.fixture
def guarded(context: Context, tmp_path: Path) -> Iterator[str]:
    users = tmp_path / "users.json"
    for name, role in (("Dr. Lin", "researcher"), ("nurse", "reviewer")):
        add_user(users, name, role, "a long secret")
    command = [sys.executable, "-m", "app", "--runs", str(context.index.folder), "--users", str(users)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield next(word for word in server.stdout.readline().split() if word.startswith("http"))
        server.terminate()


def test_a_reviewer_gets_to_the_review_alone(browser: Browser, context: Context, guarded: str) -> None:
    store = VerdictStore(context.workspace.verdicts)
    store.add(make_verdict("Dr. Lin"))
    store.close()
    page = browser.new_page()
    page.goto(f"{guarded}review/")
    page.get_by_label("Name").fill("nurse")
    page.get_by_label("Password").fill("a long secret")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("a.way")).to_have_count(1)
    page.get_by_role("link", name="Review").click()
    # The login is the name: nobody is asked for one, and no other can be given.
    expect(page.locator("#review-progress")).to_contain_text("nurse (you): 0 of 8")
    expect(page.get_by_label("Your name")).to_have_count(0)
    ready(page)
    page.keyboard.press("4")
    go_on(page, "Enter")
    expect(page.locator("#review-progress")).to_contain_text("nurse (you): 1 of 8")
    [own] = [v for v in stored_verdicts(context.workspace.verdicts) if v.reviewer == "nurse"]
    assert own.scores == {"terminology": 4.0}
    for closed in ("training/", "agreement/", "agreement/config", "training/gradio_api/queue/data"):
        assert page.request.get(f"{guarded}{closed}").status == 403, closed
    for asked in ("verdicts/jsonl", "verdicts/jsonl?reviewer=Dr.+Lin"):
        text = page.request.get(f"{guarded}{asked}").text()
        assert text.count('"reviewer": "nurse"') == text.count("\n") == 1
    page.context.clear_cookies()
    assert page.request.get(f"{guarded}verdicts/jsonl").status == 401
    page.close()


@pytest.fixture
def address(context: Context) -> Iterator[str]:
    with serving(context.index.folder) as found:
        yield found


def test_what_cannot_be_saved_stays_in_the_form(browser: Browser, context: Context, address: str) -> None:
    page = browser.new_page()
    enter(page, address, "Ada")
    page.keyboard.press("4")
    page.get_by_label("Comment").fill("worth keeping")
    disk = sqlite3.connect(context.workspace.verdicts, isolation_level=None)
    disk.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON verdict "
        "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    )
    page.locator("#review-save").click()
    expect(page.locator("#review-message")).to_contain_text("database or disk is full")
    expect(page.locator("#review-message")).to_contain_text("nothing was saved. Free space")
    expect(page.locator("#mark-terminology input:checked")).to_have_value("4")
    expect(page.get_by_label("Comment")).to_have_value("worth keeping")
    assert stored_verdicts(context.workspace.verdicts) == []
    disk.execute("DROP TRIGGER full_disk")
    disk.close()
    page.locator("#review-save").click()
    expect(page.locator("#review-progress")).to_contain_text("Ada (you): 1 of 8")
    [kept] = stored_verdicts(context.workspace.verdicts)
    assert (kept.scores, kept.comment) == ({"terminology": 4.0}, "worth keeping")
    page.close()
