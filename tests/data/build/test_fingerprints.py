"""What a build was made from is told apart by content, not by name or time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from medgrpo.data.build.fingerprints import files_fingerprint, footage_fingerprint, settings_of
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.types import Clip


class Part:
    def __init__(self, root: Path, rate: float = 1.0, names: tuple[str, ...] = ()) -> None:
        self.root = root
        self.rate = rate
        self.names = names


class Forgetful:
    def __init__(self, rate: float) -> None:
        self._rate = rate


@dataclass
class Nested:
    part: Part
    table: dict[str, int]


def test_settings_are_the_class_and_its_arguments(tmp_path: Path) -> None:
    told = settings_of(Nested(Part(tmp_path, 2.0, ("b", "a")), {"x": 1}))
    assert told["table"] == {"x": 1}
    assert told["part"] | {"class": ""} == {
        "class": "",
        "root": str(tmp_path),
        "rate": 2.0,
        "names": ["b", "a"],
    }
    assert told["part"]["class"].endswith("Part")
    assert settings_of(SamplingPolicy(f_goal=2.0))["f_goal"] == 2.0
    assert settings_of({"b", "a"}) == ["a", "b"]


def test_a_part_that_forgets_an_argument_cannot_be_told() -> None:
    with pytest.raises(TypeError, match="'rate'"):
        settings_of(Forgetful(1.0))


def test_files_are_told_apart_by_content(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("x\n")
    other.write_text("x\n")
    assert files_fingerprint([one]) == files_fingerprint([other])
    before = files_fingerprint([one, other])
    os.utime(one, ns=(0, 0))
    assert files_fingerprint([other, one]) == before
    one.write_text("y\n")
    assert files_fingerprint([one, other]) != before
    with pytest.raises(UserError, match=r"c\.csv"):
        files_fingerprint([tmp_path / "c.csv"])


def test_a_video_is_told_apart_by_its_pieces(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(bytes(5 << 20))
    clip = Clip(video=path)
    before = footage_fingerprint(clip)
    assert footage_fingerprint(clip) == before
    for place in (0, 5 << 19, (5 << 20) - 1):
        content = bytearray(5 << 20)
        content[place] = 1
        path.write_bytes(content)
        assert footage_fingerprint(clip) != before
    with pytest.raises(UserError, match=r"gone\.mp4"):
        footage_fingerprint(Clip(video=tmp_path / "gone.mp4"))


def test_frames_are_told_apart_by_names_sizes_and_times(tmp_path: Path) -> None:
    path = tmp_path / "000001.png"
    path.write_bytes(b"123")
    seen = {footage_fingerprint(Clip(frames=(path,), times=(time,))) for time in (0.0, 1.0)}
    path.write_bytes(b"1234")
    seen.add(footage_fingerprint(Clip(frames=(path,), times=(0.0,))))
    path.unlink()
    seen.add(footage_fingerprint(Clip(frames=(path,), times=(0.0,))))
    assert len(seen) == 4
