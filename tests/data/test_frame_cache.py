from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medgrpo.data.frame_cache import FrameCache, frame_key
from medgrpo.data.frame_file import COLUMNS, fast_checksum, pack_frames
from medgrpo.data.frame_store import FrameStore
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

    def identity(self, indices: Sequence[int] | np.ndarray = ()) -> str:
        return self.name

    def content(self, indices: Sequence[int] | np.ndarray) -> str:
        return f"content of {self.name}"

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
    assert sorted(file.suffix for file in files) == ["", ".safetensors"]  # an entry and how to find it
    path.write_bytes(path.read_bytes() + b"\0\0\0\x08free")
    again.get_or_read(open_reader(Clip(video=path)), [0, 4, 4], *SIZE)
    assert again.misses == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "lengthen", "rename", "text", "empty"])
def test_damaged_entries_are_read_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = CountingReader()
    frames = FrameCache(tmp_path).get_or_read(reader, [3, 7], 4, 4)
    (entry,) = tmp_path.rglob("*.safetensors")
    data = entry.read_bytes()
    flipped = bytearray(data)
    flipped[-5] ^= 255
    spoilt = {
        "flip": bytes(flipped),
        "truncate": data[:-20],
        "lengthen": data + b"0123",
        "rename": data.replace(b'"frames"', b'"pixels"'),
        "text": b"hello world",
        "empty": b"",
    }
    entry.write_bytes(spoilt[damage])
    with caplog.at_level(logging.WARNING):
        cache = FrameCache(tmp_path)
        again = cache.get_or_read(reader, [3, 7], 4, 4)
    assert (cache.broken, cache.misses, cache.hits) == (1, 1, 0)
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


def test_an_entry_is_found_by_content_after_its_source_moved(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 10)
    FrameCache(tmp_path / "cache").get_or_read(open_reader(Clip(video=path)), [0, 4], *SIZE)
    moved = path.rename(tmp_path / "b.mp4")
    os.utime(moved, (1, 1))
    cache = FrameCache(tmp_path / "cache")
    cache.get_or_read(open_reader(Clip(video=moved)), [0, 4], *SIZE)
    cache.get_or_read(open_reader(Clip(video=moved, start=0.04)), [0, 3], *SIZE)  # another clock
    assert (cache.hits, cache.misses) == (1, 1)


def test_a_changed_image_in_a_list_is_read_again(tmp_path: Path) -> None:
    from PIL import Image

    paths = tuple(tmp_path / f"{k}.png" for k in range(4))
    for k, path in enumerate(paths):
        Image.new("RGB", (8, 8), (k, k, k)).save(path)
    clip = Clip(frames=paths, times=(0.0, 1.0, 2.0, 3.0))
    FrameCache(tmp_path / "cache").get_or_read(open_reader(clip), [0, 2], 8, 8)
    Image.new("RGB", (8, 8), (99, 99, 99)).save(paths[1])
    cache = FrameCache(tmp_path / "cache")
    assert cache.get_or_read(open_reader(clip), [0, 2], 8, 8)[1, 0, 0, 0] == 2  # frame 1 is not in it
    assert cache.hits == 1
    Image.new("RGB", (8, 8), (99, 99, 99)).save(paths[2])
    assert cache.get_or_read(open_reader(clip), [0, 2], 8, 8)[1, 0, 0, 0] == 99


def test_the_disk_is_bounded_and_the_least_used_goes_first(tmp_path: Path) -> None:
    store = FrameStore(tmp_path, max_bytes=40_000)
    frames = np.zeros((1, 3, 32, 100), np.uint8)  # 9,600 bytes
    keys = [f"{k:064x}" for k in range(6)]
    for k, key in enumerate(keys[:4]):
        store.save(key, frames)
        os.utime(store._path(key), (1000 + k, 1000 + k))
    assert store.load(keys[0]) is not None
    for key in keys[4:]:
        store.save(key, frames)
        assert store.size().bytes <= 40_000
    held = [k for k, key in enumerate(keys) if store._path(key).exists()]
    assert 0 in held
    assert held[-1] == 5
    assert 1 not in held
    store.save("f" * 64, np.zeros(50_000, np.uint8))  # larger than all: not kept
    assert not store._path("f" * 64).exists()
    with pytest.raises(UserError, match="must be positive"):
        FrameStore(tmp_path, max_bytes=0)


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    store = FrameStore(tmp_path, max_bytes=10**6)
    (tmp_path / "ab").mkdir()
    old, fresh = tmp_path / "ab" / "x.1.tmp", tmp_path / "ab" / "x.2.tmp"
    for path, age in ((old, 7200), (fresh, 0)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    store.save("a" * 64, np.zeros(10, np.uint8))
    assert not old.exists()
    assert fresh.exists()  # another process is writing it
    assert store.size().entries == 1


def _use(root: Path, seed: int) -> None:
    cache = FrameCache(root, memory_bytes=0, disk_bytes=60_000)
    order = np.random.default_rng(seed).integers(0, 12, 150)
    for k in order.tolist():
        frames = cache.get_or_read(CountingReader(f"clip {k}"), [k, k + 1], 40, 40)
        assert frames[1, 0, 0, 0] == k + 1
    assert cache.broken == 0


def test_processes_share_a_bounded_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_use, args=(tmp_path, seed)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    store = FrameStore(tmp_path, max_bytes=60_000)
    assert 0 < store.clear_to_bound() <= 60_000
    assert all(store.verify(path) is None for path in store.entries())
    assert not list(tmp_path.rglob("*.tmp"))


def test_verification_finds_what_the_fast_checksum_cannot(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    frames = np.full(8 * COLUMNS * 3, 7, dtype=np.uint8)
    store.save("a" * 64, frames)
    (path,) = store.entries()
    assert store.verify(path) is None
    data = bytearray(path.read_bytes())
    start = len(data) - frames.nbytes
    data[start] += 1  # the sums of columns stay
    data[start + 8 * COLUMNS] -= 1
    path.write_bytes(data)
    assert store.load("a" * 64) is not None
    assert store.verify(path) == "wrong SHA-256"


@pytest.mark.parametrize("count", [0, 5, 4096, 10_001])
def test_the_checksum_sees_every_byte(count: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8)
    told = fast_checksum(data)
    for position in range(0, count, 97):
        other = data.copy()
        other[position] ^= 4
        assert fast_checksum(other) != told
    assert fast_checksum(np.append(data, np.uint8(0))) != told


@pytest.mark.parametrize("moved", [8, 512, 4096, 65536])
def test_the_checksum_sees_blocks_in_each_others_place(moved: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, 1_000_000, dtype=np.uint8)
    other = data.copy()
    other[:moved], other[moved : 2 * moved] = data[moved : 2 * moved], data[:moved]
    assert fast_checksum(other) != fast_checksum(data)


def test_entries_are_safetensors_files(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    store = FrameStore(tmp_path)
    for key, frames in (
        ("a" * 64, np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)),
        ("b" * 64, np.empty(0)),
    ):
        store.save(key, frames)
        loaded = store.load(key)
        assert loaded is not None
        assert loaded.dtype == frames.dtype
        assert np.array_equal(loaded, frames)
        assert np.array_equal(load_file(store._path(key))["frames"], frames)
    with pytest.raises(TypeError, match="float32"):
        pack_frames(np.zeros(3, np.float32))
