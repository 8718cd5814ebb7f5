"""What the model saw of a clip: its frames, with the object that the question points at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.show.charts import box_overlay
from app.show.html import Html, el, join, note
from app.show.media import Picture, evenly, pictures, seen_times
from medgrpo.data.coordinates import CANVASES, canvas_of
from medgrpo.types import Canvas

__all__ = ["canvas_for", "seen_frames"]

_STRIP = 12


def seen_frames(row: Mapping[str, Any], base: Path) -> Html:
    """A strip of pictures.

    Args:
        row: A stored row.
        base: Folder that relative frame paths start from.
    """
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
            figures.append(box_overlay(picture.uri, canvas_for(row, picture), marked, f"{when}, asked about"))
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


def canvas_for(row: Mapping[str, Any], picture: Picture) -> tuple[float, float]:
    """Width and height in pixels that the boxes of a row refer to."""
    told = None if row["canvas"] is None else Canvas(row["canvas"]["width"], row["canvas"]["height"])
    if picture.uri is None:  # boxes without a picture, on the most common canvas of the benchmark
        told = told or CANVASES["CholecTrack20"]
    canvas = canvas_of(told, picture.height, picture.width)
    return float(canvas.width), float(canvas.height)
