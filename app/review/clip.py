"""The clip of an item: the one place that decides how a reviewer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.show.charts import box_overlay
from app.show.html import Html, el, join, note
from app.show.media import Picture, evenly, pictures, seen_times

__all__ = ["clip_pictures"]

_AT_MOST = 12


def clip_pictures(row: Mapping[str, Any], base: Path) -> Html:
    """Pictures of the clip in order, with the region that the question is about.

    A player that is put here must not name its file by run, step or group: what it loads reaches the browser
    before the verdict.

    Args:
        row: A stored row.
        base: Folder that relative frame paths start from.
    """
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
