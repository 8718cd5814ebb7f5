"""The clip of an item: the one place that decides how a reviewer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.show.charts import box_overlay
from app.show.html import Html, el, join, note
from app.show.media import Picture, evenly, pictures, seen_times
from app.show.player import clip_view

__all__ = ["clip_of_item"]

_AT_MOST = 12


def clip_of_item(row: Mapping[str, Any], base: Path, media: Path) -> Html:
    """The film of the clip with what expert and answer say about its time and place, and its pictures.

    The film is named by a hash of the clip alone: what loads it tells nothing of run, step or group.

    Args:
        row: A stored row.
        base: Absolute folder that relative frame paths start from.
        media: Folder of films.
    """
    return clip_view([row], base, media, _pictures(row, base))


def _pictures(row: Mapping[str, Any], base: Path) -> Html:
    """Pictures of the clip in order, with the region that the question is about."""
    times, region = seen_times(row), row["region"]
    chosen = {times[k] for k in evenly(len(times), _AT_MOST)}
    if region is not None:
        chosen |= {frame["time"] for frame in row["frames"] if frame["path"] == region["frame"]}
    found = list({picture.time: picture for picture in pictures(row, sorted(chosen), base)}.values())
    missing = sum(picture.uri is None for picture in found)
    lost = note(f"{missing} pictures of this clip cannot be shown on this machine.", "warning")
    figures = (_figure(picture, region) for picture in found)
    return join(
        [el("div", *figures, class_="strip", tabindex=0, aria_label="Clip"), lost if missing else None]
    )


def _figure(picture: Picture, region: Mapping[str, Any] | None) -> Html:
    when = f"{picture.time:.1f} s"
    if picture.uri is None:
        return el("figure", el("div", "no picture", class_="missing"), el("figcaption", when))
    if region is not None and region["frame"] == picture.path:
        size = (float(picture.width), float(picture.height))
        return box_overlay(picture.uri, size, [(region["box"], True)], f"{when}, asked about")
    image = el("img", src=picture.uri, alt=f"The clip at {when}")
    return el("figure", image, el("figcaption", when))
