"""The review page in a real Chromium: a reviewer at work, and what reaches the browser before a verdict."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Response, WebSocket, expect

from app.context import Context
from medgrpo.evaluation.verdict_store import stored_verdicts
from tests.app.browsing import serving, watched
from tests.app.review_scene import make_context, make_review
from tests.app.scene import ATTACK

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)  # other work may share the machine

# Whatever the page's code reads, streams that never end included; files of code are not read but run.
_WIRETAP = """
window.wiretap = [];
const fetched = window.fetch;
window.fetch = async (...asked) => {
  const response = await fetched(...asked);
  const reader = response.clone().body?.pipeThrough(new TextDecoderStream()).getReader();
  const read = () => reader?.read().then(({ done, value }) => {
    if (done) return;
    window.wiretap.push(value);
    read();
  }, () => {});
  read();
  return response;
};
window.EventSource = class extends window.EventSource {
  constructor(...asked) {
    super(...asked);
    this.addEventListener("message", (event) => window.wiretap.push(event.data));
  }
};
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    made = make_context(tmp_path_factory.mktemp("scene"), rounds=4)
    make_review(made)
    return made


@pytest.fixture(scope="module")
def address(context: Context) -> Iterator[str]:
    with serving(context.index.folder) as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that must ask only this machine and write no error to the console."""
    with watched(browser, f"{address}review/") as opened:
        yield opened


def enter(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}review/")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".review-item")).to_be_visible()
    ready(page)


def ready(page: Page) -> None:
    """The script has seen the item, and the first row of the form has the focus."""
    expect(page.locator("#mark-terminology.current input:focus")).to_have_count(1)


def go_on(page: Page, key: str) -> None:
    """Press a key that brings another item."""
    before = page.locator("#review-turn [data-turn]").get_attribute("data-turn")
    page.keyboard.press(key)
    expect(page.locator(f"#review-turn [data-turn='{before}']")).to_have_count(0)


def judged(page: Page) -> str:
    return page.locator(".review-item .judged .text").inner_text()


def hidden_values(context: Context) -> set[str]:
    """What must not reach the browser: names of run, groups, policy and judge, rewards, reasons."""
    found = {"demo", "c0ffee", "lexicon", *(f"summary-{step}" for step in range(4))}
    for step in range(4):
        for row in context.index.group("demo", step, f"summary-{step}"):
            found |= {one["rationale"] for one in row["judge"]["dimensions"] if one["rationale"] != ATTACK}
            numbers = [
                row["reward"],
                row["advantage"],
                row["group_mean"],
                *(c["raw"] for c in row["components"]),
            ]
            for value in numbers:
                if len(repr(value)) > 6:  # 3.0 is found anywhere
                    found |= {repr(value), f"{value:.4f}"}
    return found


def found(word: str, text: str) -> bool:
    """Whether it stands there; a number not as part of another, as Gradio tells durations (0.00532…)."""
    if not word.strip("-0123456789."):
        return re.search(rf"(?<![\d.]){re.escape(word.strip('-'))}(?!\d)", text) is not None
    return word in text


@pytest.mark.parametrize(
    ("word", "text", "stands"),
    [
        ("0.0053", '{"reward": 0.0053}', True),
        ("-0.0053", ">−0.0053<", True),
        ("0.0053", '{"duration": 0.00532917}', False),
        ("0.0053", "20.0053", False),
        ("c0ffee", "xc0ffeey", True),
    ],
)
def test_a_number_is_found_as_a_whole_only(word: str, text: str, stands: bool) -> None:
    assert found(word, text) == stands


def test_nothing_but_the_item_reaches_the_browser_before_the_verdict(
    page: Page, address: str, context: Context
) -> None:
    documents: list[Response] = []
    urls: list[str] = []
    frames: list[str] = []

    def arrived(response: Response) -> None:
        urls.append(response.url)
        if response.request.resource_type == "document":
            documents.append(response)

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(str(frame)))

    page.on("response", arrived)
    page.on("websocket", listen)
    page.add_init_script(_WIRETAP)
    enter(page, address, "Blind")
    film = page.locator(".review-item .player[data-ready]")
    for _ in range(2):  # further items, which come without a verdict about the one before
        expect(film).to_be_visible()  # of the same clip, whose player must begin anew
        page.locator("#review-skip").focus()
        go_on(page, "Enter")
        ready(page)
    expect(film).to_be_visible()
    page.wait_for_function("document.querySelector('.review-item video').readyState >= 2")
    assert any("/media/" in url for url in urls)
    pieces = page.evaluate("window.wiretap.join('')")
    items = pieces.count("Answer to judge")
    bodies = [pieces, *frames, page.content(), *urls, *(document.text() for document in documents)]
    assert items >= 3  # they are among what is searched
    everything = "\n".join(bodies)
    hidden = hidden_values(context)
    assert len(hidden) > 100
    leaked = [word for word in hidden if found(word, everything) or found(json.dumps(word)[1:-1], everything)]
    assert leaked == []
    for word in ("group_id", "advantage", '"rationale', "policy_hash", '"step"', "&step=", "/step="):
        assert word not in everything, word
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "gallbladder" not in stored
    assert json.loads(stored)[1]["medgrpo-reviewer"] == "Blind"


def test_a_reviewer_at_work(page: Page, address: str, context: Context) -> None:
    enter(page, address, "Dr. Ada")
    expect(page.locator("#review-progress")).to_contain_text("Dr. Ada (you): 0 of 8")
    first = judged(page)
    # Marks by keys: each goes on to the next row, arrows go back.
    page.keyboard.type("435")
    expect(page.locator("#mark-context.current")).to_have_count(1)
    expect(page.locator(".anchors[data-mark=context]")).to_be_visible()
    expect(page.locator(".anchors[data-mark=terminology]")).to_be_hidden()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("2")
    page.keyboard.press("a")
    expect(page.get_by_label("Accept")).to_be_checked()
    page.keyboard.press("?")
    expect(page.get_by_text("takes the last saved answer back")).to_be_visible()
    # In the comment they are letters.
    page.get_by_label("Comment").click()
    page.keyboard.type("5 run? a bit u")
    expect(page.get_by_label("Comment")).to_have_value("5 run? a bit u")
    expect(page.locator("#review-progress")).to_contain_text("0 of 8")
    page.locator("#mark-action input").first.focus()
    go_on(page, "Enter")
    ready(page)
    expect(page.locator("#review-progress")).to_contain_text("Dr. Ada (you): 1 of 8")
    expect(page.locator(".review-mark input:checked")).to_have_count(0)
    expect(page.get_by_label("Comment")).to_have_value("")
    # What the judge said, now that it is saved.
    page.get_by_role("button", name="What the judge said").click()
    expect(page.locator("#review-revealed")).to_contain_text("The judge is a program")
    # Taken back: the same answer, filled in as it was; corrected and saved again.
    page.locator("#mark-terminology input").first.focus()
    go_on(page, "u")
    ready(page)
    assert judged(page) == first
    for mark, value in (("terminology", 4), ("identification", 3), ("specificity", 2)):
        expect(page.locator(f"#mark-{mark} input:checked")).to_have_value(str(value))
    expect(page.get_by_label("Comment")).to_have_value("5 run? a bit u")
    page.keyboard.press("1")
    page.keyboard.press("r")
    go_on(page, "Control+Enter")
    ready(page)
    # It survives a reload, which needs no name again and goes on with the same next answer.
    second = judged(page)
    page.reload()
    expect(page.locator(".review-item")).to_be_visible()
    ready(page)
    assert judged(page) == second
    expect(page.locator("#review-progress")).to_contain_text("Dr. Ada (you): 1 of 8")
    # And leaves the page as a file, without a copy in the framework's cache.
    with page.expect_download() as download:
        page.get_by_role("link", name="spreadsheet (CSV)").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text))
    expected = {
        "reviewer": "Dr. Ada",
        "terminology": "1",
        "specificity": "2",
        "accepted": "false",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["comment"] == "5 run? a bit u"
    assert row["blind"] == "false"  # the judge was seen before the correction
    [kept] = [v for v in stored_verdicts(context.workspace.verdicts) if v.reviewer == "Dr. Ada"]
    assert kept.scores == {"terminology": 1.0, "identification": 3.0, "specificity": 2.0}


def test_hostile_names_and_comments_stay_text(page: Page, address: str) -> None:
    name = ATTACK[:60]
    enter(page, address, name)
    expect(page.locator("#review-progress")).to_contain_text(f"{name} (you)")
    expect(page.locator(".review-item")).to_contain_text("onerror")  # of the question
    page.get_by_label("Comment").fill(ATTACK)
    page.locator("#mark-terminology input").first.focus()
    page.keyboard.press("3")
    go_on(page, "Enter")
    ready(page)
    page.get_by_role("button", name="What the judge said").click()
    expect(page.locator("#review-revealed")).to_contain_text("The judge is a program")
    page.locator("#mark-terminology input").first.focus()
    go_on(page, "u")
    expect(page.get_by_label("Comment")).to_have_value(ATTACK)
    page.reload()
    expect(page.locator("#review-progress")).to_contain_text(f"{name} (you)")
    assert page.locator("[onerror]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_draft_warns_and_an_empty_one_says_what_is_missing(page: Page, address: str) -> None:
    enter(page, address, "Careful")
    page.keyboard.press("Enter")
    expect(page.locator("#review-message")).to_contain_text("Say something first")
    page.keyboard.press("4")
    expect(page.locator("#mark-terminology input:checked")).to_have_count(1)
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.get_by_role("link", name="Start", exact=True).click()
    page.wait_for_url(address)
    assert asked == ["beforeunload"]
    page.goto(f"{address}review/")
    expect(page.locator(".review-item")).to_be_visible()
    expect(page.locator(".review-mark input:checked")).to_have_count(0)  # no draft is kept in the browser


def test_a_name_is_needed(page: Page, address: str) -> None:
    page.goto(f"{address}review/")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#review-message")).to_contain_text("Write your name first")
