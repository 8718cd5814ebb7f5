"""The expert's boxes against those of the answers of a group; spans of time stand below the clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.show.charts import box_overlay
from app.show.html import Html, el, join
from app.show.media import evenly, pictures
from app.training.seen import canvas_for
from medgrpo.rollout.schema import rollout_from_row
from medgrpo.tasks import get_task

__all__ = ["box_strips"]


def box_strips(rows: Sequence[Mapping[str, Any]], base: Path) -> Html | None:
    """Pictures with boxes, a strip for each answer; None for tasks without boxes.

    Args:
        rows: The stored rows of a group.
        base: Folder that relative frame paths start from.
    """
    if rows[0]["task"] != "stg":
        return None
    rollouts = [rollout_from_row(row) for row in rows]
    truth = get_task("stg").truth(rollouts[0].sample)
    answers = [rollout.reward.parsed for rollout in rollouts]
    return el(
        "details",
        el("summary", "Boxes of each answer on single pictures"),
        _boxes(rows, truth or [], answers, base),
        class_="card",
        data_keep="boxes",
    )


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
