"""What identifies the inputs of a build: settings of its parts, annotation files, footage."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.services.files import file_hash
from medgrpo.types import Clip

__all__ = ["files_fingerprint", "footage_fingerprint", "settings_of"]

_PIECE = 1 << 20
"""Bytes of a video that are read at its beginning, middle and end."""


def settings_of(part: Any) -> Any:
    """The class of an object and the arguments that it was made with, ready for JSON.

    Args:
        part: A simple value, a sequence or mapping of such, or an object that keeps each argument of its
            constructor in an attribute of the same name.

    Raises:
        TypeError: If an object does not keep an argument.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Path):
        return str(part)
    if isinstance(part, Mapping):
        return {str(key): settings_of(value) for key, value in part.items()}
    if isinstance(part, Sequence | set | frozenset):
        return [settings_of(value) for value in (sorted(part) if isinstance(part, set | frozenset) else part)]
    kind = type(part)
    names = (
        [field.name for field in dataclasses.fields(part) if field.init]
        if dataclasses.is_dataclass(part)
        else [name for name in inspect.signature(kind).parameters if name not in ("args", "kwargs")]
    )
    if missing := [name for name in names if not hasattr(part, name)]:
        raise TypeError(f"{kind.__qualname__} must keep its argument {missing[0]!r} in an attribute")
    return {"class": f"{kind.__module__}.{kind.__qualname__}"} | {
        name: settings_of(getattr(part, name)) for name in names
    }


def files_fingerprint(paths: Iterable[Path]) -> list[str]:
    """Hashes of files, sorted; each is read once while it does not change.

    Raises:
        UserError: If one cannot be read.
    """
    return sorted(_hash(path, *_version(path)) for path in paths)


def footage_fingerprint(footage: Clip) -> str:
    """A hash of a video's pictures that does not need all of their bytes.

    Of a video file, its size and a MiB at its beginning, middle and end; of frame files, names and sizes.

    Raises:
        UserError: If a file cannot be read.
    """
    digest = hashlib.sha256()
    if footage.video is not None:
        _, size = _version(footage.video)
        digest.update(str(size).encode())
        with footage.video.open("rb") as file:
            for place in (0, max(0, size // 2 - _PIECE // 2), max(0, size - _PIECE)):
                file.seek(place)
                digest.update(file.read(_PIECE))
    for path, time in zip(footage.frames, footage.times, strict=True):
        # A listed frame that is missing is a problem of the clips that need it, not of the whole video.
        size = path.stat().st_size if path.is_file() else -1
        digest.update(f"{path.name}|{size}|{time!r}\n".encode())
    return digest.hexdigest()


def _version(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(4096)
def _hash(path: Path, modified: int, size: int) -> str:
    """Of a file in the state that its version tells."""
    del modified, size
    return file_hash(path)
