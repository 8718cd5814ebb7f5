"""Boxes drawn in one place and found in another: canvas, stored frame, what the model sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.coordinates import CANVASES, FrameMap, canvas_of
from medgrpo.data.frame_size import FrameLayout, fit_frame
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.tasks import get_task
from medgrpo.tasks.boxes import iou
from medgrpo.types import Box, Canvas, Clip, Region
from tests.data.encoding import encode
from tests.tasks.samples import make_sample

SIDES = st.integers(40, 2000)
SMALL = SamplingPolicy(frame_min_tokens=8, frame_max_tokens=8)
"""16:9 lies between borders."""


def extent(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def painted(size: tuple[int, int], box: Box, path: Path) -> Path:
    """A dark picture with a white rectangle where a box of the picture is."""
    image = Image.new("RGB", (size[1], size[0]), (40, 40, 40))
    ImageDraw.Draw(image).rectangle((box.x1, box.y1, box.x2 - 1, box.y2 - 1), fill=(255, 255, 255))
    image.save(path)
    return path


def layout_of(height: int, width: int, tokens: int) -> FrameLayout:
    return fit_frame(
        height, width, factor=28, min_tokens=min(8, tokens), max_tokens=tokens, aspect_tolerance=0.02
    )


@given(SIDES, SIDES, SIDES, SIDES, st.integers(2, 60), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_there_and_back_is_the_same_box(
    height: int, width: int, stored_height: int, stored_width: int, tokens: int, shares: list[float]
) -> None:
    frame_map = FrameMap(
        Canvas(width, height),
        Canvas(stored_width, stored_height),
        layout_of(stored_height, stored_width, tokens),
    )
    (x1, x2), (y1, y2) = sorted(shares[:2]), sorted(shares[2:])
    box = Box(x1 * width, y1 * height, x2 * width, y2 * height)
    shown = frame_map.model_from_canvas(box)
    assert frame_map.canvas_from_model(shown).xyxy == pytest.approx(box.xyxy, abs=1e-6)
    assert frame_map.model_from_stored(frame_map.stored_from_canvas(box)) == shown
    layout = frame_map.layout
    # The whole canvas is the whole picture: borders hold nothing of it.
    whole = frame_map.model_from_canvas(Box(0, 0, width, height))
    assert whole.xyxy == pytest.approx(
        (layout.left, layout.top, layout.left + layout.picture_width, layout.top + layout.picture_height)
    )


@given(SIDES, SIDES, st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4))
def test_overlap_is_the_same_wherever_boxes_are(height: int, width: int, shares: list[float]) -> None:
    """IoU on the canvas, as scorers take it, equals IoU in what the model sees."""
    assume(abs(shares[0] - shares[1]) > 0.01)
    assume(abs(shares[2] - shares[3]) > 0.01)
    frame_map = FrameMap(Canvas(854, 480), Canvas(width, height), layout_of(height, width, 12))
    (x1, x2), (y1, y2) = sorted(shares[:2]), sorted(shares[2:])
    true = Box(x1 * 854, y1 * 480, x2 * 854, y2 * 480)
    other = true.moved(7.0, -4.0)
    there = iou(frame_map.model_from_canvas(true).xyxy, frame_map.model_from_canvas(other).xyxy)
    assert there == pytest.approx(iou(true.xyxy, other.xyxy), abs=1e-9)


@pytest.mark.parametrize("stored", [(480, 854), (240, 427), (720, 1281)])
@pytest.mark.parametrize("policy", [SamplingPolicy(), SMALL], ids=["filled", "bordered"])
def test_a_cholectrack_box_is_found_where_the_model_sees_the_object(
    stored: tuple[int, int], policy: SamplingPolicy, tmp_path: Path
) -> None:
    canvas = CANVASES["CholecTrack20"]
    truth = [{"bbox_dict": {"1.0": [200.0, 100.0, 600.0, 400.0]}}]
    asked = replace(make_sample("stg", truth=truth, dataset="CholecTrack20"), canvas=canvas)
    box = Box(*get_task("stg").truth(asked)[0]["box"])
    to_stored = FrameMap.to_frame(canvas, *stored).stored_from_canvas(box)
    path = painted(stored, to_stored, tmp_path / "f.png")
    sample = replace(asked, clip=Clip(frames=(path,), fps=1.0, times=(0.0,)))
    frames, plan = ClipFrames(policy).read(sample)
    frame_map = FrameMap(canvas, Canvas(stored[1], stored[0]), plan.layout)
    found = extent(frames[0, 0] > 147)
    assert np.abs(np.array(found) - frame_map.model_from_canvas(box).xyxy).max() <= 1
    # And back: an answer in pixels of what the model saw, on the canvas that scorers use.
    back = frame_map.canvas_from_model(Box(*found))
    assert np.abs(np.array(back.xyxy) - box.xyxy).max() <= 854 / plan.layout.picture_width + 1e-6
    assert iou(back.xyxy, box.xyxy) > 0.9


@pytest.mark.parametrize("stored", [(480, 854), (240, 427)])
def test_the_drawn_box_of_a_region_caption_is_found_between_borders(
    stored: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "f.png"
    Image.new("RGB", (stored[1], stored[0]), (40, 40, 40)).save(path)
    base = replace(make_sample("region_caption_gpt", answer="a grasper"), canvas=Canvas(854, 480))
    box = Box(200, 100, 600, 400)
    clip = Clip(frames=(path,), fps=1.0, times=(0.0,))
    frames, plan = ClipFrames(SMALL).read(replace(base, clip=clip, region=Region(path, box)))
    assert not plan.layout.filled
    frame_map = FrameMap(Canvas(854, 480), Canvas(stored[1], stored[0]), plan.layout)
    green = frames[0, 1].astype(int) - frames[0, 0] > 40
    assert np.abs(np.array(extent(green)) - frame_map.model_from_canvas(box).xyxy).max() <= 1.5
    borders = np.concatenate((frames[..., : plan.layout.left], frames[..., -plan.layout.left :]), axis=-1)
    assert not borders.any()


def test_a_box_in_a_video_file_is_found_in_every_frame(tmp_path: Path) -> None:
    picture = np.full((120, 160, 3), 30, np.uint8)
    picture[40:80, 60:120] = 250
    video = encode(tmp_path / "a.mp4", 12, size=(120, 160), draw=lambda index, size: picture)
    sample = replace(make_sample("stg"), clip=Clip(video=video))
    frames, plan = ClipFrames(SMALL, decode_seconds=None).read(sample)
    expected = FrameMap(Canvas(160, 120), Canvas(160, 120), plan.layout).model_from_canvas(
        Box(60, 40, 120, 80)
    )
    for frame in frames:
        assert np.abs(np.array(extent(frame[0] > 140)) - expected.xyxy).max() <= 1


def test_a_sample_without_a_canvas_is_on_its_stored_frames() -> None:
    assert canvas_of(None, 480, 640) == Canvas(640, 480)
    assert canvas_of(Canvas(854, 480), 120, 160) == Canvas(854, 480)
