"""Boxes of CoPESD come back from every way in which they may be written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.square_boxes import box_form, pixel_box, square_shares
from medgrpo.types import Box, Canvas

REAL = Canvas(1306, 1009)
CANVASES = st.builds(Canvas, st.integers(16, 2000), st.integers(16, 2000))
FORMS = st.sampled_from(["xyxy", "xywh"])
PADDINGS = st.sampled_from(["corner", "centre", "none"])
SHARE = st.floats(0, 1)


@st.composite
def placed(draw: st.DrawFn) -> tuple[Box, Canvas]:
    """A box of some area on a canvas."""
    canvas = draw(CANVASES)
    x1, y1 = draw(SHARE) * (canvas.width - 4), draw(SHARE) * (canvas.height - 4)
    x2 = x1 + 2 + draw(SHARE) * (canvas.width - x1 - 2)
    y2 = y1 + 2 + draw(SHARE) * (canvas.height - y1 - 2)
    return Box(x1, y1, min(x2, canvas.width), min(y2, canvas.height)), canvas


@given(placed(), FORMS, PADDINGS)
def test_a_box_comes_back_from_its_shares(where: tuple[Box, Canvas], form: str, padding: str) -> None:
    box, canvas = where
    again = pixel_box(square_shares(box, form, padding, canvas), form, padding, canvas)
    assert again.xyxy == pytest.approx(box.xyxy, abs=1e-6)


@given(placed(), FORMS, PADDINGS)
def test_two_digits_cost_at_most_a_hundredth_of_the_side(
    where: tuple[Box, Canvas], form: str, padding: str
) -> None:
    box, canvas = where
    shares = tuple(round(share, 2) for share in square_shares(box, form, padding, canvas))
    ends = shares[2:] if form == "xywh" else np.subtract(shares[2:], shares[:2])
    assume(min(ends) > 0)  # not thinner than the digits
    again = pixel_box(shares, form, padding, canvas)
    assert again.xyxy == pytest.approx(box.xyxy, abs=0.0101 * max(canvas.width, canvas.height))


@given(placed())
def test_the_two_ways_of_padding_differ_by_half_of_what_is_added(where: tuple[Box, Canvas]) -> None:
    box, canvas = where
    side = max(canvas.width, canvas.height)
    corner = square_shares(box, "xyxy", "corner", canvas)
    centre = square_shares(box, "xyxy", "centre", canvas)
    assert centre[0] - corner[0] == pytest.approx((side - canvas.width) / 2 / side)
    assert centre[3] - corner[3] == pytest.approx((side - canvas.height) / 2 / side)


def test_the_published_box_is_the_benchmark_s() -> None:
    box = pixel_box((0.18, 0.2, 0.43, 0.77), "xyxy", "corner", REAL)
    assert box.xyxy == pytest.approx((235.08, 261.2, 561.58, 1005.62))


def test_a_square_in_whose_middle_the_picture_lies_begins_above_it() -> None:
    top = (1306 - 1009) / 2 / 1306
    box = pixel_box((0.1, top, 0.2, 0.5), "xyxy", "centre", REAL)
    assert box.xyxy == pytest.approx((130.6, 0.0, 261.2, 504.5))
    assert pixel_box((0.1, 0.0, 0.2, 0.5), "xyxy", "none", REAL).y2 == 504.5


def test_the_form_is_that_in_which_fewer_boxes_are_impossible() -> None:
    # As in clip 233029 of the real file: every box ends at the lower edge if its last number is a height.
    sizes = [(0.46, 0.29, 0.47, 0.48), (0.6, 0.27, 0.37, 0.5), (0.0, 0.14, 0.36, 0.63)]
    corners = [(0.14, 0.21, 0.47, 0.77), (0.71, 0.44, 0.89, 0.77)]
    assert box_form(sizes, "corner", REAL) == "xywh"
    assert box_form(corners, "corner", REAL) == "xyxy"
    assert box_form([], "corner", REAL) == "xyxy"
    assert box_form([*corners, *corners, sizes[1]], "corner", REAL) == "xyxy"


@pytest.mark.parametrize(
    ("quad", "form", "problem"),
    [
        ((0.5, 0.1, 0.5, 0.2), "xyxy", "the box [0.5, 0.1, 0.5, 0.2] has no area, read as xyxy"),
        ((0.5, 0.1, 0.1, -0.2), "xywh", "has no area, read as xywh"),
        ((0.5, 0.1, 0.6, 0.8), "xyxy", "leaves the picture of 1306x1009, read as xyxy with padding 'corner'"),
        ((-0.02, 0.1, 0.6, 0.7), "xyxy", "leaves the picture of 1306x1009"),
        ((0.9, 0.1, 0.2, 0.2), "xywh", "leaves the picture of 1306x1009"),
    ],
)
def test_impossible_boxes_are_refused(quad: tuple, form: str, problem: str) -> None:
    with pytest.raises(CellError) as caught:
        pixel_box(quad, form, "corner", REAL)
    assert problem in caught.value.problem


def test_a_box_at_the_edge_is_cut_there() -> None:
    assert pixel_box((-0.0, 0.1, 1.0, 0.78), "xyxy", "corner", REAL).xyxy == pytest.approx(
        (0.0, 130.6, 1306.0, 1009.0)
    )
