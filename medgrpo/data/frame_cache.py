"""Resized frames kept between epochs, in memory and, if a folder is given, on disk.

The key is a hash of everything that the pixels depend on, so an entry is never wrong, only unused. On disk it
is made from the SHA-256 of the source's bytes: a cache is as good after files are moved, touched or copied to
another machine. Reading gigabytes to look up megabytes would be slow, so paths, sizes and modification times
lead to the key once it is known.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.data.frame_store import FrameStore
from medgrpo.data.readers.base import FrameReader, Overlay

__all__ = ["FrameCache", "frame_key"]

VERSION = "3:torchvision-bicubic-antialias-uint8"
"""Changes with anything in this package that changes pixels, or the files that keep them."""


def frame_key(
    identity: str, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay_key: str = ""
) -> str:
    """SHA-256 of all that a stack of frames depends on.

    Args:
        identity: Of the source and the decoder, as a reader tells it.
        indices: Frames read.
        height: Pixels.
        width: Pixels.
        overlay_key: What was drawn on them; empty for nothing.
    """
    parts = [VERSION, identity, [int(i) for i in indices], int(height), int(width), overlay_key]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class FrameCache:
    """Frames by content key.

    Args:
        root: Folder of the entries on disk, made when missing; None keeps them in memory alone.
        memory_bytes: Most bytes of frames and times in memory, the least recently used go first; 0 keeps
            none. A process that gets a copy starts with none.
        disk_bytes: Most bytes on disk, the least recently used go first; None is no bound.

    Attributes:
        hits: Requests answered without decoding.
        misses: Requests decoded.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        memory_bytes: int = 512 * 2**20,
        disk_bytes: int | None = None,
    ) -> None:
        self.store = None if root is None else FrameStore(root, disk_bytes)
        self.memory_bytes = memory_bytes
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_entries": OrderedDict(), "_bytes": 0}

    @property
    def broken(self) -> int:
        """Damaged entries on disk that were decoded again."""
        return 0 if self.store is None else self.store.broken

    def get_or_read(
        self,
        reader: FrameReader,
        indices: Sequence[int] | np.ndarray,
        height: int,
        width: int,
        overlay: Overlay | None = None,
        overlay_key: str = "",
    ) -> np.ndarray:
        """Frames from the cache, else from the reader.

        Args:
            reader: Of the clip.
            indices: Frames to read, ``[T]``.
            height: Pixels.
            width: Pixels.
            overlay: Draws on frames before they are resized.
            overlay_key: Says what the overlay draws; required with one.

        Returns:
            uint8 ``[T, 3, height, width]``, shared with later callers: not to be written to.

        Raises:
            VideoError: If the frames cannot be read.
            UserError: If the folder cannot be written.
        """
        if (overlay is None) != (overlay_key == ""):
            raise ValueError("an overlay needs a key, and a key an overlay")
        source = frame_key(reader.identity(indices), indices, height, width, overlay_key)
        frames = self._recall(source)
        if frames is not None:
            self.hits += 1
            return frames
        key = ""
        if self.store is not None:
            key = self.store.link(source) or ""
            if not key:
                key = frame_key(reader.content(indices), indices, height, width, overlay_key)
                self.store.save_link(source, key)
            frames = self.store.load(key)
        if frames is None:
            self.misses += 1
            frames = reader.read(indices, height, width, overlay)
            if self.store is not None:
                self.store.save(key, frames)
        else:
            self.hits += 1
        self._remember(source, frames)
        return frames

    def describe(self, reader: FrameReader) -> tuple[np.ndarray, tuple[int, int]]:
        """Times and size of a clip, from the cache or else from the reader, which scans the file for them.

        Returns:
            Seconds, float64 ``[N]``; height and width in pixels.

        Raises:
            VideoError: If the file cannot be read.
            UserError: If the folder cannot be written.
        """
        key = hashlib.sha256(json.dumps([VERSION, "times", reader.identity()]).encode()).hexdigest()
        described = self._recall(key)
        if described is None:
            described = None if self.store is None else self.store.load(key)
            if described is None:
                described = np.concatenate((np.asarray(reader.size(), np.float64), reader.times()))
                if self.store is not None:
                    self.store.save(key, described)
            self._remember(key, described)
        return described[2:], (int(described[0]), int(described[1]))

    def _recall(self, key: str) -> np.ndarray | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def _remember(self, key: str, entry: np.ndarray) -> None:
        if entry.nbytes > self.memory_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.nbytes
        while self._bytes > self.memory_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes
