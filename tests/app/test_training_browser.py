"""The page about training in a real Chromium: curves, filters, groups, comparison, and a busy writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browsing import watched
from tests.app.scene import write_scene

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}training/") as opened:
        yield opened


def answers(page: Page) -> None:
    """Go to the list of groups, and wait for it."""
    page.get_by_role("tab", name="Answers").click()
    expect(page.locator("#groups a.opens").first).to_be_visible()


def group(page: Page, name: str) -> None:
    """Wait until a group is shown and the list marks it."""
    expect(page.locator(f"article.group[data-group={name}]")).to_be_visible()
    expect(page.locator("#groups a[aria-current=true]")).to_have_text(name)


def test_curves_are_shown_for_each_dataset_and_can_be_changed(page: Page) -> None:
    charts = page.locator("#curves svg.curve")
    expect(charts).to_have_count(3)
    for name in ("AVOS", "CholecT50", "CoPESD"):
        expect(page.locator("#curves h4", has_text=name)).to_be_visible()
    page.get_by_text("Scores before scaling").click()
    expect(charts).to_have_count(4)
    expect(page.locator("#curves")).to_contain_text("Similarity to the reference")
    expect(page.locator("#drift svg.boxes")).to_have_count(4)
    expect(page.locator("#alarms")).to_contain_text("Nothing looks wrong")
    expect(page.locator("#runs")).to_contain_text("training now")


def test_a_word_explains_itself(page: Page) -> None:
    page.locator("#drift button.term").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#term-quartiles")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#term-quartiles")).to_be_hidden()


def test_a_group_opens_by_the_mouse_and_names_who_looked(page: Page, scene: Path) -> None:
    answers(page)
    page.locator("#groups tr", has_text="summary-7").locator("td").nth(3).click()  # anywhere in the row
    group(page, "summary-7")
    cards = page.locator("article.group .answer")
    expect(cards).to_have_count(8)
    for k in range(8):
        expect(cards.nth(k)).to_be_visible()
    expect(page.get_by_text("Names the cystic artery as the reference does.").first).to_be_visible()
    page.get_by_text("How this reward came about").first.click()
    expect(cards.first.locator(".steps")).to_contain_text("Reward = ")
    log = sqlite3.connect(scene / "runs-review" / "audit.sqlite")
    assert ("local", "view group", "demo/7/summary-7") in log.execute(
        "SELECT user, action, target FROM audit"
    ).fetchall()


def test_groups_by_the_keyboard_keep_what_is_open(page: Page) -> None:
    answers(page)
    page.locator("#groups a.opens").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    group(page, "summary-7")
    page.locator("article summary", has_text="How this reward came about").first.click()
    expect(page.locator("details[data-keep=steps][open]")).to_have_count(8)  # to compare them
    page.keyboard.press("n")
    group(page, "tal-7")
    expect(page.locator("details[data-keep=steps][open]")).to_have_count(8)
    assert page.url.endswith("?run=demo&step=7&group=tal-7")
    page.keyboard.press("p")
    group(page, "summary-7")
    page.get_by_label("Words to find").fill("n")  # a letter in a field is a letter
    group(page, "summary-7")


def test_words_are_found_and_stay_in_a_link(page: Page, address: str) -> None:
    answers(page)
    page.get_by_label("Words to find").fill("cystic arter*")
    for _ in range(20):  # the texts are read in the background after the start
        page.get_by_label("Words to find").press("Enter")
        page.wait_for_timeout(500)
        if page.locator("#position", has_text="Groups 1 to 8 of 8").count():
            break
    expect(page.locator("#groups a.opens")).to_have_text([f"summary-{step}" for step in range(7, -1, -1)])
    expect(page.locator("#groups")).not_to_contain_text("cannot be found by words yet")
    page.goto(f"{address}training/?tab=answers&text=nothingofthekind")
    expect(page.locator("#groups")).to_contain_text("No group passes these filters")


def test_filters_narrow_the_list_and_are_cleared(page: Page) -> None:
    answers(page)
    rows = page.locator("#groups a.opens")
    expect(page.locator("#position")).to_contain_text("Groups 1 to 24 of 24")
    page.get_by_label("Task", exact=True).click()
    page.get_by_role("option", name="When does it happen?").click()
    expect(page.locator("#position")).to_contain_text("Groups 1 to 8 of 8")
    page.get_by_label("Round of training").fill("5")
    page.get_by_label("Round of training").press("Enter")
    expect(rows).to_have_text(["tal-5"])
    page.get_by_label("Reward from").fill("7")
    page.get_by_label("Reward from").press("Enter")
    expect(page.locator("#groups")).to_contain_text("No group passes these filters")
    page.get_by_label("Reward to").fill("1")
    page.get_by_label("Reward to").press("Enter")
    expect(page.locator("#groups")).to_contain_text("nothing can pass")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#position")).to_contain_text("Groups 1 to 24 of 24")
    page.get_by_label("Order").click()
    page.get_by_role("option", name="Oldest round first").click()
    expect(rows.first).to_have_text("stg-0")


def test_links_hold_a_group_or_filters_and_survive_a_reload(page: Page, address: str) -> None:
    page.goto(f"{address}training/?run=demo&step=3&group=tal-3")
    for _ in range(2):
        expect(page.locator("article.group svg.timeline")).to_be_visible()
        expect(page.locator("article.group")).to_contain_text("round 3 of training")
        page.reload()
    page.goto(f"{address}training/?tab=answers&dataset=AVOS&round=2&order=oldest")
    expect(page.locator("#groups a.opens")).to_have_text(["tal-2"])
    expect(page.get_by_label("Round of training")).to_have_value("2")
    page.goto(f"{address}training/?tab=answers&round=many")
    expect(page.locator("#groups")).to_contain_text("is no number")
    page.goto(f"{address}training/?show=format")
    expect(page.locator("#curves")).to_contain_text("the requested structure was found")


def test_hostile_answers_and_links_stay_text(page: Page, address: str) -> None:
    page.goto(f"{address}training/?run=demo&step=7&group=summary-7")
    hostile = page.locator("article.group .answer", has_text="onerror").first
    expect(hostile).to_contain_text("${window.hacked=1}")
    expect(hostile).to_contain_text("{{7*7}}")
    assert hostile.locator("img, script").count() == 0
    for place in ("#groups", "#group header", "#group .two"):  # the clip's name and the question
        expect(page.locator(place)).to_contain_text("onerror")
    assert page.locator("[onerror]").count() == 0
    page.goto(f"{address}training/?run=%3Cb%3E&step=2&group=%3Cimg%20src%3Dx%20onerror%3D1%3E")
    expect(page.locator("#group")).to_contain_text("no such group")
    expect(page.locator("#message")).to_contain_text("There is no run named <b>")
    assert page.locator("[onerror]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_two_parts_of_a_run_are_compared(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#run-a input")).to_have_value("demo")  # the runs come after the page
    page.get_by_label("A: rounds").fill("soon")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#compared")).to_contain_text("write all, 7, 0-10")
    page.get_by_label("A: rounds").fill("first 2")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#compared svg.curve")).to_have_count(3)
    page.get_by_label("Answers of both").click()
    page.get_by_role("option", name="CholecT50").click()
    expect(page.locator("#both h3", has_text="A: demo, first 2 rounds")).to_be_visible()
    expect(page.locator("#both .answer")).to_have_count(16)
    assert page.locator("#both").locator("img, script").count() == 0


def test_a_writer_disturbs_nobody(page: Page, scene: Path) -> None:
    """Last, because it adds rounds."""
    expect(page.locator("#runs")).to_contain_text("192")
    page.get_by_text("All values in a table").click()
    page.locator("#runs a").focus()
    page.evaluate("scrollTo(0, 300)")
    page.evaluate("document.querySelector('#curves svg').dataset.same = 'yes'")
    write_scene(scene, rounds=9)
    expect(page.locator("#runs")).to_contain_text("216")
    assert page.evaluate("document.activeElement.textContent") == "demo"
    assert page.evaluate("scrollY") == 300
    assert page.locator("#values details").evaluate("(details) => details.open")
    page.get_by_role("tab", name="Answers").click()
    page.locator("#groups a.opens", has_text="tal-7").click()
    group(page, "tal-7")
    page.evaluate("document.querySelector('article.group').dataset.same = 'yes'")
    write_scene(scene, rounds=10)
    fresh = page.get_by_role("button", name="6 new groups: show")  # of both rounds
    expect(fresh).to_be_visible()
    group(page, "tal-7")
    assert page.locator("article.group").get_attribute("data-same") == "yes"  # not drawn anew
    fresh.click()
    expect(page.locator("#groups a.opens").first).to_have_text("stg-9")
    expect(fresh).to_be_hidden()
