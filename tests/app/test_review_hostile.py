"""A store, a reviewer and comments that are all hostile: on both pages they stay text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from app.agreement.page import Board
from app.context import Context
from app.review.desk import Desk, Draft, Place
from medgrpo.evaluation.verdict_files import verdict_bytes
from medgrpo.evaluation.verdict_store import stored_verdicts
from tests.app.browsing import serving
from tests.app.review_scene import make_context, make_review
from tests.app.scene import ATTACK
from tests.app.test_html import Reader
from tests.app.test_review_browser import enter, go_on, ready

FORMULA = f"=HYPERLINK(1){ATTACK}"
TEXTS = ("group_id", "dataset", "video_id", "question", "reference_text", "completion_text", "policy_hash")


def poison(row: dict[str, Any]) -> dict[str, Any]:
    judge = dict(row["judge"])
    judge["model"] = ATTACK
    judge["dimensions"] = [{**one, "rationale": ATTACK} for one in judge["dimensions"]]
    return {**row, **dict.fromkeys(TEXTS, ATTACK), "judge": judge}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    made = make_context(tmp_path, rounds=4)
    for path in sorted((tmp_path / "runs").rglob("*.parquet")):
        table = pq.ParquetFile(path).read()
        rows = [poison(row) for row in table.to_pylist() if row["task"] == "video_summary"]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    made.index.refresh()
    make_review(made, size=24, shared=24, reviewers=2)
    return made


def judge_all(desk: Desk, reviewer: str) -> list[str]:
    """What is shown on the way."""
    place, shown = desk.show(Place(reviewer, 1))
    pages = [str(shown)]
    while place.token:
        place = desk.save(place, Draft({"action": 4}, True, ("unsafe",), FORMULA))
        pages.append(str(desk.reveal(place)))
        place, shown = desk.show(place)
        pages += [str(shown), str(desk.progress(place))]
    return pages


def test_hostile_fields_are_text_in_all_that_is_shown(context: Context) -> None:
    desk, reviewer = Desk(context), ATTACK[:60]
    pages = [page for who in (reviewer, "bob") for page in judge_all(desk, who)]
    board = Board(context)
    pages += [str(board.tables(["", ATTACK, "", ATTACK], True)), str(board.listing())]
    assert len(pages) > 2 * 24 * 3
    read = [Reader(page) for page in pages]
    assert not {"script", "iframe", "object", "style"} & {tag for one in read for tag in one.tags}
    attributes = [attribute for one in read for attribute in one.attributes]
    assert [key for key, _ in attributes if key.startswith("on")] == []
    sources = {str(value).split(",")[0] for key, value in attributes if key == "src"}
    assert sources == {"data:image/jpeg;base64"}
    links = [str(value) for key, value in attributes if key == "href"]
    assert links
    assert all(link.startswith("/training/?run=demo&step=") and "<" not in link for link in links)
    shown = "".join(text for one in read for _, text in one.texts)
    assert shown.count(ATTACK) > 200
    assert "Remarks and comments (48)" in shown


def test_exported_comments_are_no_formulas(context: Context) -> None:
    judge_all(Desk(context), ATTACK[:60])
    content = verdict_bytes(stored_verdicts(context.workspace.verdicts), ".csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert {row["comment"] for row in rows} == {f"'{FORMULA}"}
    assert {row["group_id"] for row in rows} == {ATTACK}


@pytest.fixture
def address(context: Context) -> Iterator[str]:
    judge_all(Desk(context), "bob")
    with serving(context.index.folder) as found:
        yield found


def unharmed(page: Page) -> None:
    assert page.locator("[onerror]").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.browser
def test_both_pages_run_nothing_of_it(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    enter(page, address, ATTACK[:60])
    expect(page.locator(".review-item .judged")).to_contain_text("onerror")
    page.keyboard.press("3")
    page.get_by_label("Comment").fill(ATTACK)
    page.locator("#mark-terminology input").first.focus()
    go_on(page, "Enter")
    ready(page)
    page.get_by_role("button", name="What the judge said").click()
    expect(page.locator("#review-revealed")).to_contain_text("onerror")
    unharmed(page)
    page.goto(f"{address}agreement/")
    tables = page.locator("#agreement-tables")
    expect(tables).to_contain_text("25 verdicts of 2 reviewers")
    page.get_by_label("Dataset", exact=True).click()
    page.get_by_role("option", name="onerror").click()
    expect(tables).to_contain_text("25 verdicts of 2 reviewers")
    expect(tables.locator(".remarks")).to_contain_text("HYPERLINK")
    unharmed(page)
    page.close()
