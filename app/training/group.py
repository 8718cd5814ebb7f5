"""One group on a page: the question, the clip, the answers side by side, and how each reward came about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.index import GroupRow
from app.show.charts import box_overlay
from app.show.html import Html, el, join, note, number, signed, table, word_difference
from app.show.media import Picture, evenly, pictures, seen_times
from app.show.player import clip_view
from app.show.words import DIMENSION_HELP, component_words, plain, skip_words, status_words, task_words
from medgrpo.data.coordinates import CANVASES, canvas_of
from medgrpo.rollout.schema import rollout_from_row
from medgrpo.tasks import get_task
from medgrpo.types import Canvas

__all__ = ["GROUP_COLUMNS", "group_cells", "group_page"]

GROUP_COLUMNS = [
    "Group",
    "Round",
    "Dataset",
    "Task",
    "Clip",
    "Answers",
    "Average",
    "Best",
    "Worst",
    "Judge",
    "Remark",
]
"""Headings of the list of groups; the first two identify a group."""

_STRIP = 12


def group_cells(group: GroupRow) -> list[str]:
    """A group as a row of the list."""
    remarks = [skip_words(group.skip_reason)] if group.skip_reason else []
    if group.unreadable:
        remarks.append(f"{group.unreadable} not readable")
    return [
        group.group_id,
        str(group.step),
        group.dataset,
        task_words(group.task),
        group.video_id,
        str(group.answers),
        number(group.mean),
        number(group.best),
        number(group.worst),
        number(group.judge_mean, 1),
        "; ".join(remarks),
    ]


def group_page(rows: Sequence[Mapping[str, Any]], base: Path, media: Path) -> Html:
    """Everything about one group.

    Args:
        rows: The stored rows of its answers in their order, at least one.
        base: Folder that relative frame paths start from.
        media: Folder of review clips.
    """
    first = rows[0]
    skipped = first["skip_reason"]
    title = el(
        "header",
        el("h2", task_words(first["task"])),
        el(
            "p",
            f"{first['dataset']} · clip {first['video_id']} · round {first['step']} of training",
            class_="muted",
        ),
        note(plain(skip_words(skipped)) + ".", "warning") if skipped else None,
    )
    return el(
        "article",
        title,
        _question(first, clip_view(rows, base, media, _strip(first, base))),
        _marks(rows, base),
        _answers(rows),
        _decomposition(rows),
        _provenance(first),
        class_="group",
    )


def _question(row: Mapping[str, Any], clip: Html) -> Html:
    reference = row["reference_text"]
    return el(
        "div",
        el(
            "section",
            el("h3", "Question"),
            el("p", row["question"], class_="text", dir="auto"),
            class_="card",
        ),
        el(
            "section",
            el("h3", "Reference answer"),
            el("p", "not known" if reference is None else reference, class_="text", dir="auto"),
            class_="card",
        ),
        el("section", el("h3", "What the model saw"), clip, class_="card wide"),
        class_="two",
    )


def _strip(row: Mapping[str, Any], base: Path) -> Html:
    times, region = seen_times(row), row["region"]
    chosen = {times[k] for k in evenly(len(times), _STRIP)}
    if region is not None:  # the frame that the question points at is always shown
        chosen |= {frame["time"] for frame in row["frames"] if frame["path"] == region["frame"]}
    found = list({picture.time: picture for picture in pictures(row, sorted(chosen), base)}.values())
    figures = []
    for picture in found:
        when = f"{picture.time:.1f} s"
        if picture.uri is None:
            figures.append(el("figure", el("div", "no picture", class_="missing"), el("figcaption", when)))
        elif region is not None and region["frame"] == picture.path:
            marked = [(region["box"], True)]
            figures.append(box_overlay(picture.uri, _canvas(row, picture), marked, f"{when}, asked about"))
        else:
            image = el("img", src=picture.uri, alt=f"frame at {when}", loading="lazy")
            figures.append(el("figure", image, el("figcaption", when)))
    shown = len(found)
    words = f"{shown} frames" if shown >= len(times) else f"{shown} of {len(times)} frames"
    missing = sum(picture.uri is None for picture in found)
    lost = (
        note(f"{missing} of these pictures cannot be read on this machine.", "warning") if missing else None
    )
    return join([el("div", *figures, class_="strip"), el("p", words, class_="muted"), lost])


def _canvas(row: Mapping[str, Any], picture: Picture) -> tuple[float, float]:
    told = None if row["canvas"] is None else Canvas(row["canvas"]["width"], row["canvas"]["height"])
    if picture.uri is None:  # boxes without a picture, on the most common canvas of the benchmark
        told = told or CANVASES["CholecTrack20"]
    canvas = canvas_of(told, picture.height, picture.width)
    return float(canvas.width), float(canvas.height)


def _marks(rows: Sequence[Mapping[str, Any]], base: Path) -> Html | None:
    """The expert's boxes against the answers; those in time stand below the clip."""
    if rows[0]["task"] != "stg":
        return None
    rollouts = [rollout_from_row(row) for row in rows]
    truth = get_task("stg").truth(rollouts[0].sample)
    answers = [rollout.reward.parsed for rollout in rollouts]
    return el("section", el("h3", "Boxes"), _boxes(rows, truth or [], answers, base), class_="card")


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
            figures.append(box_overlay(picture.uri, _canvas(rows[0], picture), boxes, caption))
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


