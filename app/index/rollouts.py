"""The runs below a folder: what is known about them, kept in memory and refreshed from new shards only.

Numbers of every answer are in DuckDB tables; texts stay in the shards until a group is opened. Each question
takes a cursor of its own, so handlers may run side by side.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app.index.groups import GroupFilter, GroupRow, list_groups
from app.index.scan import Scan
from app.index.tables import Tables
from app.index.texts import TextIndex
from app.index.whole import read_group
from medgrpo.errors import UserError

__all__ = ["RolloutIndex", "RunSummary", "SearchState"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run: its name, first and last round, and answers."""

    run: str
    first: int
    last: int
    answers: int


@dataclass(frozen=True, slots=True)
class SearchState:
    """How far search has come.

    Attributes:
        waiting: Groups in which words are not found yet.
        message: What stands in the way; empty if nothing does.
    """

    waiting: int
    message: str


class RolloutIndex:
    """The runs below a folder.

    Args:
        folder: Holds ``rollouts/`` itself or in folders at most two levels below.

    Raises:
        UserError: If there is no such folder.
        MissingExtraError: If duckdb is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise UserError(f"--runs {folder}: no such folder; name the one that training wrote its runs to")
        self.problems: dict[str, str] = {}
        self._tables = Tables()
        self._scan = Scan(self.folder)
        self._lock = threading.Lock()
        self._texts: TextIndex | None = None
        self._keeping: threading.Thread | None = None

    def refresh(self) -> bool:
        """Take in what changed on the disk.

        Returns:
            Whether anything did.
        """
        with self._lock:
            parts, problems = self._scan.look()
            changed, unreadable = self._tables.hold(parts)
            problems |= unreadable
            changed = changed or problems.keys() != self.problems.keys()
            self.problems = problems
            if self._texts is not None:
                self._texts.want(self._tables.loaded)
            return changed

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the tables ``answers``, ``parts``, ``groups``, ``gaps``; ``$run`` is the value ``run``."""
        return self._tables.rows(sql, **values)

    def runs(self) -> list[RunSummary]:
        """All runs, the one that wrote last first."""
        rows = self.rows(
            "SELECT run, min(step), max(step), count(*) FROM answers GROUP BY run "
            "ORDER BY max(written) DESC, run"
        )
        return [RunSummary(*row) for row in rows]

    def pairs(self, run: str) -> list[tuple[str, str, int, int, int, int]]:
        """Dataset, task, answers, unreadable, cut off and failed judgements of each pair."""
        rows = self.rows(
            "SELECT dataset, task, count(*), count(*) FILTER (parse_status = 'failed'), "
            "count(*) FILTER (truncated), count(*) FILTER (judge_status NOT IN ('ok', 'gated')) "
            "FROM answers WHERE run = $run GROUP BY ALL ORDER BY dataset, task",
            run=run,
        )
        return [(str(row[0]), str(row[1]), row[2], row[3], row[4], row[5]) for row in rows]

    def steps(self, run: str) -> list[int]:
        """The rounds of a run, newest first."""
        rows = self.rows("SELECT DISTINCT step FROM answers WHERE run = $run ORDER BY step DESC", run=run)
        return [row[0] for row in rows]

    def groups(
        self, chosen: GroupFilter, order: str = "newest", offset: int = 0, limit: int = 200
    ) -> tuple[list[GroupRow], int]:
        """A page of the groups that pass the filters, and how many there are in all.

        Args:
            chosen: The filters.
            order: One of :data:`app.index.groups.ORDERS`.
            offset: Groups before the page.
            limit: Groups on the page.

        Raises:
            UserError: If the text has too many words.
        """
        return list_groups(self.rows, chosen, order, offset, limit, self._matched(chosen.text))

    def keep_in(self, folder: Path) -> None:
        """Keep numbers for the next start there, and search in the texts that are indexed there.

        Args:
            folder: The dashboard's own, for files that may be deleted.
        """
        self._tables.keep_in(folder)
        self._texts = TextIndex(folder)
        self._texts.want(self._tables.loaded)

    def work_in_background(self) -> None:
        """Keep what was read, and index texts, those of later shards too, until :meth:`close`."""
        if self._texts is not None:
            self._keeping = threading.Thread(target=self._tables.keep, name="kept numbers", daemon=True)
            self._keeping.start()
            atexit.register(self._keeping.join)
            self._texts.start()

    def close(self) -> None:
        """End what is done in the background."""
        if self._keeping is not None:
            self._keeping.join()
        if self._texts is not None:
            self._texts.close()

    def search_state(self) -> SearchState:
        """How far search has come."""
        loaded = dict(self._tables.loaded)
        missing = loaded if self._texts is None else self._texts.waiting(loaded)
        waiting = 0
        if missing:
            ((waiting,),) = self.rows(
                "SELECT count(*) FROM "
                "(SELECT DISTINCT shard, group_id FROM answers WHERE shard IN (SELECT unnest($shards)))",
                shards=[loaded[part] for part in missing],
            )
        if self._texts is None:
            return SearchState(waiting, "Search is not set up.")
        return SearchState(waiting, self._texts.message)

    def _matched(self, text: str) -> pa.Table | None:
        """The (shard, row) of an answer of each group in which the words occur; None if all groups pass."""
        if not text.strip():
            return None
        loaded = dict(self._tables.loaded)
        found = [] if self._texts is None else self._texts.search(text, loaded)
        if found is None:
            return None
        shards = [np.full(len(rows), loaded[part], dtype=np.int32) for part, rows in found]
        numbers = [rows for _, rows in found]
        return pa.table(
            {
                "shard": np.concatenate([np.empty(0, dtype=np.int32), *shards]),
                "row": np.concatenate([np.empty(0, dtype=np.int64), *numbers]),
            }
        )

    def group(self, run: str, step: int, group_id: str) -> list[dict[str, Any]]:
        """The whole rows of a group in the order of its answers; empty if there is no such group.

        Raises:
            UserError: If its shard can no longer be read.
        """
        places = self.rows(
            "SELECT file, list(row ORDER BY row) FROM answers JOIN shards USING (shard) "
            "WHERE answers.run = $run AND step = $step AND group_id = $group GROUP BY file ORDER BY file",
            run=run,
            step=step,
            group=group_id,
        )
        rows = [row for file, numbers in places for row in read_group(Path(file), numbers)]
        return sorted(rows, key=lambda row: int(row["sample_index"]))
