"""The pages Data and Try it in a real Chromium."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browsing import serving, watched
from tests.app.records_scene import ATTACK, make_long, make_records, row_of
from tests.services.chat_server import Answer, serve

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)  # the first question loads a model


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_records(tmp_path_factory.mktemp("browse"))
    (folder / "runs").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(scene: Path) -> Iterator[str]:
    make_long(scene, 450)
    records = [str(scene / "world" / name) for name in ("train.json", "bad.jsonl", "long.json")]
    with serving(scene / "runs", "--records", *records, "--model", str(scene / "model")) as found:
        yield found


@pytest.fixture
def data(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}data/") as page:
        expect(page.locator("#status")).to_contain_text("No row has a defect")
        yield page


def test_a_row_is_found_opened_and_survives_a_reload(data: Page, scene: Path) -> None:
    row = row_of(scene / "world" / "train.json", "stg")
    data.get_by_label("Task", exact=True).click()
    data.get_by_role("option", name="Where is the instrument?").click()
    cells = data.locator("#rows [role=gridcell]")
    expect(cells.first).to_have_text(str(row))
    cells.first.click()
    expect(data.locator("#record svg .box.expert").first).to_be_visible()
    expect(data.locator("#record")).to_contain_text("word pieces with the frames")
    link = data.locator("#record a", has_text="Link to this row").get_attribute("href")
    data.goto(data.url.split("?")[0] + str(link))
    for _ in range(2):
        expect(data.locator("#record figure img").first).to_be_visible()
        assert data.evaluate("document.querySelector('#record figure img').naturalWidth") > 0
        data.reload()
    expect(data.locator("#record article")).to_be_visible()


def test_text_and_row_number_narrow_the_list(data: Page) -> None:
    cells = data.locator("#rows [role=gridcell]")
    expect(cells.first).to_have_text("0")
    data.get_by_label("From row number").fill("12")
    expect(cells.first).to_have_text("12")
    data.get_by_label("Text in the row").fill("no text of any row")
    expect(data.locator("#which-rows")).to_contain_text("No row passes the filters")
    expect(data.locator("#rows")).not_to_contain_text("CoPESD")


def test_a_long_file_is_paged_through(data: Page) -> None:
    data.get_by_label("Records file").click()
    data.get_by_role("option", name="long.json").click()
    first, words = data.locator("#rows [role=gridcell]").first, data.locator("#which-rows")
    earlier, later = (data.get_by_role("button", name=name) for name in ("Earlier rows", "Later rows"))
    expect(words).to_have_text("1 to 200 of 450 rows.")
    expect(earlier).to_be_disabled()
    later.click()
    expect(first).to_have_text("200")
    later.click()
    expect(words).to_have_text("401 to 450 of 450 rows.")
    expect(later).to_be_disabled()
    earlier.click()
    expect(first).to_have_text("200")
    first.click()
    expect(data.locator("#record")).to_contain_text("(row 200)")
    data.get_by_label("Task", exact=True).click()
    data.get_by_role("option", name="When does it happen?").click()
    expect(words).to_contain_text("1 to ")  # a filter begins anew


def test_counts_defects_and_hostile_rows_are_text(data: Page) -> None:
    data.get_by_label("Records file").click()
    data.get_by_role("option", name="bad.jsonl").click()
    expect(data.locator("#status")).to_contain_text("3 rows have a defect")
    data.get_by_role("tab", name="Set aside").click()
    expect(data.locator("#aside")).to_contain_text("expected a positive number of frames a second")
    data.get_by_role("tab", name="Counts").click()
    expect(data.locator("#counts")).to_contain_text(ATTACK)  # a dataset's name
    data.get_by_role("tab", name="Rows").click()
    data.get_by_label("Dataset").click()
    data.get_by_role("option", name=ATTACK).click()
    expect(data.locator("#which-rows")).to_have_text("1 to 1 of 1 rows.")
    data.locator("#rows [role=gridcell]", has_text="onerror").first.click()
    expect(data.locator("#record")).to_contain_text(ATTACK)
    assert data.locator("[onerror]").count() == 0
    assert data.evaluate("window.hacked") is None


def test_a_question_is_asked_answered_and_compared(browser: Browser, address: str, scene: Path) -> None:
    with watched(browser, f"{address}ask/?file=0&row=0") as page:
        expect(page.locator("#record")).to_contain_text("What the model sees")
        expect(page.locator("#model")).to_contain_text("It is loaded at the first question")
        page.locator("#ask").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#answer article")).to_contain_text("What the judge says")
        expect(page.locator("#answer svg.timeline")).to_be_visible()
        expect(page.locator("#model")).to_contain_text("It is ready")
        expect(page.locator("#stop")).to_be_disabled()
        expect(page.get_by_text("Research use only")).to_be_visible()
    audit = sqlite3.connect(scene / "runs-review" / "audit.sqlite")
    lines = audit.execute("SELECT action, target FROM audit WHERE action = 'ask'").fetchall()
    assert lines == [("ask", f"train.json row 0 tal {scene.name}/model")]


def test_a_question_of_ones_own_is_filled_in(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}ask/?file=0&row=0") as page:
        expect(page.locator("#record")).to_contain_text("What the model sees")
        page.get_by_label("A question of my own").click()
        page.get_by_label("Task", exact=True).click()
        page.get_by_role("option", name="Describe all events").click()
        field = page.get_by_label("Possible actions, with commas between them")
        expect(field).to_be_visible()
        page.locator("#ask").click()
        expect(page.locator("#progress")).to_contain_text("fill in: Possible actions")
        field.fill("cutting, " + ATTACK)
        page.locator("#ask").click()
        expect(page.locator("#answer article")).to_contain_text("Describe the events")
        expect(page.locator("#ask")).to_be_enabled()
        assert page.evaluate("window.hacked") is None


def test_a_question_is_stopped(browser: Browser, scene: Path) -> None:
    stopped = Event()  # until then nothing is answered
    with serve(lambda request: f"{stopped.wait(60)}") as server:
        options = ["--records", str(scene / "world" / "train.json"), "--endpoint", server.base_url]
        with (
            serving(scene / "runs", *options, "--endpoint-model", "slow") as found,
            watched(browser, f"{found}ask/?file=0&row=0") as page,
        ):
            page.locator("#ask").click()
            expect(page.locator("#stop")).to_be_enabled()
            page.locator("#stop").click()
            expect(page.locator("#progress")).to_contain_text("stop")
            stopped.set()
            expect(page.locator("#answer")).to_contain_text("The question was stopped")
            expect(page.locator("#ask")).to_be_enabled()


def test_a_server_is_asked_and_its_markup_stays_text(browser: Browser, scene: Path) -> None:
    with serve(lambda request: f"0.0-2.0 seconds. {ATTACK}") as server:
        options = ["--records", str(scene / "world" / "train.json"), "--endpoint", server.base_url]
        with (
            serving(scene / "runs", *options, "--endpoint-model", ATTACK) as found,
            watched(browser, f"{found}ask/?file=0&row=0") as page,
        ):
            expect(page.locator("#model")).to_contain_text(ATTACK)
            page.locator("#ask").click()
            expect(page.locator("#answer article")).to_contain_text("onerror")
            expect(page.locator("#answer article")).to_contain_text("What the judge says")
            assert page.locator("[onerror]").count() == 0
            assert page.evaluate("window.hacked") is None
            server.answer = lambda request: Answer("broken", 500)
            page.locator("#ask").click()
            expect(page.locator("#answer")).to_contain_text("the server could not be reached or failed")


def test_only_what_was_named_is_given_out(address: str, scene: Path) -> None:
    frame = next((scene / "world" / "frames").rglob("*.jpg"))
    for page in ("data", "ask"):
        for path in (frame, scene / "world" / "train.json", scene / "model" / "config.json"):
            for spelled in (str(path), "%2e%2e/" * 9 + str(path), quote(str(path), safe="")):
                with pytest.raises(HTTPError) as refused:
                    urlopen(f"{address}{page}/gradio_api/file={spelled}")
                assert refused.value.code in (403, 404)


def test_without_sources_both_pages_say_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        with watched(browser, f"{address}data/") as page:
            expect(page.locator("#status")).to_contain_text("--records train.json")
            expect(page.locator("#rows")).not_to_be_visible()
        with watched(browser, f"{address}ask/") as page:
            expect(page.locator("#model")).to_contain_text("Nothing can be asked yet")
            expect(page.locator("#ask")).not_to_be_visible()
