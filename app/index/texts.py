"""Search in texts: an SQLite FTS5 index in the dashboard's own folder, built while the pages are in use.

The index may be deleted at any time and is built anew. Each shard is taken in by one transaction, so that
whatever stops the process, the next one goes on from there. Of several dashboards on one folder the one that
holds the lock builds, and all read. The documents themselves are not kept (they are in the shards): what is
found are numbers, from which the shard and the row follow. Documents of files that are gone stay until they
are the larger part; they lead nowhere meanwhile.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sqlite3
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.index.documents import DocumentReader, match_expression
from app.index.scan import Part
from medgrpo.errors import UserError

__all__ = ["TextIndex"]

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT, first INTEGER, modified INTEGER, size INTEGER,
    UNIQUE (file, first, modified, size)
);
CREATE VIRTUAL TABLE IF NOT EXISTS documents USING fts5 (
    text, content = '', tokenize = 'unicode61 remove_diacritics 2'
);
"""
_ROW_BITS = 32  # a document's number is that of its source, and below it that of its first row
_PAUSE = 2.0
_BATCH = 8
Key = tuple[str, int, int, int]


def _key(part: Part) -> Key:
    return part.file, part.first, *part.version


class TextIndex:
    """Finds the groups in which words occur.

    Args:
        folder: The dashboard's own, for files to be found faster.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "texts.sqlite"
        self.message = ""
        self._lock_file = folder / "texts.lock"
        self._wanted: frozenset[Part] = frozenset()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Build in the background whenever :meth:`want` says that there is more."""
        self._thread = threading.Thread(target=self._run, name="text index", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def close(self) -> None:
        """End the thread at the next shard."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def want(self, parts: Collection[Part]) -> None:
        """Say which shards are to be found."""
        self._wanted = frozenset(parts)
        self._wake.set()

    def sources(self) -> dict[Key, int]:
        """The shards that can be searched, with their numbers; empty while there is no index."""
        try:
            with closing(self._open("rw")) as database:
                return _sources(database)
        except sqlite3.Error:
            return {}

    def waiting(self, parts: Collection[Part]) -> list[Part]:
        """Those of some shards that cannot be searched yet."""
        known = self.sources()
        return [part for part in parts if _key(part) not in known]

    def search(self, text: str, parts: Collection[Part]) -> list[tuple[Part, NDArray[np.int64]]] | None:
        """The groups in which the words occur, as the numbers of their first rows, by shard.

        Args:
            text: As typed, see :func:`app.index.documents.match_expression`.
            parts: The shards to look in.

        Returns:
            None if there is no word to look for.

        Raises:
            UserError: If there are too many words.
        """
        expression = match_expression(text)
        if not expression:
            return None
        try:
            with closing(self._open("rw")) as database:
                database.execute("BEGIN")  # so that the numbers and the documents are of one moment
                numbers = _sources(database)
                found = database.execute("SELECT rowid FROM documents WHERE documents MATCH ?", (expression,))
                ids = np.fromiter((row[0] for row in found), dtype=np.int64)
        except sqlite3.Error:
            return []
        by_source = {numbers[_key(part)]: part for part in parts if _key(part) in numbers}
        ids.sort()
        of_source, first = np.unique(ids >> _ROW_BITS, return_index=True)
        rows = np.split(ids & ((1 << _ROW_BITS) - 1), first[1:])
        return [
            (by_source[int(source)], found_rows)
            for source, found_rows in zip(of_source, rows, strict=False)
            if int(source) in by_source
        ]

    def build(self) -> bool:
        """Take in all shards that are wanted.

        Returns:
            Whether nothing is left to do that could be done now: False while another process builds.
        """
        with self._alone() as alone:
            if not alone:
                return False
            try:
                self._take_in()
            except sqlite3.OperationalError as error:
                self.message = (
                    f"Search is not complete: {self.file} cannot be written ({error}). All else works; "
                    "search goes on when there is space again."
                )
            except sqlite3.DatabaseError:  # damaged: it holds nothing that is not in the shards
                for name in ("", "-wal", "-shm"):
                    self.file.with_name(self.file.name + name).unlink(missing_ok=True)
                return False
            except OSError as error:
                self.message = f"Search is not complete: {self.file}: {error.strerror}."
        return True

    def _run(self) -> None:
        if sys.platform == "linux":  # where this is about this thread alone: the pages come first
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._stop.is_set() and self.waiting(self._wanted):
                if self.build():
                    break
                self._stop.wait(_PAUSE)

    def _take_in(self) -> None:
        with closing(self._open("rwc")) as database:
            database.executescript(_SCHEMA)
            _drop_if_mostly_gone(database)
            known = _sources(database)
            reader = DocumentReader()
            failed: list[str] = []
            missing = sorted(
                (part for part in self._wanted if _key(part) not in known),
                key=lambda part: (part.step, part.run, part.file, part.first),
                reverse=True,  # what is new is looked for first
            )
            for start in range(0, len(missing), _BATCH):
                with database:
                    for part in missing[start : start + _BATCH]:
                        if self._stop.is_set():
                            return
                        try:
                            documents = reader.read(part)
                        except UserError as error:
                            failed.append(str(error))
                        else:
                            _add(database, part, documents)
            self.message = (
                f"Search is not complete: {failed[0]}; {len(failed)} files in all." if failed else ""
            )

    def _open(self, mode: str) -> sqlite3.Connection:
        address = f"{self.file.as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=5, isolation_level="IMMEDIATE")

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process builds; the lock goes with the process, however that ends."""
        try:
            lock = self._lock_file.open("a")
        except OSError as error:
            self.message = f"Search is not complete: {self._lock_file}: {error.strerror}."
            yield False
            return
        with lock:
            held = False
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
            yield held


def _sources(database: sqlite3.Connection) -> dict[Key, int]:
    rows = database.execute("SELECT file, first, modified, size, id FROM sources")
    return {(file, first, modified, size): number for file, first, modified, size, number in rows}


def _add(database: sqlite3.Connection, part: Part, documents: list[tuple[int, str]]) -> None:
    added = database.execute(
        "INSERT INTO sources (file, first, modified, size) VALUES (?, ?, ?, ?)", _key(part)
    )
    number = int(added.lastrowid or 0) << _ROW_BITS
    database.executemany(
        "INSERT INTO documents (rowid, text) VALUES (?, ?)", [(number | row, text) for row, text in documents]
    )


def _drop_if_mostly_gone(database: sqlite3.Connection) -> None:
    """Begin anew when most of the files that were taken in have been replaced."""
    known = list(_sources(database))
    if sum(not _is_there(key) for key in known) > len(known) / 2:
        with database:
            database.execute("INSERT INTO documents (documents) VALUES ('delete-all')")
            database.execute("DELETE FROM sources")


def _is_there(key: Key) -> bool:
    try:
        stat = Path(key[0]).stat()
    except OSError:
        return False
    return (stat.st_mtime_ns, stat.st_size) == key[2:]
