"""Stacks of frames and their times on disk: one safetensors file each, within a size, shared by processes.

Entries are published by rename, so that a crash leaves no half entry; what it may leave, a temporary file,
goes at the next clearing. An entry read is checked with a fast checksum; ``verify`` compares SHA-256. Every
use renews an entry's modification time, and where the store exceeds its size, those unused for longest go. No
locks: two processes that clear at once remove the same files.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medgrpo.data.frame_file import pack_frames, read_frames
from medgrpo.errors import UserError

__all__ = ["CacheError", "FrameStore", "StoreSize"]

SUFFIX = ".safetensors"
LINKS = "links"
"""Folder of the small files that tell an entry's key from what is known of its source without reading it."""

STEP = 32
"""A process looks at the whole store again when it has written this part of its bound."""

ROOM = 10
"""Clearing makes room for this part of the bound."""

STALE_NS = 3600 * 10**9
"""Age at which a temporary file is a crashed process's."""

logger = logging.getLogger(__name__)


class CacheError(UserError):
    """The folder of a cache cannot be written."""


@dataclass(frozen=True, slots=True)
class StoreSize:
    """What a store holds.

    Attributes:
        entries: Stacks of frames, and times of the frames of a video file.
        bytes: Of their files.
    """

    entries: int
    bytes: int


class FrameStore:
    """Frames by key in a folder.

    Args:
        root: The folder, made when something is stored.
        max_bytes: Most bytes of entries; None is no bound. While N processes write, up to N/32 more.

    Attributes:
        broken: Damaged entries that this process met and removed.
    """

    def __init__(self, root: Path | str, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes <= 0:
            raise UserError(f"{root}: the frame cache's size must be positive, got {max_bytes} bytes")
        self.root = Path(root)
        self.max_bytes = max_bytes
        self.broken = 0
        self._unseen: int | None = None

    def load(self, key: str) -> np.ndarray | None:
        """The frames of an entry; None if there is none, or a damaged one, which is removed."""
        path = self._path(key)
        try:
            frames = read_frames(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            logger.warning("%s: damaged cache entry removed (%s)", path, error)
            self.broken += 1
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)
        return frames

    def save(self, key: str, frames: np.ndarray) -> None:
        """Store frames; nothing happens where they alone exceed the bound.

        Raises:
            CacheError: If the folder cannot be written.
        """
        if self.max_bytes is not None and frames.nbytes > self.max_bytes:
            return
        self._publish(self._path(key), pack_frames(frames))
        self._make_room(frames.nbytes)

    def link(self, source: str) -> str | None:
        """The key that was stored for a source; None if there is none."""
        path = self.root / LINKS / source[:2] / source
        try:
            key = path.read_text(encoding="ascii")
            os.utime(path)
        except (OSError, UnicodeDecodeError):
            return None
        return key if len(key) == 64 and key.isalnum() else None

    def save_link(self, source: str, key: str) -> None:
        """Remember the key of a source.

        Raises:
            CacheError: If the folder cannot be written.
        """
        self._publish(self.root / LINKS / source[:2] / source, key.encode("ascii"))

    def entries(self) -> Iterator[Path]:
        """The files of the entries, in the order of their keys."""
        return (path for path in sorted(self.root.glob(f"??/*{SUFFIX}")) if path.is_file())

    def size(self) -> StoreSize:
        """Count entries and their bytes."""
        sizes = [size for _, size, _ in self._listed(self.root.glob(f"??/*{SUFFIX}"))]
        return StoreSize(len(sizes), sum(sizes))

    def verify(self, path: Path) -> str | None:
        """Compare an entry with its SHA-256 and checksum: what is wrong with it, or None."""
        try:
            read_frames(path, thorough=True)
        except (OSError, ValueError) as error:
            return str(error)
        return None

    def clear_to_bound(self) -> int:
        """Remove leftovers of crashes and, where the store exceeds its bound, what is unused for longest.

        Returns:
            Bytes of entries that remain.
        """
        stale = time.time_ns() - STALE_NS
        for path, _, used in self._listed(self.root.rglob("*.tmp")):
            if used < stale:
                path.unlink(missing_ok=True)
        listed = sorted(self._listed(self.root.glob(f"??/*{SUFFIX}")), key=lambda entry: entry[2])
        total = sum(size for _, size, _ in listed)
        if self.max_bytes is None or total <= self.max_bytes:
            return total
        for path, size, used in listed:
            if total <= self.max_bytes - self.max_bytes // ROOM:
                break
            path.unlink(missing_ok=True)
            total -= size
            oldest = used
        for path, _, used in self._listed(self.root.glob(f"{LINKS}/??/*")):
            if used <= oldest and path.suffix != ".tmp":  # used with their entries, which are gone
                path.unlink(missing_ok=True)
        return total

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}{SUFFIX}"

    def _publish(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise CacheError(f"{path}: cannot write to the frame cache: {error}") from error

    def _make_room(self, written: int) -> None:
        """Clear where what this process knows of exceeds the bound, or it has not looked for long."""
        if self.max_bytes is None:
            return
        if self._unseen is not None:
            self._unseen += written
        if self._unseen is None or self._unseen > self.max_bytes // STEP:
            self.clear_to_bound()
            self._unseen = 0

    @staticmethod
    def _listed(paths: Iterator[Path]) -> Iterator[tuple[Path, int, int]]:
        """Path, bytes and nanoseconds of last use of the files that are still there."""
        for path in paths:
            with suppress(OSError):
                found = path.stat()
                yield path, found.st_size, found.st_mtime_ns
