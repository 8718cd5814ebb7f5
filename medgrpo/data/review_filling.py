"""Make the films of many clips ahead of a review, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from medgrpo.data.review_clips import make_review_clip, review_clip
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Clip

__all__ = ["MadeClips", "make_review_clips"]


@dataclass
class MadeClips:
    """What was made.

    Attributes:
        clips: Distinct clips.
        made: Films made now; the others were there or cannot be made.
        incomplete: Films in which a card stands in place of one or more frames.
        missing_frames: Those frames.
        bytes: Of all films of these clips.
        problems: Why a film cannot be made, one line a clip.
    """

    clips: int = 0
    made: int = 0
    incomplete: int = 0
    missing_frames: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


Outcome = tuple[bool, int, int, str | None]
"""Whether it was made now, frames missing, bytes, and why it cannot be made."""


def make_review_clips(
    clips: Sequence[Clip], folder: Path, workers: int = 1, progress: bool = True
) -> MadeClips:
    """Make those films that there are not.

    Args:
        clips: With absolute paths; repetitions count once.
        folder: Of films.
        workers: Processes.
        progress: Show a bar with the time left.

    Raises:
        UserError: If a film cannot be written, or a process dies.
    """
    from tqdm import tqdm

    distinct = list(dict.fromkeys(clips))
    result = MadeClips(clips=len(distinct))
    with (
        _outcomes(distinct, folder, workers) as outcomes,
        tqdm(outcomes, total=len(distinct), desc="review clips", unit="clip", disable=not progress) as bar,
    ):
        for made, missing, size, problem in bar:
            result.made += made
            result.incomplete += missing > 0
            result.missing_frames += missing
            result.bytes += size
            if problem is not None:
                result.problems.append(problem)
                bar.set_postfix(failed=len(result.problems))
    return result


@contextmanager
def _outcomes(clips: Sequence[Clip], folder: Path, workers: int) -> Iterator[Iterable[Outcome]]:
    make = partial(_make, folder=folder)
    if workers == 1:
        yield map(make, clips)
        return
    context = multiprocessing.get_context("spawn")  # no threads or locks of this process
    with ProcessPoolExecutor(workers, context) as pool:
        try:
            yield pool.map(make, clips)
        except BrokenProcessPool:
            raise UserError(
                "a process that makes review clips died, perhaps for want of memory; try fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make(clip: Clip, folder: Path) -> Outcome:
    there = review_clip(clip, folder).ready
    try:
        made = make_review_clip(clip, folder)
    except ClipError as error:
        return False, 0, 0, " ".join(str(error).split())
    return not there, len(made.read().missing), made.film.stat().st_size, None
