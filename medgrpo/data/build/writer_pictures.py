"""The pictures that a writer is shown of a clip: few, spread over time, with a line of text each.

A flagged frame never goes to a remote writer. It is not even opened: the choice is made by what the record of
the frame says, before a file is read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from medgrpo.data.build.items import ClipPictures, Draft, Picture
from medgrpo.data.build.overlay import draw_shown
from medgrpo.data.build.shown import Shown, caption_of, shown_at
from medgrpo.data.readers.frames import read_image
from medgrpo.data.regions import draw_region
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError

__all__ = ["BLACK", "WriterPicturePolicy", "WriterPictures", "pictures_shown", "writer_pictures"]

BLACK = "black"
"""The flag of frames that show nothing; no writer gets them."""

MadePictures = dict[tuple[int, bool], tuple[str, str]]
"""Number of a frame, and whether annotations may be drawn on it, to its caption and ``data:`` URI."""


@dataclass(frozen=True)
class WriterPicturePolicy:
    """How a clip is shown to a writer.

    Attributes:
        most: Pictures a question.
        longest_side: Pixels; larger pictures are made smaller.
        quality: Of the JPEG files, 1..95.
        annotated: Whether annotations are drawn and told. Web videos are explained by voice instead.
    """

    most: int = 12
    longest_side: int = 768
    quality: int = 85
    annotated: bool = True

    def __post_init__(self) -> None:
        if self.most < 1:
            raise UserError(f"most must be at least 1 picture, got {self.most}")
        if self.longest_side < 16:
            raise UserError(f"longest_side must be at least 16 pixels, got {self.longest_side}")
        if not 1 <= self.quality <= 95:
            raise UserError(f"quality must be 1..95, got {self.quality}")


@dataclass(frozen=True, slots=True)
class WriterPictures:
    """What a writer is shown.

    Attributes:
        pictures: A caption and a ``data:`` URI each, by time.
        withheld: Frames of the question's span that were not considered as they are flagged.
        complete: Whether the question can be answered from them: there is a picture, and for a region
            caption the one with the box. If not, the text has the status ``withheld``.
    """

    pictures: tuple[tuple[str, str], ...]
    withheld: int
    complete: bool


def writer_pictures(
    video: SourceVideo,
    draft: Draft,
    pictures: ClipPictures,
    out: Path,
    policy: WriterPicturePolicy | None = None,
    *,
    remote: bool,
    made: MadePictures | None = None,
) -> WriterPictures:
    """Choose, draw and encode the pictures of a question.

    A region caption starts with the frame of its box, outlined in green, followed by plain frames until the
    end of what it tells; annotations would give the box away. Dense captions have a picture of every event,
    as far as the number suffices. All others are spread over the clip.

    Args:
        video: The video.
        draft: The question.
        pictures: The clip's frames.
        out: Folder of the build, with the frames.
        policy: How much is shown; None is the default.
        remote: Whether the writer is on another machine. A frame with any flag is then left out; a writer on
            this machine is only spared black frames.
        made: Pictures that other questions about the same clip were shown by the same policy, which are not
            made again; new ones are added.

    Raises:
        VideoError: If a frame's file is gone or broken.
        MissingExtraError: If annotations are drawn and supervision is not installed.
    """
    policy = policy or WriterPicturePolicy()
    span = [picture for picture in pictures.pictures if _in_span(draft, picture.time)]
    allowed = [picture for picture in span if not (picture.flags if remote else BLACK in picture.flags)]
    region = _region_picture(draft, span)
    chosen = _chosen(draft, allowed, region, policy.most)
    made = {} if made is None else made
    shown = []
    for picture in chosen:
        key = picture.frame_id, draft.region_time is None
        if picture is region:  # its outline is of this question alone
            shown.append(_picture(video, draft, pictures, picture, region, out, policy))
            continue
        if key not in made:
            made[key] = _picture(video, draft, pictures, picture, region, out, policy)
        shown.append(made[key])
    complete = bool(chosen) and (draft.region_time is None or region in chosen)
    return WriterPictures(tuple(shown), len(span) - len(allowed), complete)


def pictures_shown(draft: Draft, pictures: ClipPictures, most: int) -> int:
    """How many pictures of a question are shown, if none of them is flagged; no file is read."""
    return min(most, sum(_in_span(draft, picture.time) for picture in pictures.pictures))


def _in_span(draft: Draft, time: float) -> bool:
    if draft.region_time is None:
        return True
    end = draft.clip.duration if draft.region_end is None else draft.region_end
    slack = 0.5 / draft.clip.fps
    return draft.region_time - slack < time <= end


def _region_picture(draft: Draft, span: Sequence[Picture]) -> Picture | None:
    if draft.region_time is None or not span:
        return None
    at = draft.region_time
    nearest = min(span, key=lambda picture: abs(picture.time - at))
    return nearest if abs(nearest.time - at) < 0.5 / draft.clip.fps else None


def _chosen(
    draft: Draft, allowed: Sequence[Picture], region: Picture | None, most: int
) -> tuple[Picture, ...]:
    """Pictures by time; each frame once."""
    first = [region] if region in allowed and region is not None else []
    middles = [(event.start + event.end) / 2 for event in draft.events]
    for event, middle in zip(draft.events, middles, strict=True):
        inside = [picture for picture in allowed if event.start <= picture.time < max(event.end, middle)]
        if inside and len(first) < most:
            first.append(min(inside, key=lambda picture: abs(picture.time - middle)))
    first = list({picture.frame_id: picture for picture in first}.values())
    others = [picture for picture in allowed if picture.frame_id not in {p.frame_id for p in first}]
    others = list({picture.frame_id: picture for picture in others}.values())
    return tuple(sorted([*first, *_spread(others, most - len(first))], key=lambda p: p.time))


def _spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """So many pictures, as even in time as the gaps that withheld ones leave allow."""
    if len(pictures) <= most:
        return list(pictures)
    if most < 1:
        return []
    start, end = pictures[0].time, pictures[-1].time
    left = list(pictures)
    for target in np.linspace(start, end, most + 2)[1:-1] if most < 3 else np.linspace(start, end, most):
        left.remove(min(left, key=lambda picture: abs(picture.time - target)))
    kept = {id(picture) for picture in left}
    return [picture for picture in pictures if id(picture) not in kept]


def _picture(
    video: SourceVideo,
    draft: Draft,
    pictures: ClipPictures,
    picture: Picture,
    region: Picture | None,
    out: Path,
    policy: WriterPicturePolicy,
) -> tuple[str, str]:
    """Caption and ``data:`` URI of a frame."""
    frame = read_image(out / picture.file, "the frame")
    shown = Shown()
    if picture is region and draft.region_box is not None:
        frame = draw_region(frame, draft.region_box, pictures.canvas)
    elif policy.annotated and draft.region_time is None:
        shown = shown_at(video, draft.clip.start + picture.time)
        frame = draw_shown(frame, shown, video.canvas)
    caption = caption_of(shown, picture.time)
    return f"{caption}: the outlined object" if picture is region else caption, _uri(frame, policy)


def _uri(frame: np.ndarray, policy: WriterPicturePolicy) -> str:
    image = Image.fromarray(frame)
    image.thumbnail((policy.longest_side, policy.longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=policy.quality, subsampling=0)  # sharp lines and letters
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
