"""What a reviewer does at the desk: sit down, read an item, save a verdict, take it back, ask for the judge.

Independent of Gradio. Every step is in the audit log before its result is shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.context import Context
from app.review.clip import clip_of_item
from app.review.reviews import Item, Review, Reviews
from app.review.view import finished_view, item_view, lost_view, progress_view, reveal_view
from app.review.words import REMARKS, anchors_help
from app.show.html import Html
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, answer_hash
from medgrpo.rewards.judges import load_rubric

__all__ = ["RUBRIC", "Desk", "Draft", "Place", "clean_name"]

RUBRIC = "medgrpo-five@1"
"""What reviewers score."""

_LONGEST_NAME, _LONGEST_COMMENT = 60, 2000


@dataclass(frozen=True, slots=True)
class Draft:
    """What is filled in and not yet saved.

    Attributes:
        scores: Dimension to 1 to 5.
        accepted: None if that is open.
        remarks: Of ``unsafe``, ``wrong_reference``, ``unjudgeable``.
        comment: Free text.
    """

    scores: Mapping[str, int]
    accepted: bool | None = None
    remarks: tuple[str, ...] = ()
    comment: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is said; a comment alone is no verdict."""
        return not self.scores and self.accepted is None and not self.remarks


@dataclass(frozen=True, slots=True)
class Place:
    """Where one browser tab is; kept on the server.

    Attributes:
        reviewer: Name.
        review: Number of the review.
        token: Item that is shown, empty if none is.
        content: Hash of the texts that were shown.
        skipped: Tokens of items left for later.
        last: Token of the item that was saved last in this tab.
    """

    reviewer: str
    review: int
    token: str = ""
    content: str = ""
    skipped: tuple[str, ...] = ()
    last: str = ""


