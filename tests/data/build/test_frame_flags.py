"""What marks frames that must not leave the machine, with the measured limits of colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medgrpo.data.build.flag_list import FlagList
from medgrpo.data.build.frame_flags import ColourDetector, FrameDetector, FrameFlags, WithheldSources
from medgrpo.data.build.pictures import write_pictures
from medgrpo.data.synthetic import sample_scene
from medgrpo.errors import UserError
from tests.data.build.scenes import clip_of, image_video

Colour = tuple[int, int, int]
INSIDE = ("CholecTrack20", "Cholec80_CVS", "CoPESD")
DRAPES: tuple[Colour, ...] = ((30, 110, 80), (60, 130, 170), (40, 90, 150))
SKIN: Colour = (224, 178, 150)
WOOD: Colour = (190, 130, 80)


def room(seed: int, wall: Colour | None = None, people: float = 0.12) -> np.ndarray:
    """A drawn operating room: wall, drapes, a lamp, a monitor, and faces of some share of the width."""
    generator = np.random.default_rng(seed)
    grey = int(generator.integers(120, 220))
    image = Image.new("RGB", (320, 180), wall or (grey, grey, grey + 8))
    draw = ImageDraw.Draw(image)
    drape = DRAPES[seed % len(DRAPES)]
    draw.rectangle((0, int(generator.integers(80, 130)), 320, 180), fill=wall or drape)
    x, y = (int(generator.integers(20, 220)) for _ in "xy")
    draw.ellipse((x, 5, x + 60, 35), fill=(250, 250, 245))
    draw.rectangle((250, 30, 310, 70), fill=(20, 25, 60))
    for _ in range(2):
        x, y = int(generator.integers(0, 280)), int(generator.integers(20, 100))
        size = people * 320
        draw.ellipse((x, y, x + size, y + 1.3 * size), fill=SKIN)
    pixels = np.asarray(image).astype(np.int16) + generator.integers(-12, 13, (180, 320, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def test_measured_on_drawn_scenes() -> None:
    detector = ColourDetector()
    inside = [
        (source, scene.render(0.24 * k * scene.duration))
        for source in INSIDE
        for seed in range(10)
        for scene in [sample_scene(source, seed)]
        for k in range(4)
    ]
    assert len(inside) == 120
    assert [detector.flags(source, pixels) for source, pixels in inside] == [()] * 120
    assert [detector.flags("CholecT50", room(seed)) for seed in range(60)] == [("out_of_body",)] * 60


def test_known_limits() -> None:
    detector = ColourDetector()
    assert detector.flags("CholecT50", room(1, wall=WOOD)) == (), "a warm room is missed"
    assert detector.flags("CholecT50", room(2, people=0.9)) == (), "a person close to the camera is missed"
    dyed = np.full((90, 160, 3), (70, 110, 200), np.uint8)
    assert detector.flags("CoPESD", dyed) == ("out_of_body",), "dyed tissue is taken for a room"


def test_black_frames_are_found_in_every_source() -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 12, (90, 160, 3)).astype(np.uint8)
    for pixels in (np.zeros((90, 160, 3), np.uint8), noise):
        assert ColourDetector().flags("NurViD", pixels) == ("black",)
        assert ColourDetector().flags("CholecT50", pixels) == ("black",)
    dim = np.full((90, 160, 3), (40, 20, 15), np.uint8)
    assert ColourDetector().flags("CholecT50", dim) == ()
    assert ColourDetector().flags("NurViD", room(0)) == (), "a room is where open surgery is"


def test_a_list_made_by_hand_has_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "flags.csv"
    path.write_text(
        "source,video_id,first_frame,last_frame,flag\n"
        "CholecT50,VID01,50,75,identifying\n"
        "CholecT50,VID01,100,100,clear\n"
        "CholecT50,VID02,0,900,out_of_body\n"
    )
    video = image_video(tmp_path / "in")
    for k in (3, 4, 5):
        Image.fromarray(np.zeros((60, 100, 3), np.uint8)).save(video.footage.frames[k])
    found = write_pictures(video, clip_of(video, 0, 8), tmp_path / "out", None, FrameFlags(by_hand=path))
    flagged = {p.frame_id // 25: p.flags for p in found.pictures if p.flags}
    assert flagged == {2: ("identifying",), 3: ("black", "identifying"), 5: ("black",)}


def test_detectors_plug_in(tmp_path: Path) -> None:
    class Bright(FrameDetector):
        def flags(self, source: str, pixels: np.ndarray) -> tuple[str, ...]:
            return ("bright",) if pixels.mean() > 100 else ()

    video = image_video(tmp_path / "in")
    flags = FrameFlags([Bright(), WithheldSources(["CholecT50"])])
    assert flags.of(video, 0, np.full((4, 4, 3), 200, np.uint8)) == ("bright", "identifying")
    assert flags.of(video, 0, np.zeros((4, 4, 3), np.uint8)) == ("identifying",)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("CholecT50,VID01,a,9,identifying", "line 2: field 'first_frame': 'a' is not a frame number"),
        ("CholecT50,VID01,9,8,identifying", "line 2: field 'last_frame': 8 is before first_frame 9"),
        ("CholecT50,VID01,1,8", "line 2: expected 5 columns"),
        ("CholecT50,VID01,1,8,clear,x", "line 2: expected 5 columns"),
        ("CholecT50,,1,8,clear", "line 2: field 'video_id': is empty"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "flags.csv"
    path.write_text(f"source,video_id,first_frame,last_frame,flag\n{line}\n")
    with pytest.raises(UserError, match=rf"flags\.csv, {problem}"):
        FlagList.read(path)


def test_a_wrong_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        FrameFlags(by_hand=tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("video,frame\n")
    with pytest.raises(UserError, match=r"other\.csv, line 1: expected the columns source,video_id"):
        FlagList.read(tmp_path / "other.csv")
    with pytest.raises(UserError, match="min_warm is a share"):
        ColourDetector(min_warm=2)
