"""Which answers are up for review and who sits where: kept in the workspace, so that all work on the same."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.review.sampler import Drawn, order_of
from medgrpo.evaluation.verdicts import AnswerKey
from medgrpo.services.append_only import AppendOnlyFile

__all__ = ["Item", "Plan", "Review", "Reviews", "run_id"]

_KIND = 0x4D475251
_TABLES = {
    "review": "id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, user TEXT NOT NULL, "
    "plan TEXT NOT NULL, items TEXT NOT NULL",
    "seat": "review INTEGER NOT NULL, number INTEGER NOT NULL, reviewer TEXT NOT NULL, time REAL NOT NULL, "
    "UNIQUE (review, number), UNIQUE (review, reviewer)",
    "reveal": "review INTEGER NOT NULL, token TEXT NOT NULL, reviewer TEXT NOT NULL, time REAL NOT NULL",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a review was drawn from and how, so that it can be drawn again.

    Attributes:
        run: Name in the index.
        first: Round.
        last: Round.
        tasks: Canonical tasks.
        size: Answers asked for.
        shared: Of these, for all reviewers.
        reviewers: Seats.
        seed: Of all that is random.
        rubric: Id and version.
    """

    run: str
    first: int
    last: int
    tasks: tuple[str, ...]
    size: int
    shared: int
    reviewers: int
    seed: int
    rubric: str


@dataclass(frozen=True, slots=True)
class Item:
    """One answer of a review.

    Attributes:
        token: Names it in the audit log and to people; random, so that it tells nothing.
        drawn: Where it is, and for whom.
    """

    token: str
    drawn: Drawn


@dataclass(frozen=True, slots=True)
class Review:
    """Answers to be reviewed.

    Attributes:
        number: From 1.
        made: Seconds since the epoch.
        plan: What it was drawn from.
        items: In the order drawn.
    """

    number: int
    made: float
    plan: Plan
    items: tuple[Item, ...]

    def key(self, item: Item) -> AnswerKey:
        """What verdicts about an item are kept under."""
        return (run_id(self.plan.run), *item.drawn.place)

    def items_of(self, seat: int | None) -> list[Item]:
        """A reviewer's items in the order of that seat."""
        token = {item.drawn.place: item for item in self.items}
        drawn = order_of([item.drawn for item in self.items], seat, self.plan.seed)
        return [token[one.place] for one in drawn]


def run_id(run: str) -> str:
    """The run's own id; in front of it, the index names the folder of a store that is not the only one."""
    return run.rpartition("/")[2]


class Reviews:
    """All reviews of a workspace; several dashboards may share the file.

    Args:
        path: SQLite file, made if there is none.

    Raises:
        UserError: If it cannot be opened or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendOnlyFile(path, _TABLES, _KIND, "the store of reviews")

    def add(self, user: str, plan: Plan, drawn: Sequence[Drawn]) -> Review:
        """Keep a review.

        Args:
            user: Who prepared it.
            plan: What it was drawn from.
            drawn: Its answers.

        Raises:
            UserError: If it cannot be written.
        """
        items = tuple(Item(secrets.token_hex(5), one) for one in drawn)
        described = {name: getattr(plan, name) for name in Plan.__slots__}
        kept = [[item.token, *item.drawn.place, item.drawn.seat] for item in items]
        now = time.time()
        with self._file.appending() as connection:
            added = connection.execute(
                "INSERT INTO review (time, user, plan, items) VALUES (?, ?, ?, ?)",
                (now, user, json.dumps(described), json.dumps(kept)),
            )
            return Review(int(added.lastrowid or 0), now, plan, items)

    def all(self) -> list[Review]:
        """Every review, the newest first.

        Raises:
            UserError: If the file can no longer be read.
        """
        rows = self._file.rows("SELECT id, time, plan, items FROM review ORDER BY id DESC")
        return [_review(*row) for row in rows]

    def sit(self, review: Review, reviewer: str) -> int | None:
        """The reviewer's seat, the next free one at first; None if all are taken.

        Raises:
            UserError: If it cannot be written.
        """
        with self._file.appending() as connection:
            taken = connection.execute(
                "SELECT reviewer, number FROM seat WHERE review = ? ORDER BY number", (review.number,)
            ).fetchall()
            if reviewer in dict(taken):
                return int(dict(taken)[reviewer])
            if len(taken) >= review.plan.reviewers:
                return None
            connection.execute(
                "INSERT INTO seat VALUES (?, ?, ?, ?)", (review.number, len(taken), reviewer, time.time())
            )
            return len(taken)

    def seats(self, review: Review) -> dict[str, int]:
        """Reviewer to seat, in the order of seats.

        Raises:
            UserError: If the file can no longer be read.
        """
        sql = "SELECT reviewer, number FROM seat WHERE review = ? ORDER BY number"
        return {str(reviewer): int(number) for reviewer, number in self._file.rows(sql, (review.number,))}

    def reveal(self, review: Review, item: Item, reviewer: str) -> None:
        """Keep that a reviewer was shown the judge's opinion: a later verdict about it is not blind.

        Raises:
            UserError: If it cannot be written; then it must not be shown.
        """
        with self._file.appending() as connection:
            connection.execute(
                "INSERT INTO reveal VALUES (?, ?, ?, ?)", (review.number, item.token, reviewer, time.time())
            )

    def revealed(self, review: Review, item: Item, reviewer: str) -> bool:
        """Whether the reviewer knows the judge's opinion of the item.

        Raises:
            UserError: If the file can no longer be read.
        """
        sql = "SELECT 1 FROM reveal WHERE review = ? AND token = ? AND reviewer = ? LIMIT 1"
        return bool(self._file.rows(sql, (review.number, item.token, reviewer)))


def _review(number: int, made: float, plan: str, items: str) -> Review:
    described = json.loads(plan)
    kept = tuple(
        Item(token, Drawn((step, group_id, index), seat))
        for token, step, group_id, index, seat in json.loads(items)
    )
    return Review(number, made, Plan(**{**described, "tasks": tuple(described["tasks"])}), kept)
