"""Who looked at what, and when: a log that only grows, each line sealed by the one before it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["AuditLog"]

_TABLE = """
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, seal TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
"""
_PATIENCE = 30.0  # seconds that one dashboard waits for another one's write


class AuditLog:
    """Appends to a SQLite file; several dashboards may share it.

    Args:
        path: The file, made if there is none.

    Raises:
        UserError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            path.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_TABLE)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{path}: the audit log cannot be opened ({error})") from None

    def record(self, user: str, action: str, target: str) -> None:
        """Append a line.

        Args:
            user: Who.
            action: What, e.g. ``view group`` or ``save verdict``.
            target: Of what; names, never the text of an answer.

        Raises:
            UserError: If it cannot be written: what is not logged is not shown.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                row = self._connection.execute("SELECT seal FROM audit ORDER BY id DESC LIMIT 1").fetchone()
                line = (time.time(), user, action, target)
                seal = _seal(row[0] if row else "", line)
                self._connection.execute(
                    "INSERT INTO audit (time, user, action, target, seal) VALUES (?, ?, ?, ?, ?)",
                    (*line, seal),
                )
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise UserError(f"{self.path}: the audit log cannot be written ({error})") from None

    def first_broken(self) -> int | None:
        """The id of the first line that does not fit the one before it; None if the log is whole."""
        before = ""
        with self._lock:
            lines = self._connection.execute(
                "SELECT id, time, user, action, target, seal FROM audit ORDER BY id"
            ).fetchall()
        for number, *line, seal in lines:
            if seal != _seal(before, tuple(line)):
                return int(number)
            before = seal
        return None


def _seal(before: str, line: tuple[float, str, str, str]) -> str:
    return hashlib.sha256(json.dumps([before, *line]).encode()).hexdigest()
