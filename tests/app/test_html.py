"""Markup builders: nothing from data becomes markup."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from app.show.charts import Lane, box_overlay, timeline
from app.show.html import Html, el, number, signed, table, word_difference
from tests.app.scene import ATTACK


class Reader(HTMLParser):
    """An independent reader of markup: tags, and text outside of and inside chosen tags."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


@given(st.text(), st.text())
def test_texts_come_back_as_texts(child: str, attribute: str) -> None:
    read = Reader(el("p", child, title=attribute, class_="x"))
    assert read.tags == ["p"]
    assert "".join(text for _, text in read.texts).replace("\r", "\n") == child.replace("\r", "\n")
    assert dict(read.attributes).keys() == {"title", "class"}


def test_html_is_kept_and_text_is_not() -> None:
    inner = el("b", "<i>")
    assert inner == "<b>&lt;i&gt;</b>"
    assert el("p", inner, None, 3, aria_label='"') == '<p aria-label="&quot;"><b>&lt;i&gt;</b>3</p>'
    assert isinstance(inner, Html)
    assert Reader(el("p", ATTACK)).tags == ["p"]


words = st.lists(st.sampled_from(["the", "The", "clip", "duct", "<b>", "artery", "&", "is"]), max_size=12)


@given(words, words)
def test_a_difference_holds_both_texts(answer: list[str], reference: list[str]) -> None:
    read = Reader(word_difference(" ".join(answer), " ".join(reference)))
    kept = [text for tag, text in read.texts if tag in ("span", "ins")]
    theirs = [text for tag, text in read.texts if tag in ("span", "del")]
    assert " ".join(kept).split() == answer
    assert [word.lower() for word in " ".join(theirs).split()] == [word.lower() for word in reference]
    assert set(read.tags) <= {"span", "ins", "del"}


def test_equal_texts_have_no_difference() -> None:
    assert word_difference("The clip.", "the clip.") == "<span>The clip.</span>"


def test_numbers_for_reading() -> None:
    assert (number(None), number(math.nan), number(-0.5), number(3.14159, 3)) == ("–", "–", "−0.50", "3.142")
    assert (signed(0.25), signed(-1), signed(math.nan)) == ("+0.25", "−1.00", "–")
    assert (number(-0.001), signed(-0.001)) == ("0.00", "+0.00")


def test_a_table_keeps_cells_and_escapes_the_rest() -> None:
    read = Reader(table(["<h>"], [[el("td", "a", rowspan=2), "<b>"], ["c"]]))
    assert read.tags.count("td") == 3
    assert read.tags.count("tr") == 3
    assert "b" not in read.tags
    assert ("rowspan", "2") in read.attributes


def test_lanes_are_in_proportion_and_escaped() -> None:
    picture = timeline([Lane("Expert", [(1.0, 3.0, ATTACK)], true=True), Lane("Answer 1", [])], 4.0)
    widths = [
        float(width) for width in re.findall(r'<rect x="[0-9.]+" y="[0-9.]+" width="([0-9.]+)"', picture)
    ]
    assert widths == [(1000 - 150 - 20) / 2]
    assert "nothing that could be read" in picture
    assert "img" not in Reader(picture).tags


def test_boxes_lie_over_the_frame() -> None:
    picture = box_overlay("data:image/jpeg;base64,AA", (320, 180), [((1, 2, 11, 22), True)], "1.0 s")
    assert 'viewBox="0 0 320 180"' in picture
    assert '<rect x="1" y="2" width="10" height="20" class="box expert">' in picture
