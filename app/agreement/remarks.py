"""What reviewers said in words and by flags, with the way to the answers that they said it of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from app.agreement.answers import Reviewed
from app.review.words import REMARKS
from app.show.frame import page
from app.show.html import Html, el, table
from medgrpo.evaluation.verdicts import Verdict

__all__ = ["remarks_view"]

_MOST = 100


def remarks_view(pairs: Sequence[tuple[Verdict, Reviewed]]) -> Html:
    """The newest remarks and comments; nothing without any.

    Args:
        pairs: Verdicts in the order of saving, each with its answer.
    """
    said = [(verdict, answer) for verdict, answer in pairs if _remarks(verdict) or verdict.comment]
    if not said:
        return Html("")
    rows = [
        [
            verdict.reviewer,
            datetime.fromtimestamp(verdict.time, UTC).strftime("%d %b %Y, %H:%M"),
            el("span", "; ".join(_remarks(verdict)), class_="text"),
            el("span", verdict.comment, class_="text", dir="auto"),
            _link(answer),
        ]
        for verdict, answer in said[: -_MOST - 1 : -1]
    ]
    title = f"Remarks and comments ({len(said)})"
    rest = el("p", f"The newest {_MOST} of {len(said)}; a download holds all.", class_="muted small")
    head = ["Who", "When (UTC)", "Remarks", "Comment", "Answer"]
    more = rest if len(said) > _MOST else None
    return page(el("section", el("h3", title), more, table(head, rows), class_="card remarks"))


def _remarks(verdict: Verdict) -> list[str]:
    return [words for words, name in REMARKS if getattr(verdict, name)]


def _link(answer: Reviewed) -> Html:
    run, step, group_id, index = answer.key
    query = urlencode({"run": run, "step": step, "group": group_id})
    return el("a", f"round {step}, answer {index + 1}", href=f"/training/?{query}")
