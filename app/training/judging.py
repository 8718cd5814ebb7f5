"""What judges said about an answer: marks as a star and as text, their origin, and second opinions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.show.html import Html, el, note, number, table
from app.show.radar import radar
from app.show.terms import term
from app.show.words import plain

__all__ = ["STRONG", "disagreement", "disagreement_flag", "judge_view", "opinions_table", "second_opinions"]

STRONG = 0.4
"""Difference of the scaled judge and similarity from which on they are said to disagree."""

_BEST = 5.0

Row = Mapping[str, Any]


def disagreement(row: Row) -> float | None:
    """Judge minus similarity on the common scale from 0 to 1; None where one is missing or not scaled so."""
    values: dict[str, float] = {}
    for part in row["components"]:
        kind = next((kind for kind in ("judge", "similarity") if part["name"].startswith(kind)), None)
        if kind and part["status"] == "ok" and part["p50"] is not None and 0.0 <= part["normalised"] <= 1.0:
            values[kind] = part["normalised"]
    return values["judge"] - values["similarity"] if len(values) == 2 else None


def disagreement_flag(row: Row) -> Html | None:
    """A line where judge and similarity see an answer very differently."""
    gap = disagreement(row)
    if gap is None or abs(gap) < STRONG:
        return None
    likes, other = ("judge", "similarity") if gap > 0 else ("similarity", "judge")
    return el(
        "p",
        "⚠ ",
        term("They disagree", "disagreement"),
        f": the {likes} likes it, the {other} does not",
        class_="flag",
    )


def judge_view(judge: Row | None) -> Html | None:
    """Marks and reasons, with what gave them.

    Args:
        judge: The ``judge`` column of a row; None shows nothing.
    """
    if judge is None:
        return None
    if not judge["dimensions"]:
        said = note(f"The judge gave no marks ({plain(judge['status']).lower()}).", "warning")
        return el("div", said, _source(judge), class_="judge")
    marks = [(plain(mark["dimension"]), mark["score"]) for mark in judge["dimensions"]]
    return el(
        "div",
        el("h5", term("What the judge said", "judge")),
        radar(marks, _BEST, "Marks of the judge"),
        el("ul", *map(_mark, judge["dimensions"])),
        _source(judge),
        class_="judge",
    )


def _mark(mark: Row) -> Html:
    score = mark["score"]
    filled = 0 if score is None or math.isnan(score) else max(0, min(5, round(score)))
    off = el("span", "■" * (5 - filled), class_="off")
    line = el(
        "div",
        el("span", plain(mark["dimension"])),
        el("span", "■" * filled, off, class_="pips", aria_hidden="true"),
        el("strong", number(score, 0)),
        class_="mark",
    )
    return el("li", line, el("div", mark["rationale"] or "no reason given", class_="rationale", dir="auto"))


def _source(judge: Row) -> Html:
    parts = [f"{judge['model']}, rubric {judge['rubric']}"]
    if judge["prompt_hash"]:
        parts.append(f"prompt {judge['prompt_hash']}")
    parts.append("from the cache" if judge["cached"] else f"took {judge['latency_s']:.2f} s")
    tokens = judge["prompt_tokens"] + judge["completion_tokens"]
    if tokens:
        parts.append(f"{tokens:,} word pieces")
    parts.append(f"cost {judge['cost']:.4f}" if judge["cost"] else "no cost")
    return el("p", "; ".join(parts), class_="muted small")


def second_opinions(store: Path, run: str, row: Row) -> tuple[list[dict[str, Any]], list[str]]:
    """What other judges said later about the answers of a group.

    Args:
        store: Folder that holds ``rejudgements/``.
        run: Run id.
        row: One answer of the group.

    Returns:
        Rows of the re-judgements in the order of judge and answer, and files that cannot be read.
    """
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    pattern = f"rejudgements/run={run}/judge=*/step={row['step']:06d}.parquet"
    for path in sorted(store.glob(pattern)):
        try:
            columns = pq.read_table(path, filters=[("group_id", "=", row["group_id"])], partitioning=None)
        except (OSError, pa.ArrowException) as error:
            problems.append(
                f"{path.name} of {path.parent.name} cannot be read ({str(error).splitlines()[0]})"
            )
            continue
        same = [one for one in columns.to_pylist() if one["attempt"] == row["attempt"]]
        found += sorted(same, key=lambda one: one["sample_index"])
    return found, problems


def opinions_table(row: Row, opinions: Sequence[Row]) -> Html | None:
    """The stored judgement of an answer beside later ones; None if there are none."""
    later = [one for one in opinions if one["sample_index"] == row["sample_index"]]
    if not later:
        return None
    judges = [("During training", row["judge"]), *((one["judge_id"], one["judge"]) for one in later)]
    names = list(
        dict.fromkeys(mark["dimension"] for _, judge in judges if judge for mark in judge["dimensions"])
    )
    lines: list[list[object]] = []
    for name, judge in judges:
        marks = {mark["dimension"]: mark for mark in judge["dimensions"]} if judge else {}
        cells = [_cell(marks.get(dimension)) for dimension in names]
        known = [m["score"] for m in marks.values() if m["score"] is not None and not math.isnan(m["score"])]
        mean = number(math.fsum(known) / len(known), 2) if known else "–"
        lines.append(
            [el("td", name, el("div", judge["rubric"] if judge else "none", class_="muted")), mean, *cells]
        )
    head = ["Judge", "Average", *map(plain, names)]
    return el(
        "details",
        el("summary", f"Marked again by {len(later)} other judge{'s' if len(later) > 1 else ''}"),
        el("p", term("Re-judged", "rejudged"), " answers stay as they were for training.", class_="muted"),
        table(head, lines, class_="opinions"),
        data_keep="opinions",
    )


def _cell(mark: Row | None) -> Html:
    if mark is None:
        return el("td", "–")
    return el(
        "td", number(mark["score"], 0), el("div", mark["rationale"] or "", class_="rationale", dir="auto")
    )
