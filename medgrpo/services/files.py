"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["read_json", "read_text", "write_whole"]


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
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    pieces = (content,) if isinstance(content, str | bytes) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


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
