"""The expert's annotation against the answers of a group, in time or in space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.show.charts import Lane, box_overlay, timeline
from app.show.html import Html, el, join
from app.show.media import evenly, pictures
from app.training.seen import canvas_for
from medgrpo.rollout.schema import rollout_from_row
from medgrpo.tasks import get_task

__all__ = ["marks"]


def marks(rows: Sequence[Mapping[str, Any]], base: Path) -> Html | None:
    """Lanes of time spans, or boxes over frames; None for tasks without either.

    Args:
        rows: The stored rows of a group.
        base: Folder that relative frame paths start from.
    """
    task = rows[0]["task"]
    if task not in ("tal", "dense_captioning", "stg"):
        return None
    rollouts = [rollout_from_row(row) for row in rows]
    truth = get_task(task).truth(rollouts[0].sample)
    answers = [rollout.reward.parsed for rollout in rollouts]
    if task == "stg":
        return el("section", el("h3", "Boxes"), _boxes(rows, truth or [], answers, base), class_="card")
    lanes = [Lane("Expert", _segments(truth), true=True)]
    lanes += [Lane(f"Answer {k + 1}", _segments(value)) for k, value in enumerate(answers)]
    duration = max((frame["time"] for frame in rows[0]["frames"]), default=0.0)
    return el(
        "section",
        el("h3", "When"),
        el("p", "The top lane is what the expert marked. Point at a bar to read it.", class_="muted"),
        timeline(lanes, duration),
        class_="card",
    )


def _segments(value: Any) -> list[tuple[float, float, str]]:
    """Segments of a ``tal`` or ``dense_captioning`` structure, those that are none left out."""
    found = []
    for item in value if isinstance(value, list) else []:
        parts = (
            (item.get("start"), item.get("end"), item.get("caption", ""))
            if isinstance(item, dict)
            else (*item, "")
        )
        start, end, text = parts[0], parts[1], parts[2]
        if all(isinstance(v, int | float) and math.isfinite(v) for v in (start, end)):
            found.append((float(start), float(end), str(text or "")))
    return found


def _boxes(
    rows: Sequence[Mapping[str, Any]], truth: Sequence[Any], answers: Sequence[Any], base: Path
) -> Html:
    """For each answer, frames at the requested times with the expert's box and the answer's."""
    shown = [truth[k] for k in evenly(len(truth), 6)]
    behind = pictures(rows[0], [entry["time"] for entry in shown], base)
    strips = []
    for k, answer in enumerate(answers):
        figures = []
        for entry, picture in zip(shown, behind, strict=True):
            near = min(answer or [], key=lambda e, t=entry["time"]: abs(e["time"] - t), default=None)
            boxes = [(entry["box"], True)]
            caption = f"{entry['time']:.1f} s"
            if near is not None and abs(near["time"] - entry["time"]) < 0.05:
                boxes.append((near["box"], False))
            else:
                caption += ", no box"
            figures.append(box_overlay(picture.uri, canvas_for(rows[0], picture), boxes, caption))
        strips.append(
            el("div", el("h4", f"Answer {k + 1}"), el("div", *figures, class_="strip"), class_="boxes")
        )
    legend = el(
        "p",
        el("span", class_="key expert"),
        "expert ",
        el("span", class_="key answer"),
        "answer",
        class_="legend",
    )
    return join([legend, *strips])
