"""The player of a clip: its film with lanes and boxes, and single pictures until the film is there.

What the script needs is in one attribute as JSON, escaped as every attribute is; the times of the film come
from the server once it was made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.show.annotations import segments_of
from app.show.charts import Lane, timeline
from app.show.html import Html, el, join, note
from app.show.making import clip_maker
from medgrpo.data.review_clips import Sidecar, rooted
from medgrpo.rollout.schema import clip_from_row, rollout_from_row
from medgrpo.tasks import get_task

__all__ = ["PLAYER_FILES", "clip_view", "told_times"]

_FOLDER = Path(__file__).parent / "static"

PLAYER_FILES = (_FOLDER / "player.js", _FOLDER / "player.css")
"""What a page with a player loads."""

_SPEEDS = ("0.25", "0.5", "0.75", "1", "1.5", "2")
_KEYS = (
    "Keys: space or K plays and stops, ← and → go one second, J and L five seconds, comma and full stop one "
    "picture."
)

Row = Mapping[str, Any]
Track = dict[str, Any]
"""Boxes of one name for the script: ``name``, ``expert``, ``boxes`` of (seconds, x1, y1, x2, y2)."""


def clip_view(rows: Sequence[Row], base: Path, media: Path, stills: Html) -> Html:
    """The clip of a group with what the expert and the answers say about its time and place.

    Args:
        rows: The stored rows of the answers in their order, at least one.
        base: Absolute folder that relative frame paths start from.
        media: Folder of films; one that is not there is made in the background.
        stills: Single pictures of the clip, shown until there is a film and below it afterwards.
    """
    first = rows[0]
    try:
        key = clip_maker(media).want(rooted(clip_from_row(first), base)).key
    except ValueError:
        return join([note("This question names no clip that could be shown.", "warning"), stills])
    tracks = _tracks(rows)
    canvas = first["canvas"]
    told = {
        "key": key,
        "canvas": None if canvas is None else [canvas["width"], canvas["height"]],
        "tracks": tracks,
    }
    lanes = _lanes(rows, tracks)
    return el(
        "section",
        el(
            "div",
            el("video", preload="auto", playsinline="", muted="", tabindex=0, aria_label="Video of the clip"),
            el("svg", class_="marks", preserveAspectRatio="none", aria_hidden="true"),
            class_="stage",
            hidden="",
        ),
        _controls(),
        _choices(tracks) if tracks else None,
        el("p", "The video is being prepared. Until then you see single pictures.", class_="note status",
           role="status"),
        timeline(lanes, _duration(first)) if lanes else None,
        el("details", el("summary", "Single pictures"), stills, open="", class_="stills"),
        class_="player",
        data_player=json.dumps(told),
        aria_label="Video of the clip with its controls",
    )  # fmt: skip


def told_times(sidecar: Sidecar) -> dict[str, Any]:
    """What the script learns about a film: its times and size, and notes in plain words; no path."""
    notes = []
    if sidecar.missing:
        notes.append(
            f"{len(sidecar.missing)} of {sidecar.frames} pictures cannot be read on this machine. The video "
            'shows a card with "Frame missing" in their place.'
        )
    if sidecar.reshaped:
        notes.append(
            f"{sidecar.reshaped} of {sidecar.frames} pictures have another shape than the first one. They "
            "stand between black borders; boxes drawn over them may be out of place."
        )
    if sidecar.hidden:
        notes.append(
            f"{sidecar.hidden} of {sidecar.frames} pictures were taken at the same moment as another one and "
            "are not shown."
        )
    return {
        **sidecar.shown.to_dict(),
        "size": [sidecar.width, sidecar.height],
        "stored": [sidecar.stored[1], sidecar.stored[0]],
        "notes": notes,
    }


def _controls() -> Html:
    def button(action: str, words: str, label: str) -> Html:
        return el("button", words, type="button", data_act=action, aria_label=label, title=label)

    speeds = [
        el("option", f"{speed}×", value=speed, selected="" if speed == "1" else None) for speed in _SPEEDS
    ]
    return el(
        "div",
        button("back", "‹ Picture", "One picture back"),
        button("play", "▶ Play", "Play"),
        button("forward", "Picture ›", "One picture forward"),
        el("input", type="range", min=0, max=1, step="any", value=0, data_act="scrub", aria_label="Position"),
        el("output", "", class_="clock", aria_live="off"),
        el("label", "Speed ", el("select", *speeds, data_act="speed")),
        el("p", _KEYS, class_="muted small"),
        class_="controls",
        hidden="",
    )


def _choices(tracks: Sequence[Track]) -> Html:
    """Which boxes are drawn: at first the expert's and those of the first answer."""
    boxes = [
        el(
            "label",
            el("input", type="checkbox", data_track=k, checked="" if track["expert"] or k <= 1 else None),
            el("span", class_="key expert" if track["expert"] else "key answer"),
            track["name"],
        )
        for k, track in enumerate(tracks)
    ]
    return el("fieldset", el("legend", "Boxes drawn over the video"), *boxes, class_="choices")


def _tracks(rows: Sequence[Row]) -> list[Track]:
    first = rows[0]
    if first["task"] == "stg":
        found = _said(rows)
        named = [("Expert", True, found[0])]
        named += [(f"Answer {k}", False, answer) for k, answer in enumerate(found[1:], 1)]
        return [{"name": name, "expert": expert, "boxes": _boxes(value)} for name, expert, value in named]
    region = first["region"]
    if region is None:
        return []
    at = [frame["time"] for frame in first["frames"] if frame["path"] == region["frame"]]
    return [{"name": "Asked about", "expert": True, "boxes": [[time, *region["box"]] for time in at]}]


def _said(rows: Sequence[Row]) -> list[Any]:
    """The structures of the expert and of each answer."""
    rollouts = [rollout_from_row(row) for row in rows]
    truth = get_task(rows[0]["task"]).truth(rollouts[0].sample)
    return [truth, *(rollout.reward.parsed for rollout in rollouts)]


def _boxes(value: Any) -> list[list[float]]:
    """Seconds and corners of an ``stg`` structure, what is no box left out."""
    found = []
    for entry in value if isinstance(value, list) else []:
        numbers = [entry["time"], *entry["box"]]
        if len(numbers) == 5 and all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
            found.append([float(v) for v in numbers])
    return found


def _lanes(rows: Sequence[Row], tracks: Sequence[Track]) -> list[Lane]:
    """When: spans of time, or the pictures that have a box."""
    first = rows[0]
    if first["task"] in ("tal", "dense_captioning"):
        truth, *answers = map(segments_of, _said(rows))
        return [Lane("Expert", truth, true=True)] + [
            Lane(f"Answer {k}", segments) for k, segments in enumerate(answers, 1)
        ]
    ends = [*(frame["time"] for frame in first["frames"][1:]), _duration(first)]
    return [
        Lane(track["name"], [_shown(box[0], ends) for box in track["boxes"]], true=track["expert"])
        for track in tracks
    ]


def _shown(time: float, ends: Sequence[float]) -> tuple[float, float, str]:
    """From when to when the picture of a moment is shown."""
    return time, min((end for end in ends if end > time), default=time), ""


def _duration(row: Row) -> float:
    """Seconds of the clip, as far as the row tells."""
    if row["frames"]:
        return float(max(frame["time"] for frame in row["frames"])) + 1.0 / float(row["clip_fps"])
    return 0.0 if row["clip_end"] is None else float(row["clip_end"] - row["clip_start"])
