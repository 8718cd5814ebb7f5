from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.readers import open_reader
from medgrpo.data.regions import draw_region, region_index, region_overlay
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas, Clip, Region, Sample
from tests.tasks.samples import make_sample

GREEN = np.array((0, 255, 0))


def green(frame: np.ndarray) -> np.ndarray:
    return (frame == GREEN).all(axis=-1)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def test_the_outline_is_where_pillow_would_draw_it() -> None:
    from PIL import Image, ImageDraw

    frame = np.full((1009, 1306, 3), 90, np.uint8)
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).rectangle((100, 200, 400, 700), outline=(0, 255, 0), width=8)
    assert np.array_equal(draw_region(frame, Box(100, 200, 400, 700)), np.asarray(image))
    assert (frame == 90).all()


def test_a_box_on_another_canvas_is_scaled_to_the_frame() -> None:
    frame = np.zeros((240, 427, 3), np.uint8)
    drawn = draw_region(frame, Box(200, 100, 400, 300), Canvas(854, 480))
    assert extent(green(drawn)) == (100, 50, 200, 150)
    assert not green(drawn)[60:140, 110:190].any()


@given(st.integers(8, 300), st.integers(8, 300), st.lists(st.floats(-50, 400), min_size=4, max_size=4))
def test_some_of_the_outline_is_always_seen_and_most_of_the_object(
    height: int, width: int, corners: list[float]
) -> None:
    x1, x2 = sorted(corners[:2])
    y1, y2 = sorted(corners[2:])
    mask = green(draw_region(np.zeros((height, width, 3), np.uint8), Box(x1, y1, x2, y2)))
    assert mask.any()
    left, top, right, bottom = extent(mask)
    inner = mask[top : bottom + 1, left : right + 1]
    if min(inner.shape) >= 12:
        assert inner.mean() < 0.75
        assert inner[0].all()
        assert inner[:, -1].all()


def sample(size: tuple[int, int], canvas: Canvas | None, folder: Path) -> Sample:
    from PIL import Image

    paths = [folder / f"{k}.png" for k in range(4)]
    for path in paths:
        Image.fromarray(np.full((*size, 3), 60, np.uint8)).save(path)
    frames = (paths[0], paths[1], paths[1], paths[2], paths[3])
    base = make_sample("region_caption_gpt", answer="the grasper pulls")
    return replace(
        base,
        clip=Clip(frames=frames, fps=1.0, times=(0.0, 1.0, 2.0, 3.0, 4.0)),
        region=Region(paths[1], Box(200, 100, 600, 400)),
        canvas=canvas,
    )


def test_the_box_is_found_in_what_the_model_sees(tmp_path: Path) -> None:
    # Stored at half the canvas, shown at another aspect: the outline stays round the same object.
    asked = sample((240, 427), Canvas(854, 480), tmp_path)
    reader = open_reader(asked.clip)
    shown = reader.read(range(5), 140, 252, region_overlay(asked, reader.size())).transpose(0, 2, 3, 1)
    touched = [bool((frame[..., 1].astype(int) - frame[..., 0] > 40).any()) for frame in shown]
    assert touched == [False, True, True, False, False]
    left, top, right, bottom = extent(shown[1][..., 1].astype(int) - shown[1][..., 0] > 40)
    expected = np.array([200 / 854 * 252, 100 / 480 * 140, 600 / 854 * 252, 400 / 480 * 140])
    assert np.abs(np.array([left, top, right, bottom]) - expected).max() <= 2
    assert region_index(asked) == 1


def test_boxes_outside_and_frames_elsewhere_are_refused(tmp_path: Path) -> None:
    asked = sample((240, 427), None, tmp_path)
    region_overlay(asked, (480, 854))
    with pytest.raises(UserError, match=r"start_frame_bbox.*outside of the 100x90 canvas"):
        region_overlay(asked, (90, 100))
    with pytest.raises(UserError, match=r"start_frame.*not a frame of the clip"):
        region_overlay(replace(asked, region=Region(Path("other.png"), Box(1, 2, 3, 4))))
    with pytest.raises(UserError, match="no region"):
        region_overlay(replace(asked, region=None))
