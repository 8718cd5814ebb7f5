"""A SQLite file that only grows: what was written is never changed, and survives a crash at any moment.

Writers take turns, in one program or in several on one machine; readers never wait. The write-ahead log needs
shared memory, so the file must lie on a disk of this machine, not on a network share.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["AppendOnlyFile", "read_rows"]

_PATIENCE = 30.0  # seconds that one program waits for another one's write
_GUARD = """
CREATE TABLE IF NOT EXISTS {table} ({columns});
CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: rows are only added'); END;
CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: rows are only added'); END;
"""


class AppendOnlyFile:
    """A connection to such a file; threads may share it.

    Args:
        path: The file, made if there is none, readable by its owner alone.
        tables: Table name to its column definitions; names and columns come from code.
        kind: Number that marks files of this kind, so that no other database is written to.
        what: The file in words, for messages.

    Raises:
        UserError: If it cannot be opened, or is a file of another kind.
    """

    def __init__(self, path: Path, tables: Mapping[str, str], kind: int, what: str) -> None:
        self.path = path
        self.what = what
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            (found,) = self._connection.execute("PRAGMA application_id").fetchone()
            (empty,) = self._connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()
            if found != kind and not (empty and found == 0):
                raise UserError(f"{path}: a database, but not {what}; move it away or name another file")
            (mode,) = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise UserError(f"{path}: {what} needs a disk of this machine, not a network share")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(f"PRAGMA application_id={kind}")
            for table, columns in tables.items():
                self._connection.executescript(_GUARD.format(table=table, columns=columns))
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{path}: {what} cannot be opened ({error})") from None

    @contextmanager
    def appending(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer comes between; on the disk when the block has ended.

        Raises:
            UserError: If it cannot be written, for example because the disk is full. Then nothing was.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise UserError(
                    f"{self.path}: {self.what} cannot be written ({error}); nothing was saved. "
                    "Free space on the disk or mend the file, then try again"
                ) from None
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the file.

        Raises:
            UserError: If it can no longer be read.
        """
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise UserError(f"{self.path}: {self.what} cannot be read ({error})") from None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


def read_rows(path: Path, kind: int, what: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask a file that others may be writing to, without changing it.

    Args:
        path: The file.
        kind: As of :class:`AppendOnlyFile`.
        what: As of :class:`AppendOnlyFile`.
        sql: The question.

    Raises:
        UserError: If there is no such file, or it is of another kind or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)
        ) as file:
            if file.execute("PRAGMA application_id").fetchone() != (kind,):
                raise UserError(f"{path}: a database, but not {what}")
            return file.execute(sql).fetchall()
    except sqlite3.Error as error:
        raise UserError(f"{path}: {what} cannot be read ({error})") from None
