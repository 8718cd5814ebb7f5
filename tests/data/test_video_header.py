"""A look at a video file tells its true rate, its length and its size, and whether it can be read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import video_header
from medgrpo.data.readers.timeline import timeline_of
from medgrpo.data.synthetic.layouts.film import SOUND_RATE, write_film
from medgrpo.data.synthetic.layouts.sound import murmur


def draw(time: float) -> np.ndarray:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, : 1 + int(time * 8) % 64] = 255
    return picture


@pytest.mark.parametrize(
    ("name", "rate"),
    [("film.mp4", Fraction(30000, 1001)), ("film.mp4", 15), ("film.avi", 30), ("film.avi", 25)],
)
def test_the_header_tells_what_a_scan_finds(tmp_path: Path, name: str, rate: Fraction) -> None:
    write_film(tmp_path / name, draw, 3.0, rate)
    header = video_header(tmp_path / name)
    seen = timeline_of(tmp_path / name)
    assert header.rate == pytest.approx(float(rate), rel=1e-6)
    assert header.duration == pytest.approx(3.0, abs=1 / header.rate)
    assert (header.width, header.height) == (seen.width, seen.height) == (64, 48)
    assert len(seen.seconds) == round(3.0 * rate)
    assert seen.seconds[1] == pytest.approx(1 / float(rate), abs=1e-4)


def test_sound_makes_a_film_no_longer(tmp_path: Path) -> None:
    sound = murmur(3.0, 1)
    assert len(sound) == 3 * SOUND_RATE
    write_film(tmp_path / "film.mp4", draw, 3.0, 25, sound=sound)
    write_film(tmp_path / "again.mp4", draw, 3.0, 25, sound=sound)
    assert video_header(tmp_path / "film.mp4").duration == pytest.approx(3.0, abs=0.04)
    assert (tmp_path / "film.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4: cannot be opened: No such file"):
        video_header(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("<html>Sign in to confirm your age</html>" * 40)
    with pytest.raises(VideoError, match=r"text\.mp4: cannot be read"):
        video_header(tmp_path / "text.mp4")
    write_film(tmp_path / "whole.mp4", draw, 3.0, 25)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "short.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(VideoError, match=r"short\.mp4: "):
        video_header(tmp_path / "short.mp4")
