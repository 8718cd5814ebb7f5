"""Files and folders that appear whole or not at all, whenever the process or the machine is stopped."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from medgrpo.errors import UserError

__all__ = ["clear_parts", "file_hash", "read_json", "read_text", "whole_file", "whole_folder", "write_whole"]

_HINTS = {
    errno.ENOSPC: "no space is left on the disk; free some, or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space, or write elsewhere",
    errno.EROFS: "the file system is read-only; write elsewhere",
    errno.EACCES: "permission is denied; write where you may",
}


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` once it is complete and on the disk.

    A reader sees the old content or all of the new, also after a crash. If the block raises, nothing changes.
    Folders are made.

    Raises:
        UserError: If it cannot be written, for example because the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with _new_file(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        raise UserError(_told(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends; an older one is then removed.

    Raises:
        UserError: If it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    replaced = temporary.with_suffix(".old")
    try:
        _make_folders(path.parent)
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            _fsync(file)
        _fsync(temporary)
        if path.exists():
            os.replace(path, replaced)
        os.replace(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        raise UserError(_told(path, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def clear_parts(path: str | Path) -> None:
    """Remove what killed processes left of a file or folder that they were writing.

    Args:
        path: The file or folder, which no other process writes at the time.
    """
    path = Path(path)
    name = glob.escape(f".{path.name}.")
    for left in [*path.parent.glob(f"{name}*.part"), *path.parent.glob(f"{name}*.old")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def write_whole(path: str | Path, content: str | bytes | Iterable[str]) -> Path:
    """Write a file so that a reader sees the old content or all of the new; folders are made.

    Args:
        path: The file.
        content: Text (UTF-8), bytes, or pieces of text, which are taken one after the other.

    Returns:
        The path.

    Raises:
        UserError: If it cannot be written, for example because the disk is full.
    """
    pieces = (content,) if isinstance(content, str | bytes) else content
    with whole_file(path) as file:
        for piece in pieces:
            file.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
    return Path(path)


def _told(path: Path, error: OSError) -> str:
    reason = _HINTS.get(error.errno or 0)
    return (
        f"{path}: cannot be written: {error.strerror or error}"
        if reason is None
        else (f"{path}: cannot be written: {reason} (paths.root of a training run)")
    )


def _new_file(path: Path) -> BinaryIO:
    for _ in range(3):
        _make_folders(path.parent)
        with suppress(FileNotFoundError):  # who tidies up may remove a folder that is still empty
            return path.open("wb")
    return path.open("wb")


def _make_folders(folder: Path) -> None:
    """Make a folder; each new name is on the disk before anything is put below it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for parent in reversed(missing):
        _fsync(parent.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: str | Path, what: str) -> Any:
    """The content of a JSON file, with or without a byte order mark.

    Args:
        path: The file.
        what: What it should be, for messages: ``a scores file``.

    Raises:
        UserError: If it is missing, not UTF-8 or no JSON; line and column are named.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        end = " (the file ends there: is it complete?)" if ended else ""
        raise UserError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}{end}"
        ) from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply; expected {what}") from None


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, without its byte order mark.

    Raises:
        UserError: If it cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None


def file_hash(path: str | Path) -> str:
    """sha256 of a file, however large."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
