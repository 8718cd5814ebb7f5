"""Replies that are paid for once: a file that several processes share and that outlives a crash.

The file is SQLite with a write-ahead log: readers never wait, writers take turns, and a process that is
killed while it writes leaves whole replies only. What the server answered can be put in, a refusal too; what
failed on the way is asked again next time. The log needs shared memory, so the file must lie on a disk of
this machine, not on a network share.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.services.chat_reply import ChatReply

__all__ = ["ReplyCache", "content_key"]

_PATIENCE = 60.0  # seconds that a process waits for others to finish writing
_AT_A_TIME = 500  # keys in one query
_APPLICATION = 0x4D475243  # marks the file as ours
_ANSWERED = ("ok", "refused", "schema")
_FIELDS = tuple(field.name for field in fields(ChatReply) if field.name != "cached")


def content_key(content: Mapping[str, Any]) -> str:
    """The sha256 of what a reply depends on, as canonical JSON with composed (NFC) texts.

    Args:
        content: Names to JSON values; their order does not count.
    """
    canonical = json.dumps(
        _composed(content), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _composed(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return {str(name): _composed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_composed(item) for item in value]
    return value


class ReplyCache:
    """Replies by the key of what they depend on. May be pickled, forked and used by several threads.

    Args:
        path: The file; made with its folders at the first use.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """The path alone: a connection belongs to one process."""
        return {"path": self.path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.path = state["path"]
        self._forget()

    def _forget(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def get(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """The replies that are there.

        Raises:
            UserError: If the file cannot be read or is no such cache.
        """
        found: dict[str, ChatReply] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _AT_A_TIME):
            some = wanted[start : start + _AT_A_TIME]
            marks = ",".join("?" * len(some))
            rows = self._run(f"SELECT key, reply FROM replies WHERE key IN ({marks})", some)
            found.update((key, _loaded(text)) for key, text in rows)
        return found

    def put(self, key: str, reply: ChatReply) -> ChatReply:
        """Keep a reply; from then on it survives a crash of the program.

        Returns:
            The reply that is kept: another process's, if it was first.

        Raises:
            ValueError: If no reply came.
            UserError: If the file cannot be written or is no such cache.
        """
        if reply.status not in _ANSWERED:
            raise ValueError(f"a failure is not kept: {reply.status}")
        text = json.dumps({name: value for name, value in asdict(reply).items() if name in _FIELDS})
        values = (key, text, time.time())
        added = self._run("INSERT OR IGNORE INTO replies VALUES (?, ?, ?) RETURNING key", values)
        return reply if added else self.get([key]).get(key, reply)

    def __len__(self) -> int:
        return int(self._run("SELECT COUNT(*) FROM replies")[0][0])

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._opened().execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise UserError(
                    f"{self.path}: the reply cache cannot be used: {error}; if the file is damaged, move it "
                    "away, and replies are asked for again"
                ) from error
            except OSError as error:
                raise UserError(f"{self.path}: the reply cache cannot be made: {error.strerror}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Statements commit by themselves; the lock above keeps threads apart.
        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._owner = connection, os.getpid()
        return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or see that the file is ours."""
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if mark != _APPLICATION and tables and not _is_ours(connection):
        raise sqlite3.DatabaseError("another program's database")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")  # a crash of the program loses nothing
    connection.execute(
        "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL, made REAL NOT NULL)"
    )
    if mark != _APPLICATION:
        connection.execute(f"PRAGMA application_id={_APPLICATION}")


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the only table is ours: a process may have been killed before it could mark the file."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return names == [("replies",)]


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; SQLite does not wait by itself where another process is doing the same."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _loaded(text: str) -> ChatReply:
    content = json.loads(text)
    known = {name: content[name] for name in _FIELDS if name in content}
    return replace(ChatReply(**known), cached=True)
