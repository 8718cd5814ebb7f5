"""Resized frames kept between epochs, in memory and, if a folder is given, on disk.

The key is a hash of everything that the pixels depend on, so an entry is never wrong, only unused. On disk an
entry is one safetensors file, published by rename: processes may share a folder, and a crash leaves no half
entry.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from medgrpo.data.readers.base import FrameReader, Overlay
from medgrpo.errors import UserError

__all__ = ["FrameCache", "frame_key"]

VERSION = "1:torchvision-bicubic-antialias-uint8"
"""Changes with anything in this package that changes pixels."""

logger = logging.getLogger(__name__)


def frame_key(
    identity: str, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay_key: str = ""
) -> str:
    """SHA-256 of all that a stack of frames depends on.

    Args:
        identity: Of the reader: files, their size and modification time.
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
        memory_bytes: Most pixels in memory, the least recently used go first; 0 keeps none.
    """

    def __init__(self, root: Path | str | None = None, memory_bytes: int = 512 * 2**20) -> None:
        self.root = None if root is None else Path(root)
        self.memory_bytes = memory_bytes
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes = 0

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
        key = frame_key(reader.identity(), indices, height, width, overlay_key)
        frames = self._entries.get(key)
        if frames is not None:
            self._entries.move_to_end(key)
            self.hits += 1
            return frames
        frames = self._load(key)
        if frames is None:
            self.misses += 1
            frames = reader.read(indices, height, width, overlay)
            self._store(key, frames)
        else:
            self.hits += 1
        self._remember(key, frames)
        return frames

    def _remember(self, key: str, frames: np.ndarray) -> None:
        if frames.nbytes > self.memory_bytes:
            return
        self._entries[key] = frames
        self._bytes += frames.nbytes
        while self._bytes > self.memory_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes

    def _path(self, key: str) -> Path | None:
        return None if self.root is None else self.root / key[:2] / f"{key}.safetensors"

    def _load(self, key: str) -> np.ndarray | None:
        """The entry on disk; None if there is none, or a damaged one, which is removed."""
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                frames: np.ndarray = file.get_tensor("frames")
                crc = (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError) as error:
            logger.warning("%s: damaged cache entry removed (%s)", path, error)
            path.unlink(missing_ok=True)
            return None
        if crc != str(zlib.crc32(np.ascontiguousarray(frames).data)):
            logger.warning("%s: damaged cache entry removed (wrong checksum)", path)
            path.unlink(missing_ok=True)
            return None
        return frames

    def _store(self, key: str, frames: np.ndarray) -> None:
        path = self._path(key)
        if path is None:
            return
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"frames": frames}, temporary, {"crc32": str(zlib.crc32(frames.data))})
            os.replace(temporary, path)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                temporary.unlink()
            raise UserError(f"{path}: cannot write to the frame cache: {error}") from error
