"""Where the files of a source are: in the places in which its authors keep them, or put together in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["VIDEO_SUFFIXES", "expect_file", "find_file", "find_video"]

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi")
"""Containers in which videos are had, the ones with exact times first."""


def find_file(root: Path, folders: Sequence[str], name: str) -> str | None:
    """The first place at which a file is, relative to the root; None if it is at none.

    Args:
        root: Folder of the source.
        folders: Relative to it, in order of preference; empty is the root itself.
        name: Of the file.
    """
    places = (f"{folder}/{name}" if folder else name for folder in folders)
    return next((place for place in places if (root / place).is_file()), None)


def expect_file(root: Path, folders: Sequence[str], name: str) -> str:
    """The first place at which a file is that nothing can be read without.

    Raises:
        UserError: If it is at none of them.
    """
    found = find_file(root, folders, name)
    if found is None:
        places = " or ".join(str(root / folder) for folder in folders)
        raise UserError(f"{root / folders[0] / name}: is missing; it is looked for in {places}")
    return found


def find_video(root: Path, folders: Sequence[str], stem: str) -> str | None:
    """The first place at which a video is, whatever its container; None if it is at none.

    Args:
        root: Folder of the source.
        folders: Relative to it, in order of preference.
        stem: Name of the file without its ending.
    """
    if Path(stem).name != stem:
        return None  # a name out of a table must not lead out of the folder
    for folder in folders:
        for suffix in VIDEO_SUFFIXES:
            if place := find_file(root, (folder,), f"{stem}{suffix}"):
                return place
    return None
