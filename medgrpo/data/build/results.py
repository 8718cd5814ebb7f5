"""Results of a build's stages on the disk, found again by the content of what they were made from.

A killed build finds what it had finished, a changed setting makes anew what depends on it, and nothing else.
Each result is a file of its own that appears whole, so any number of processes may write.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from medgrpo.errors import MissingExtraError
from medgrpo.services.files import write_whole

__all__ = ["Results", "content_hash", "type_adapter"]

T = TypeVar("T")


def content_hash(content: Any) -> str:
    """sha256 of anything that JSON can hold, whatever the order of its keys.

    Raises:
        TypeError: If JSON cannot hold it.
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def type_adapter(kind: Any) -> Any:
    """What turns values of a type into JSON and back; made once, for that takes longer than its work.

    Raises:
        MissingExtraError: If pydantic is not installed.
    """
    try:
        from pydantic import TypeAdapter
    except ImportError as error:
        raise MissingExtraError("pydantic", "build") from error
    return TypeAdapter(kind)


class Results(Generic[T]):
    """Results of one stage.

    Args:
        folder: Of the build's work; the stage has a folder of its own in it.
        stage: Name and version, e.g. ``questions@1``; another version finds nothing of this one.
        kind: Type of a result: plain dataclasses of :mod:`medgrpo.data.build.items` and tuples of them.

    Raises:
        MissingExtraError: If pydantic is not installed.
    """

    def __init__(self, folder: Path, stage: str, kind: Any) -> None:
        self.folder = folder / stage
        self._adapter = type_adapter(kind)

    def get(self, key: str) -> T | None:
        """The result of a key; None if there is none, or its file was damaged since."""
        try:
            content = self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            result: T = self._adapter.validate_json(content)
        except ValueError:
            return None
        return result

    def made(self, key: str, make: Callable[[], T]) -> T:
        """The result of a key, made and kept if there is none.

        Raises:
            UserError: If it cannot be written.
        """
        found = self.get(key)
        if found is None:
            # What is given back is what the next build reads, not what was made: both have the same types.
            content = self._adapter.dump_json(make())
            write_whole(self.path(key), content)
            found = self._adapter.validate_json(content)
        return found

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.folder / key[:2] / f"{key}.json"
