"""Review clips: one film a clip that a browser plays, made of the frames that training reads.

The name of a film is a hash of what it is made of (paths, sizes and times of the frames, settings of the
encoder), so it says nothing about a patient, changes when the source does, and can be made by several
processes at once: they write the same. Beside it lies a JSON file with the times and the source.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medgrpo.data.review_film import SETTINGS, encode_film
from medgrpo.data.review_pictures import MAX_HEIGHT, MAX_WIDTH, ReviewPictures, open_pictures
from medgrpo.data.shown_times import ShownTimes, shown_frames
from medgrpo.errors import ClipError, UserError
from medgrpo.services.files import read_json, whole_file, write_whole
from medgrpo.types import Clip

__all__ = ["ReviewClip", "Sidecar", "clear_abandoned", "make_review_clip", "review_clip", "rooted"]

_VERSION = 1

ABANDONED_SECONDS = 86_400.0
"""Age of an unfinished film that nobody is making any more."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What is known about a film.

    Attributes:
        shown: The map between seconds of the player and of the clip.
        height: Of the film in pixels.
        width: Of the film in pixels.
        stored: Height and width in pixels of the frames as they are stored.
        frames: Frames of the clip.
        missing: What is wrong, by position of the frame: a card is shown in its place.
        reshaped: Frames that have another shape than the first one and stand between borders.
        hidden: Frames that cannot be seen since another one is at the same moment.
    """

    shown: ShownTimes
    height: int
    width: int
    stored: tuple[int, int]
    frames: int
    missing: Mapping[int, str]
    reshaped: int
    hidden: int


@dataclass(frozen=True, slots=True)
class ReviewClip:
    """A film that there is or may be.

    Attributes:
        folder: Of films.
        key: Names it: 32 hexadecimal digits.
    """

    folder: Path
    key: str

    @property
    def film(self) -> Path:
        """The MP4 file."""
        return self.folder / f"{self.key}.mp4"

    @property
    def sidecar(self) -> Path:
        """The JSON file, which names the source and is not to be served."""
        return self.folder / f"{self.key}.json"

    @property
    def ready(self) -> bool:
        """Whether it was made."""
        return self.film.is_file() and self.sidecar.is_file()

    def read(self) -> Sidecar:
        """What is known about the film.

        Raises:
            UserError: If the sidecar is missing or damaged.
        """
        found = read_json(self.sidecar, "the times of a review clip")
        try:
            return Sidecar(
                shown=ShownTimes.from_dict(found["shown"]),
                height=int(found["height"]),
                width=int(found["width"]),
                stored=(int(found["stored"][0]), int(found["stored"][1])),
                frames=int(found["frames"]),
                missing={int(index): str(problem) for index, problem in found["missing"].items()},
                reshaped=int(found["reshaped"]),
                hidden=int(found["hidden"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UserError(f"{self.sidecar}: not the times of a review clip; delete it") from error


def rooted(clip: Clip, base: Path) -> Clip:
    """The clip with absolute paths.

    Args:
        clip: Any clip.
        base: Absolute folder that relative paths start from.
    """
    video = None if clip.video is None else Path(os.path.abspath(base / clip.video))
    return replace(clip, frames=tuple(Path(os.path.abspath(base / p)) for p in clip.frames), video=video)


def review_clip(clip: Clip, folder: Path) -> ReviewClip:
    """The film of a clip as its files are now; looks at their sizes and times, not into them.

    Args:
        clip: With absolute paths.
        folder: Of films.
    """
    digest = hashlib.sha256(repr((_VERSION, MAX_HEIGHT, MAX_WIDTH, sorted(SETTINGS.items()))).encode())
    digest.update(repr((clip.fps, clip.start, clip.end, clip.times)).encode())
    for path in clip.frames if clip.video is None else (clip.video,):
        digest.update(f"{path}\0{_stamp(path)}\0".encode("utf-8", "surrogatepass"))
    return ReviewClip(folder, digest.hexdigest()[:32])


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # a name with a zero byte is no file either
        return None
    return found.st_size, found.st_mtime_ns


def make_review_clip(clip: Clip, folder: Path) -> ReviewClip:
    """Make the film of a clip, unless there is one.

    Args:
        clip: With absolute paths.
        folder: Of films; made if it is not there.

    Raises:
        ClipError: If no frame can be read, the times are not in order, or the files change meanwhile.
        UserError: If the film cannot be written.
    """
    made = review_clip(clip, folder)
    if made.ready:
        return made
    times, pictures = open_pictures(clip)
    indices, shown = shown_frames(times.tolist(), clip.fps)
    with whole_file(made.film) as file:  # there once its sidecar is
        encode_film(Path(file.name), pictures.read(indices), shown, pictures.height, pictures.width)
        if len(pictures.missing) == len(indices):
            problem = next(iter(pictures.missing.values()))
            raise ClipError(f"none of the {len(indices)} frames of the clip can be read ({problem})")
        if review_clip(clip, folder) != made:
            raise ClipError("the frames of the clip changed while its film was made; try again")
        told = _told(clip, shown, pictures, hidden=len(times) - len(indices), frames=len(times))
        write_whole(made.sidecar, json.dumps(told))
    return made


def clear_abandoned(folder: Path) -> None:
    """Remove what killed makers left a day ago or earlier: pictures of patients should not pile up unseen.

    Args:
        folder: Of films; need not be there.
    """
    latest = time.time() - ABANDONED_SECONDS
    for part in folder.glob(".*.part"):
        with suppress(OSError):  # another process was faster
            if part.stat().st_mtime < latest:
                part.unlink()


def _told(
    clip: Clip, shown: ShownTimes, pictures: ReviewPictures, *, hidden: int, frames: int
) -> dict[str, Any]:
    """The sidecar as JSON has it."""
    source = (
        {"frames": [str(path) for path in clip.frames]}
        if clip.video is None
        else {"video": str(clip.video), "start": clip.start, "end": clip.end}
    )
    return {
        "version": _VERSION,
        "source": source,
        "shown": shown.to_dict(),
        "height": pictures.height,
        "width": pictures.width,
        "stored": list(pictures.stored),
        "frames": frames,
        "missing": pictures.missing,
        "reshaped": len(pictures.reshaped),
        "hidden": hidden,
    }