class Desk:
    """All reviewers' desks.

    Args:
        context: What pages share.

    Raises:
        UserError: If the files of the workspace cannot be opened.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.verdicts = VerdictStore(context.workspace.verdicts)
        self.reviews = Reviews(context.workspace.reviews)
        self.rubric = load_rubric(RUBRIC)

    def find(self, number: int) -> Review | None:
        """A review by its number, None if there is no such one."""
        return next((review for review in self.reviews.all() if review.number == number), None)

    def show(self, place: Place) -> tuple[Place, Html]:
        """The item of a place: the one named in it, or the next that is not judged."""
        review = self._review(place)
        own = review.items_of(self.reviews.sit(review, place.reviewer))
        judged = self._judged(review, place.reviewer)
        waiting = [item for item in own if item.token not in judged]
        item = next((item for item in own if item.token == place.token), None)
        item = item or next((item for item in waiting if item.token not in place.skipped), None)
        if item is None:
            return replace(place, token="", content=""), finished_view(len(own), len(waiting))
        place = replace(place, token=item.token, content="")
        row = self._row(review, item)
        if row is None:
            return place, lost_view(item.token)
        self.context.audit.record(place.reviewer, "view item", _target(review, item))
        texts = (row["question"], row["reference_text"], row["completion_text"])
        clip = clip_of_item(row, self.context.base, self.context.workspace.media)
        shown = item_view(row["task"], row["dataset"], *texts, clip, anchors_help(self.rubric))
        return replace(place, content=answer_hash(*texts)), shown

    def save(self, place: Place, draft: Draft) -> Place:
        """Save a verdict about the item that is shown, and go on.

        Raises:
            UserError: If there is nothing to save, or it cannot be written; the draft stays as it is.
        """
        review = self._review(place)
        item = _item(review, place.token)
        if item is None or not place.content:
            raise UserError("There is no answer to save a verdict about. Press Skip to see the next one.")
        if draft.empty:
            raise UserError(
                "Say something first: give a mark, accept or reject, or tick a remark. To leave the answer "
                "for later, press Skip."
            )
        verdict = Verdict(
            review.key(item),
            place.reviewer,
            {name: float(score) for name, score in draft.scores.items()},
            accepted=draft.accepted,
            unsafe="unsafe" in draft.remarks,
            wrong_reference="wrong_reference" in draft.remarks,
            unjudgeable="unjudgeable" in draft.remarks,
            blind=not self.reviews.revealed(review, item, place.reviewer),
            comment=draft.comment[:_LONGEST_COMMENT],
            rubric=self.rubric.name,
            content=place.content,
        )
        self.context.audit.record(place.reviewer, "save verdict", _target(review, item))
        self.verdicts.add(verdict)
        return replace(place, token="", content="", last=item.token)

    def undo(self, place: Place) -> tuple[Place, Draft]:
        """Take the reviewer's last verdict of this review back, and show its item with what was said.

        Raises:
            UserError: If there is none, or that cannot be written.
        """
        review = self._review(place)
        items = {review.key(item): item for item in review.items}
        given = [verdict for verdict in self.verdicts.present(place.reviewer) if verdict.key in items]
        if not given:
            raise UserError("There is nothing to take back: you have not saved a verdict in this review.")
        last = given[-1]
        item = items[last.key]
        self.context.audit.record(place.reviewer, "undo verdict", _target(review, item))
        self.verdicts.withdraw(last)
        remarks = tuple(name for _, name in REMARKS if getattr(last, name))
        scores = {name: int(score) for name, score in last.scores.items()}
        return (
            replace(place, token=item.token, content="", last=""),
            Draft(scores, last.accepted, remarks, last.comment),
        )

    def skip(self, place: Place) -> Place:
        """Leave the item for later."""
        return replace(place, token="", content="", skipped=(*place.skipped, place.token))

    def reveal(self, place: Place) -> Html:
        """What the judge said about the item that was saved last.

        Raises:
            UserError: If nothing was saved yet, or the answer cannot be read any more.
        """
        review = self._review(place)
        item = _item(review, place.last)
        given = {v.key: v for v in self.verdicts.present(place.reviewer)}
        if item is None or review.key(item) not in given:
            raise UserError(
                "Save a verdict first: the judge's opinion is shown for answers that you have judged."
            )
        row = self._row(review, item)
        if row is None:
            raise UserError(
                "This answer cannot be read any more: the folder of its training was moved or deleted."
            )
        self.reviews.reveal(review, item, place.reviewer)
        self.context.audit.record(place.reviewer, "reveal judge", _target(review, item))
        return reveal_view(row, given[review.key(item)], self.rubric)

    def progress(self, place: Place) -> Html:
        """Of everybody who sits at the review."""
        review = self._review(place)
        seats: dict[str, int | None] = {**self.reviews.seats(review)}
        free = review.plan.reviewers - len(seats)
        seats.setdefault(place.reviewer, None)
        done = {}
        for name, seat in seats.items():
            own = {item.token for item in review.items_of(seat)}
            done[name] = (len(own & self._judged(review, name)), len(own))
        return progress_view(done, place.reviewer, free)

    def _review(self, place: Place) -> Review:
        review = self.find(place.review)
        if review is None:
            raise UserError("This review is not there any more. Reload the page.")
        return review

    def _judged(self, review: Review, reviewer: str) -> set[str]:
        """Tokens of the items that the reviewer has judged."""
        given = {verdict.key for verdict in self.verdicts.present(reviewer)}
        return {item.token for item in review.items if review.key(item) in given}

    def _row(self, review: Review, item: Item) -> Mapping[str, Any] | None:
        """The stored answer; None if it cannot be read, for whatever reason would name the run."""
        step, group_id, index = item.drawn.place
        try:
            rows = self.context.index.group(review.plan.run, step, group_id)
        except UserError:
            return None
        return next((row for row in rows if row["sample_index"] == index), None)


def clean_name(name: str) -> str:
    """A reviewer's name in one form: one line, composed characters, without what cannot be seen.

    Raises:
        UserError: If nothing is left of it, or it is too long.
    """
    kept = "".join(
        c if unicodedata.category(c)[0] != "C" else " " for c in unicodedata.normalize("NFC", name)
    )
    found = re.sub(r"\s+", " ", kept).strip()
    if not found:
        raise UserError("Write your name first, so that your verdicts can be told from others'.")
    if len(found) > _LONGEST_NAME:
        raise UserError(f"A name has at most {_LONGEST_NAME} characters.")
    return found


def _item(review: Review, token: str) -> Item | None:
    return next((item for item in review.items if item.token == token), None)


def _target(review: Review, item: Item) -> str:
    return f"review {review.number}, item {item.token}"
