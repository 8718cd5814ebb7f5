"""The player in a real Chromium: films made while one waits, played, stepped, sought and drawn upon."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from medgrpo.rollout.store import RolloutStore
from medgrpo.types import Box, Region
from tests.app.browsing import watched
from tests.app.scene import ATTACK, write_scene
from tests.rollout.rollouts import make_rollout, make_sample

pytestmark = pytest.mark.browser
WAIT = 60_000  # milliseconds: other work may share the machine


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual scene; a group whose frames are gone, one without a frame of many, one about a region."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(folder, rounds=1)
    frames = tuple(sorted((folder / "frames").glob("*.jpg")))
    (folder / "other").mkdir()
    copies = tuple(Path(shutil.copy(path, folder / "other" / path.name)) for path in frames[:4])
    copies[2].unlink()
    region = make_sample("region_caption", "CoPESD", frames=frames)
    region = replace(region, region=Region(frames[3], Box(156.0, 60.0, 236.0, 84.0)))
    hostile = make_sample(frames=tuple(folder / "Jane_Doe" / f"{k} {ATTACK[:40]}.jpg" for k in range(2)))
    samples = {"gone": hostile, "gap": make_sample(frames=copies), "region": region}
    store = RolloutStore(folder / "runs", "extra")
    store.write(0, [make_rollout(sample, group_id=name) for name, sample in samples.items()])
    return folder


@pytest.fixture
def stg(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}training/?run=demo&step=0&group=stg-0") as page:
        yield opened(page)


@pytest.fixture
def tal(browser: Browser, address: str) -> Iterator[Page]:
    with watched(browser, f"{address}training/?run=demo&step=0&group=tal-0") as page:
        yield opened(page)


def opened(page: Page) -> Page:
    """Wait until the film can be played."""
    expect(page.locator(".player[data-ready]")).to_be_visible(timeout=WAIT)
    page.wait_for_function("document.querySelector('.player video').readyState >= 2", timeout=WAIT)
    page.locator(".player").scroll_into_view_if_needed()
    return page


def at(page: Page, low: float, high: float) -> None:
    """Wait until the player is at a moment and shows it."""
    page.wait_for_function(
        "([low, high]) => { const v = document.querySelector('.player video');"
        " return !v.seeking && v.currentTime >= low && v.currentTime <= high; }",
        arg=[low, high],
        timeout=WAIT,
    )


def colour(page: Page, x: float, y: float) -> Any:
    """What Chromium shows at a place of the film, as shares of its size."""
    return page.evaluate(
        """([x, y]) => {
            const video = document.querySelector('.player video');
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
            const context = canvas.getContext('2d');
            context.drawImage(video, 0, 0);
            const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
            return [...context.getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        [x, y],
    )


def test_a_film_is_made_while_pictures_are_shown_then_plays(stg: Page) -> None:
    video = stg.locator(".player video")
    assert stg.evaluate("document.querySelector('.player video').videoWidth") == 320
    expect(stg.locator(".player .status")).to_be_hidden()
    expect(stg.locator(".player .clock")).to_have_text("0.00 of 4.50 seconds · picture 1 of 9")
    for shown, stored in zip(colour(stg, 0.02, 0.9), (96, 30, 34), strict=True):
        assert abs(shown - stored) < 10
    stg.locator(".player select").select_option("2")
    stg.locator(".player [data-act=play]").click()
    stg.wait_for_function("document.querySelector('.player video').currentTime > 0.6", timeout=WAIT)
    assert video.evaluate("video => video.playbackRate") == 2
    stg.wait_for_function("document.querySelector('.player video').ended", timeout=WAIT)
    expect(stg.locator(".player [data-act=play]")).to_have_text("▶ Play")
    expect(stg.locator(".player .clock")).to_contain_text("picture 9 of 9")


def test_boxes_stand_over_the_picture_that_they_belong_to(stg: Page) -> None:
    drawn = stg.locator("svg.marks .box")
    expect(drawn).to_have_count(2)  # the expert's and those of the first answer
    expect(stg.locator("svg.marks .name")).to_have_text(["Expert", "Answer 1"])
    stg.locator(".player [data-act=forward]").click()  # a picture without any
    at(stg, 0.5, 0.6)
    expect(drawn).to_have_count(0)
    stg.locator(".player [data-act=forward]").click()
    at(stg, 1.0, 1.1)
    box = stg.locator("svg.marks .box.expert")
    assert [box.get_attribute(name) for name in ("x", "y", "width", "height")] == ["164", "60", "80", "24"]
    over, film = box.bounding_box(), stg.locator(".player video").bounding_box()
    assert over is not None
    assert film is not None
    assert abs((over["x"] - film["x"]) / film["width"] - 164 / 320) < 0.02
    assert abs((over["y"] - film["y"]) / film["height"] - 60 / 180) < 0.03
    assert min(colour(stg, 204 / 320, 72 / 180)) > 170  # the instrument is in it
    stg.get_by_role("checkbox", name="Answer 1").uncheck()
    expect(stg.locator("svg.marks .box.answer")).to_have_count(0)
    stg.get_by_role("checkbox", name="Answer 2").check()
    expect(stg.locator("svg.marks .name")).to_have_text(["Expert", "Answer 2"])


def test_a_span_seeks_by_click_and_by_key(tal: Page) -> None:
    spans = tal.locator(".player svg.timeline [data-seek]")
    spans.nth(1).click()  # the expert's second span, 3.0 to 3.5
    at(tal, 3.0, 3.05)
    expect(tal.locator(".player .clock")).to_have_text("3.00 of 4.50 seconds · picture 7 of 9")
    line = tal.locator(".player svg.timeline .now")
    assert abs(float(line.get_attribute("x1") or 0) - (150 + 830 * 3.0 / 4.5)) < 2
    spans.nth(2).focus()
    tal.keyboard.press("Enter")  # of the first answer, from 0.4
    at(tal, 0.4, 0.45)
    requests: list[str] = []
    tal.on("request", lambda request: requests.append(request.url))
    spans.nth(0).click()
    at(tal, 0.5, 0.55)
    assert [url for url in requests if "/media/" not in url and "heartbeat" not in url] == []


def test_keys_play_step_and_go_but_not_in_text_fields(tal: Page) -> None:
    tal.locator(".player video").focus()
    for key, low, high in (
        (".", 0.5, 0.51), (".", 1.0, 1.01), (",", 0.5, 0.51), ("ArrowRight", 1.49, 1.52),
        ("l", 4.4, 4.5), ("j", 0.0, 0.1), ("ArrowLeft", 0.0, 0.1),
    ):  # fmt: skip
        tal.keyboard.press(key)
        at(tal, low, high)
    tal.keyboard.press("k")
    tal.wait_for_function("!document.querySelector('.player video').paused", timeout=WAIT)
    tal.keyboard.press(" ")
    tal.wait_for_function("document.querySelector('.player video').paused", timeout=WAIT)
    before = tal.evaluate("document.querySelector('.player video').currentTime")
    tal.evaluate(
        "document.querySelector('article.group').append(document.createElement('textarea'));"
        "document.querySelector('article.group textarea').focus()"
    )
    tal.keyboard.type("j .l k")
    assert tal.evaluate("document.querySelector('article.group textarea').value") == "j .l k"
    assert tal.evaluate("document.querySelector('.player video').currentTime") == before
    assert tal.evaluate("document.querySelector('.player video').paused")


def test_the_region_that_is_asked_about_is_drawn_on_its_picture(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}training/?run=extra&step=0&group=region") as page:
        opened(page)
        expect(page.locator("svg.marks .box")).to_have_count(0)
        page.locator(".player svg.timeline [data-seek]").click()
        at(page, 1.5, 1.55)
        expect(page.locator("svg.marks .name")).to_have_text(["Asked about"])


def test_missing_pictures_are_told_and_shown_as_such(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}training/?run=extra&step=0&group=gap") as page:
        opened(page)
        expect(page.locator(".player .status")).to_contain_text("1 of 4 pictures cannot be read")
        page.evaluate("document.querySelector('.player video').currentTime = 1.2")
        at(page, 1.19, 1.21)
        for shown, card in zip(colour(page, 0.1, 0.2), (38, 42, 48), strict=True):
            assert abs(shown - card) < 12


def test_a_clip_that_is_gone_is_a_message(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}training/?run=extra&step=0&group=gone") as page:
        status = page.locator(".player .status")
        expect(status).to_contain_text("There is no video of this clip.", timeout=WAIT)
        expect(status).to_contain_text("missing or damaged on this machine")
        expect(page.locator(".player .stage")).to_be_hidden()
        assert "Jane_Doe" not in page.content()
        assert page.evaluate("window.hacked") is None


def test_a_film_that_vanishes_is_a_message(browser: Browser, address: str) -> None:
    with watched(browser, f"{address}favicon.ico", expected=("404",)) as page:
        page.route("**/media/*.mp4", lambda route: route.fulfill(status=404, body="gone"))
        page.goto(f"{address}training/?run=demo&step=0&group=tal-0")
        expect(page.locator(".player .status")).to_contain_text("its file is gone or damaged", timeout=WAIT)
        expect(page.locator(".player figure img").first).to_be_visible()


def test_the_next_group_has_a_player_of_its_own(browser: Browser, address: str) -> None:
    """Gradio changes a page's elements in place; with them the player must not stay with the clip before."""
    with watched(browser, f"{address}training/?run=extra&step=0&group=gap") as page:
        link, player = page.get_by_text("Link to this group"), page.locator(".player")
        keys = []
        for press, group in (("", "gap"), ("n", "gone"), ("n", "region"), ("p", "gone"), ("p", "gap")):
            if press:
                page.keyboard.press(press)
            expect(link).to_have_attribute("href", re.compile(f"group={group}"), timeout=WAIT)
            if group == "gone":
                expect(player.locator(".status")).to_contain_text("There is no video", timeout=WAIT)
                expect(player.locator(".stage")).to_be_hidden()
            else:
                opened(page)
                keys.append(json.loads(str(player.get_attribute("data-player")))["key"])
                assert keys[-1] in player.locator("video").evaluate("(video) => video.currentSrc")
        assert keys[0] == keys[2] != keys[1]
