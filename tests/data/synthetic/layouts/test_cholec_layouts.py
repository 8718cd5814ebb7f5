"""The drawn gallbladder operations: the same bytes for the same seed, and boxes around what is drawn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageDraw

from medgrpo.data.synthetic.layouts import LAYOUTS, write_layout
from medgrpo.data.synthetic.layouts.cholec import Operation
from medgrpo.data.synthetic.layouts.cholec80_cvs import levels_of


def digests(root: Path) -> dict[str, str]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


@pytest.mark.parametrize("name", ["CholecT50", "CholecTrack20", "Cholec80_CVS"])
def test_the_same_seed_gives_the_same_bytes_and_more_videos_change_none(name: str, tmp_path: Path) -> None:
    assert name in LAYOUTS
    # A sheet and a table of all videos grow with them; every other file is of one video.
    one, again, two = (tmp_path / folder for folder in ("one", "again", "two"))
    write_layout(name, one, 1, 5)
    write_layout(name, again, 1, 5)
    write_layout(name, two, 2, 5)
    assert digests(one) == digests(again)
    kept = digests(two)
    assert {k: v for k, v in digests(one).items() if not k.endswith(".xlsx")}.items() <= kept.items()
    assert len(kept) > len(digests(one))


def test_instruments_are_drawn_inside_their_boxes() -> None:
    operation = Operation(0, 5, 20)
    checked = 0
    for second in range(operation.duration):
        for hand, state in operation.seen(second):
            scene = operation.hands[hand]
            image = scene.canvas(second)
            scene.paint(ImageDraw.Draw(image), second, False)
            without = np.asarray(image).copy()
            scene.paint(ImageDraw.Draw(image), second, True)
            ys, xs = np.nonzero((np.asarray(image) != without).any(axis=-1))
            x1, y1, x2, y2 = np.multiply(state.box, (224, 126, 224, 126))
            assert x1 - 1 <= xs.min()
            assert xs.max() <= x2 + 1
            assert y1 - 1 <= ys.min()
            assert ys.max() <= y2 + 1
            checked += 1
    assert checked > 10


def test_an_operation_has_two_phases_and_a_video_two_scores() -> None:
    for number in range(6):
        operation = Operation(number, 1, 24)
        assert len({operation.phase(second) for second in range(24)}) == 2
        first, second = (levels_of(number, 1, span) for span in (0, 1))
        assert first != second
        assert (0, 0, 0) not in (first, second)