def _answers(rows: Sequence[Mapping[str, Any]]) -> Html:
    legend = el(
        "p",
        "Words that the reference does not have are ",
        el("ins", "underlined"),
        ", words of the reference that are missing are ",
        el("del", "struck out"),
        ". Marks of the judge: ",
        DIMENSION_HELP,
        ".",
        class_="muted",
    )
    cards = [_answer(row, k) for k, row in enumerate(rows)]
    return el("section", el("h3", f"The {len(rows)} answers"), legend, el("div", *cards, class_="answers"))


def _answer(row: Mapping[str, Any], index: int) -> Html:
    text, reference = row["completion_text"], row["reference_text"]
    body = word_difference(text, reference) if reference is not None else text
    remarks = [status_words(row["parse_status"])]
    if row["truncated"]:
        remarks.append("cut off at the length limit")
    return el(
        "div",
        el("h4", f"Answer {index + 1}", el("span", f"reward {number(row['reward'])}", class_="badge")),
        _effect(row),
        el("p", body if text.strip() else "(empty)", class_="text", dir="auto"),
        el("p", f"{len(row['completion_ids'])} word pieces, {'; '.join(remarks)}", class_="muted"),
        _judge(row["judge"]),
        class_="card answer",
    )


def _effect(row: Mapping[str, Any]) -> Html:
    advantage = row["advantage"]
    if not row["kept"]:
        return el("p", "○ not used for learning", class_="effect flat")
    if advantage > 0:
        return el("p", f"▲ {signed(advantage)} better than its group: made more likely", class_="effect up")
    if advantage < 0:
        return el("p", f"▼ {signed(advantage)} worse than its group: made less likely", class_="effect down")
    return el("p", "● as its group: left as it is", class_="effect flat")


def _judge(judge: Mapping[str, Any] | None) -> Html | None:
    if judge is None:
        return None
    if not judge["dimensions"]:
        return note(f"The judge gave no marks ({plain(judge['status']).lower()}).", "warning")
    items = []
    for mark in judge["dimensions"]:
        score = mark["score"]
        filled = 0 if score is None or math.isnan(score) else max(0, min(5, round(score)))
        pips = el(
            "span",
            "■" * filled,
            el("span", "■" * (5 - filled), class_="off"),
            class_="pips",
            aria_hidden="true",
        )
        items.append(
            el(
                "li",
                el(
                    "div",
                    el("span", plain(mark["dimension"])),
                    pips,
                    el("strong", number(score, 0)),
                    class_="mark",
                ),
                el("div", mark["rationale"] or "no reason given", class_="rationale", dir="auto"),
            )
        )
    return el("div", el("h5", "What the judge said"), el("ul", *items), class_="judge")


def _decomposition(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Raw, percentiles, normalised, weight, mixed, advantage: a line for each answer and component."""
    head = [
        "Answer", "Part of the reward", "Measured", "Low quarter", "Typical", "Top quarter",
        "Scaled", "Weight", "Reward", "Group average", "Group spread", "Advantage",
    ]  # fmt: skip
    lines: list[list[object]] = []
    for k, row in enumerate(rows):
        parts = row["components"]
        span = max(1, len(parts))
        for position in range(span):
            line: list[object] = [el("td", str(k + 1), rowspan=span)] if position == 0 else []
            line += _part_cells(parts[position]) if parts else ["none", *[""] * 6]
            if position == 0:
                numbers = (
                    number(row["reward"], 3),
                    number(row["group_mean"], 3),
                    number(row["group_std"], 3),
                )
                line += [el("td", text, rowspan=span) for text in (*numbers, signed(row["advantage"], 3))]
            lines.append(line)
    steps = el(
        "ol",
        el("li", "Each part is measured in its own unit."),
        el("li", "It is scaled by how answers scored before this training: a typical one becomes 0.5."),
        el("li", "The scaled parts are weighted and added: that is the reward."),
        el("li", "The advantage says how far the reward lies above or below the average of its group."),
        class_="muted",
    )
    return el(
        "section",
        el("h3", "How the rewards came about"),
        steps,
        table(head, lines, class_="numbers"),
        class_="card",
    )


def _part_cells(part: Mapping[str, Any]) -> list[object]:
    scaled = number(part["normalised"], 3)
    factors = " × ".join(f"{plain(name).lower()} {number(value)}" for name, value in part["factors"])
    return [
        el("td", component_words(part["name"], part["metric"]), el("div", part["metric"], class_="muted")),
        number(part["raw"], 3) if part["status"] == "ok" else f"failed: {plain(part['status']).lower()}",
        number(part["p25"], 3),
        number(part["p50"], 3),
        number(part["p75"], 3),
        el("td", scaled, el("div", f"= {factors}", class_="muted") if factors else None),
        number(part["weight"]),
    ]


def _provenance(row: Mapping[str, Any]) -> Html:
    judge = row["judge"]
    parts = [f"Run {row['run']}, question row {row['sample_row']} ({row['sample_id']})."]
    if judge is not None:
        version = f", prompt {judge['prompt_hash']}" if judge["prompt_hash"] else ""
        cached = "from the cache" if judge["cached"] else f"{judge['latency_s']:.2f} s an answer"
        parts.append(
            f"Judge {judge['model']}, rubric {judge['rubric']}{version}, {cached}, cost {judge['cost']:.4f}."
        )
    if row["policy_hash"]:
        parts.append(f"Model state {row['policy_hash']}.")
    return el("p", " ".join(parts), class_="muted small")
