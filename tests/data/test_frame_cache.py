from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from medgrpo.data.frame_cache import FrameCache, frame_key
from medgrpo.data.readers import Overlay, VideoError, open_reader
from medgrpo.errors import UserError
from medgrpo.types import Clip
from tests.data.encoding import SIZE, encode


class CountingReader:
    """Frames full of their index; counts how often it is asked."""

    def __init__(self, name: str = "clip") -> None:
        self.name = name
        self.reads = 0

    def times(self) -> np.ndarray:
        return np.arange(100.0)

    def size(self) -> tuple[int, int]:
        return 8, 8

    def identity(self) -> str:
        return self.name

    def read(self, indices: list[int], height: int, width: int, overlay: Overlay | None = None) -> np.ndarray:
        self.reads += 1
        values = np.asarray(indices, np.uint8)[:, None, None, None]
        frames = np.broadcast_to(values, (len(indices), 3, height, width)).copy()
        return frames if overlay is None else frames + np.uint8(100)


def test_the_second_reading_comes_from_memory() -> None:
    cache, reader = FrameCache(), CountingReader()
    first = cache.get_or_read(reader, [1, 5], 4, 6)
    assert cache.get_or_read(reader, np.array([1, 5]), 4, 6) is first
    assert (reader.reads, cache.hits, cache.misses) == (1, 1, 1)
    assert first.shape == (2, 3, 4, 6)


def test_whatever_changes_pixels_changes_the_key() -> None:
    base = ("a", [1, 2], 28, 56, "")
    others = [("b", *base[1:]), ("a", [2, 1], 28, 56, ""), ("a", [1, 2], 56, 28, ""), (*base[:4], "box")]
    keys = [frame_key(*base), *(frame_key(*other) for other in others)]
    assert len(set(keys)) == 5
    assert frame_key("a", np.array([1, 2]), np.int64(28), 56) == keys[0]


def test_an_overlay_is_kept_apart_and_needs_its_key() -> None:
    cache, reader = FrameCache(), CountingReader()
    plain = cache.get_or_read(reader, [1], 4, 4)
    drawn = cache.get_or_read(reader, [1], 4, 4, overlay=lambda index, frame: frame, overlay_key="box")
    assert plain[0, 0, 0, 0] == 1
    assert drawn[0, 0, 0, 0] == 101
    with pytest.raises(ValueError, match="key"):
        cache.get_or_read(reader, [1], 4, 4, overlay=lambda index, frame: frame)


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    cache = FrameCache(memory_bytes=3 * 48)
    readers = [CountingReader(name) for name in "abcd"]
    for reader in readers[:3]:
        cache.get_or_read(reader, [1], 4, 4)
    cache.get_or_read(readers[0], [1], 4, 4)
    cache.get_or_read(readers[3], [1], 4, 4)  # b goes
    for reader in (readers[0], readers[2], readers[3]):
        cache.get_or_read(reader, [1], 4, 4)
    assert [reader.reads for reader in readers] == [1, 1, 1, 1]
    cache.get_or_read(readers[1], [1], 4, 4)
    assert readers[1].reads == 2
    cache.get_or_read(readers[0], [1, 2, 3, 4], 4, 4)  # larger than the bound: read, not kept
    cache.get_or_read(readers[0], [1, 2, 3, 4], 4, 4)
    assert readers[0].reads == 3


def test_frames_on_disk_outlive_the_process(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 10)
    reader = open_reader(Clip(video=path))
    frames = FrameCache(tmp_path / "cache").get_or_read(reader, [0, 4, 4], *SIZE)
    again = FrameCache(tmp_path / "cache", memory_bytes=0)
    assert np.array_equal(again.get_or_read(reader, [0, 4, 4], *SIZE), frames)
    assert (again.hits, again.misses) == (1, 0)
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert [file.suffix for file in files] == [".safetensors"]
    path.write_bytes(path.read_bytes() + b"\0\0\0\x08free")
    again.get_or_read(open_reader(Clip(video=path)), [0, 4, 4], *SIZE)
    assert again.misses == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "text", "empty"])
def test_damaged_entries_are_read_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = CountingReader()
    frames = FrameCache(tmp_path).get_or_read(reader, [3, 7], 4, 4)
    (entry,) = tmp_path.rglob("*.safetensors")
    data = bytearray(entry.read_bytes())
    data[-5] ^= 255
    cut = bytes(data[:-20])
    entry.write_bytes({"flip": bytes(data), "truncate": cut, "text": b"hello world", "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        again = FrameCache(tmp_path).get_or_read(reader, [3, 7], 4, 4)
    assert "damaged cache entry removed" in caplog.text
    assert np.array_equal(again, frames)
    assert reader.reads == 2
    FrameCache(tmp_path).get_or_read(reader, [3, 7], 4, 4)
    assert reader.reads == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot write to the frame cache"):
        FrameCache(tmp_path / "file").get_or_read(CountingReader(), [1], 4, 4)


def test_a_clip_that_is_gone_is_not_served_from_the_cache(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 4)
    cache = FrameCache()
    cache.get_or_read(open_reader(Clip(video=path)), [0], *SIZE)
    path.unlink()
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be opened"):
        cache.get_or_read(open_reader(Clip(video=path)), [0], *SIZE)
