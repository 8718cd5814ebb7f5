"""What is annotated at a moment, in words and drawn."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from medgrpo.data.build.overlay import draw_shown
from medgrpo.data.build.shown import Shown, caption_of, shown_at
from medgrpo.data.sources.annotations import Event, Instance, Triplet
from medgrpo.errors import MissingExtraError
from medgrpo.types import Box, Canvas, Clip
from tests.data.build.scenes import HERE, source_video

VIDEO = source_video(Clip(frames=("a.png",), times=(0.0,)))  # type: ignore[arg-type]
GREY = np.full((240, 400, 3), 100, np.uint8)
BOX = Instance(0.0, "grasper", HERE, Box(100, 60, 180, 140))


def changed(drawn: np.ndarray) -> np.ndarray:
    return (drawn != GREY).any(axis=2)


def test_a_caption_tells_what_is_annotated_at_its_time() -> None:
    assert caption_of(shown_at(VIDEO, 7.0), 7.0) == (
        "7.0 s: phase calot triangle dissection; grasper retract gallbladder; hook"
    )
    assert caption_of(shown_at(VIDEO, 3.0), 1.5) == "1.5 s: phase preparation; grasper"
    assert caption_of(shown_at(VIDEO, 5.0), 5.0) == "5.0 s: phase preparation"
    assert caption_of(Shown(), 2.0) == "2.0 s"


def test_nothing_is_carried_over_from_frames_beside_it() -> None:
    assert shown_at(VIDEO, 7.02 - 1e-3).instances != (), "rounds to the same frame number"
    assert shown_at(VIDEO, 7.04).instances == ()
    assert shown_at(VIDEO, 6.0).phases == ("calot triangle dissection",), "an end is exclusive"


def test_actions_and_partial_triplets_are_told() -> None:
    video = source_video(
        VIDEO.footage,
        events=(Event("action", "cutting", 1.0, 2.0, HERE),),
        instances=(),
        triplets=(Triplet(1.0, "hook", "dissect", "", HERE), Triplet(1.0, "hook", "dissect", "", HERE)),
    )
    assert caption_of(shown_at(video, 1.0), 0.0) == "0.0 s: hook dissect; action cutting"


def test_a_box_is_drawn_where_it_is_on_the_frame() -> None:
    drawn = draw_shown(GREY, Shown((BOX,)))
    assert (GREY == 100).all(), "the frame itself is not changed"
    marks = changed(drawn)
    rows, columns = np.flatnonzero(marks[:, 140]), np.flatnonzero(marks[100])
    assert (columns.min(), columns.max()) == (pytest.approx(100, abs=2), pytest.approx(180, abs=2))
    assert rows.max() == pytest.approx(140, abs=2)
    assert not marks[64:136, 104:176].any(), "what is in the box stays as it is"
    assert marks[40:60, 100:130].any(), "the label stands above"


def test_boxes_are_scaled_from_their_canvas() -> None:
    wide = Instance(0.0, "grasper", HERE, Box(200, 120, 360, 280))
    assert (draw_shown(GREY, Shown((wide,)), Canvas(800, 480)) == draw_shown(GREY, Shown((BOX,)))).all()


def test_a_box_beyond_the_border_is_cut_and_a_label_keeps_its_colour() -> None:
    over = Instance(0.0, "grasper", HERE, Box(350, 200, 403, 243))
    drawn = draw_shown(GREY, Shown((over, BOX)))
    assert changed(drawn)[239, 375]
    assert (drawn[225, 350] == drawn[100, 100]).all(), "one colour for one label"
    alone = draw_shown(GREY, Shown((BOX,)))
    assert (alone[100, 100] == drawn[100, 100]).all(), "whatever else is in the picture"
    other = draw_shown(GREY, Shown((Instance(0.0, "hook", HERE, BOX.box),)))
    assert (alone[100, 100] != other[100, 100]).any()


def test_phase_and_triplets_stand_at_the_bottom() -> None:
    triplet = Triplet(0.0, "grasper", "retract", "gallbladder", HERE)
    phase = changed(draw_shown(GREY, Shown(phases=("preparation",))))
    assert phase[239, :60].all()
    assert not phase[:215].any()
    both = changed(draw_shown(GREY, Shown(triplets=(triplet,), phases=("preparation",))))
    assert both[205:, 2].all(), "one above the other"
    top = Instance(0.0, "grasper", HERE, Box(0, 0, 80, 60))
    labels = draw_shown(GREY, Shown((top,)))[:20]
    assert (draw_shown(GREY, Shown((top,), phases=("preparation",)))[:20] == labels).all()


def test_a_long_line_is_written_smaller() -> None:
    grey = np.full((480, 800, 3), 100, np.uint8)
    label = "a very long name of a phase that no frame of this width could hold in letters of the usual size"
    usual, small = (
        (draw_shown(grey, Shown(phases=(text,))) != grey).any(axis=2)
        for text in ("preparation", label + label)
    )
    assert np.flatnonzero(small.any(axis=1)).min() > np.flatnonzero(usual.any(axis=1)).min()
    assert small[478, :760].all()
    assert not small[:, 799].any(), "it ends within the frame"


def test_drawing_is_deterministic() -> None:
    shown = shown_at(VIDEO, 7.0)
    assert (draw_shown(GREY, shown, VIDEO.canvas) == draw_shown(GREY, shown, VIDEO.canvas)).all()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"medgrpo\[build\]"):
        draw_shown(GREY, Shown((BOX,)))
