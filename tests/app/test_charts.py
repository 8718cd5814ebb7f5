"""Charts are drawn to scale, and say in words what they show."""

from __future__ import annotations

import math
import re

import pytest

from app.show.boxes import box_rows
from app.show.curves import AT_MOST, Line, curve_chart, thinned
from app.show.radar import radar
from app.show.terms import TERMS, glossary, term
from tests.app.scene import ATTACK
from tests.app.test_html import Reader


def points_of(markup: str, class_: str) -> list[tuple[float, float]]:
    found = re.search(rf'<poly(?:line|gon) points="([^"]*)" class="{class_}"', markup)
    assert found is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def test_a_curve_is_drawn_to_scale() -> None:
    chart = curve_chart([Line([(0, 0.0, 0.0, 0.0), (4, 1.0, 0.5, 1.0)])], 0.5, "reward")
    (x0, y0), (x1, y1) = points_of(chart, "mean a")
    assert x1 > x0
    assert y1 < y0  # upwards
    dashed = re.search(r'y1="([0-9.]+)" y2="[0-9.]+" class="reference"', chart)
    assert dashed is not None
    assert abs(float(dashed[1]) - (y0 + y1) / 2) < 0.1
    assert "round 4: average 1.00, middle half 0.50 to 1.00" in chart


def test_two_curves_share_their_axes() -> None:
    first, second = [(0, 0.2, 0.1, 0.3)], [(10, 0.8, math.nan, math.nan)]
    chart = curve_chart([Line(first, "A"), Line(second, "B", "b")], None, "both")
    ((xa, ya),), ((xb, yb),) = points_of(chart, "mean a"), points_of(chart, "mean b")
    assert xa < xb
    assert ya > yb
    assert "B, round 10: average 0.80" in chart
    assert 'class="band b"' not in chart  # no quartiles are known


def test_long_runs_are_thinned_without_loss_of_level() -> None:
    points = [(k, float(k), k - 1.0, k + 1.0) for k in range(1000)]
    found = thinned(points)
    assert len(found) == AT_MOST
    assert found[-1][0] == 999
    assert sum(mean for _, mean, _, _ in found) / len(found) == pytest.approx(499.5)
    assert thinned(points[:7]) == points[:7]


@pytest.mark.parametrize("value", [0.0, -2.0, 7.0])
def test_equal_values_make_a_chart(value: float) -> None:
    Reader(curve_chart([Line([(3, value, value, value)])], None, "x"))
    Reader(box_rows([("now", (value, value, value))], "x"))


def test_boxes_are_in_proportion() -> None:
    picture = box_rows([("before", (0.0, 0.5, 1.0)), ("now", (0.25, 0.5, 0.75))], "x")
    widths = [float(w) for w in re.findall(r'width="([0-9.]+)" height="16.0"', picture)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert "now: low quarter 0.25, typical 0.50, top quarter 0.75" in picture


def test_a_star_reaches_as_far_as_its_marks() -> None:
    picture = radar([("Action", 5.0), ("Context", 2.5), (ATTACK, None), ("Terms", math.nan)], 5.0, "Marks")
    assert picture is not None
    corners, centre = points_of(picture, "area"), points_of(picture, "area")[2]
    reach = [math.dist(corner, centre) for corner in corners]
    assert reach[0] == pytest.approx(2 * reach[1], rel=0.02)
    assert (reach[2], reach[3]) == (0.0, 0.0)
    assert "Action 5 of 5" in picture
    assert "img" not in Reader(picture).tags
    assert radar([("Action", 5.0), ("Context", 2.5)], 5.0, "Marks") is None


def test_every_term_has_its_explanation() -> None:
    page = glossary()
    for name in TERMS:
        assert f'id="term-{name}"' in page
        assert f'popovertarget="term-{name}"' in term("word", name)
    with pytest.raises(KeyError):
        term("word", "unheard of")
