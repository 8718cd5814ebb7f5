"""Every page on a laptop and on a tablet, light and dark: nothing sticks out, and all text can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from app.example_review import REVIEWERS, add_example_review
from app.index import GroupFilter, RolloutIndex
from app.training.listing import group_link
from tests.app.browsing import serving, watched
from tests.app.records_scene import make_records

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)

_SIZES = {"laptop": (1440, 900), "tablet": (1024, 768), "upright tablet": (768, 1024)}
_PAGES = {
    "": "h1",
    "training/": "#curves svg",
    "training/?tab=answers": "#groups table",
    "GROUP": ".player[data-ready]",
    "review/": ".review-item .player[data-ready]",
    "agreement/": "#prepare-go",
    "data/?file=0&row=0": "#record figure img",
    "ask/?file=0&row=0": "#record figure img, #record .player",
}
# Contrast of WCAG 2.1, success criterion 1.4.3, against the nearest background that is painted.
_UNREADABLE = """() => {
  const numbers = (colour) => {
    const found = colour.match(/[\\d.]+/g).map(Number);
    if (colour.startsWith('color(srgb')) return [...found.slice(0, 3).map((v) => v * 255), found[3] ?? 1];
    return [...found.slice(0, 3), found[3] ?? 1];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const over = (top, below) => top.slice(0, 3).map((v, k) => v * top[3] + below[k] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      if (getComputedStyle(one).backgroundImage !== 'none') return null;
      layers.push(numbers(getComputedStyle(one).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const canvas = dark ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest('[disabled], script, style, option') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const background = behind(element);
    if (!background) continue;
    const colour = element instanceof SVGElement ? style.fill : style.color;
    if (!/^(rgb|color)/.test(colour)) continue;
    const [a, b] = [over(numbers(colour), background), background].map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) {
      const where = `${element.tagName}.${element.getAttribute("class")}`;
      bad.push(`${ratio.toFixed(2)} ${size}px ${where}: ${node.data.trim().slice(0, 40)}`);
    }
  }
  return [...new Set(bad)];
}"""
_SMALL = """() => [...new Set([...document.querySelectorAll('body *')]
  .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .filter((one) => !one.closest('svg, script, style') && one.checkVisibility())
  .map((one) => parseFloat(getComputedStyle(one).fontSize)))].filter((size) => size < 12)"""
_NAMELESS = """() => [...document.querySelectorAll('input, select, textarea, button, a[href], video')]
  .filter((one) => one.checkVisibility() && one.type !== 'hidden')
  .filter((one) => !(one.labels && [...one.labels].some((label) => label.innerText.trim())))
  .filter((one) => !one.getAttribute('aria-label') && !one.getAttribute('aria-labelledby'))
  .filter((one) => !(one.innerText || '').trim() && !one.title)
  .map((one) => one.outerHTML.slice(0, 160))"""


@pytest.fixture(scope="module")
def address(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = make_records(tmp_path_factory.mktemp("records"))
    records, model = str(folder / "world" / "train.json"), str(folder / "model")
    own = folder / "own"
    assert add_example_review(scene / "runs", own)
    with serving(scene / "runs", "--workspace", str(own), "--records", records, "--model", model) as found:
        yield found


@pytest.fixture(scope="module")
def group(scene: Path) -> str:
    index = RolloutIndex(scene / "runs")
    index.refresh()
    (found,), _ = index.groups(GroupFilter(), limit=1)
    return f"training/{group_link(found.run, found.step, found.group_id)}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", _PAGES)
def test_a_page_can_be_read(browser: Browser, address: str, group: str, path: str, scheme: Any) -> None:
    where = group if path == "GROUP" else path
    with watched(browser, "about:blank") as page:
        page.emulate_media(color_scheme=scheme)
        page.goto(address + where)
        if path == "review/":
            page.get_by_label("Your name").fill(REVIEWERS[-1])
            page.locator("#review-start").click()
        expect(page.locator(_PAGES[path]).first).to_be_visible()
        expect(page.get_by_text("research use only").first).to_be_visible()
        assert page.locator("h1").count() == 1
        for name, (width, height) in _SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert page.evaluate(_UNREADABLE) == []
        assert page.evaluate(_SMALL) == []
        assert page.evaluate(_NAMELESS) == []
