"""Fill a frame cache ahead of training: every distinct clip of a records file, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.frame_store import CacheError
from medgrpo.data.lazy_records import Records
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

__all__ = ["Filled", "Filling", "bad_clip_rows", "fill"]

DRAWN_TASK = "region_caption"
"""Its rows have a box drawn on their frames: each is an entry of its own."""


@dataclass(frozen=True)
class Filling:
    """How frames are read and where they are kept.

    Attributes:
        folder: Of the cache.
        sampling: Decides which frames are seen and at which size.
        max_bytes: Most bytes of entries; None is no bound.
        video_backend: Decoder of video files.
        decode_seconds: Most time that it may take for a clip; None is no limit.
    """

    folder: Path
    sampling: SamplingPolicy
    max_bytes: int | None
    video_backend: str
    decode_seconds: float | None

    def frames(self) -> ClipFrames:
        """What reads through the cache; nothing is kept in memory."""
        cache = FrameCache(self.folder, memory_bytes=0, disk_bytes=self.max_bytes)
        return ClipFrames(self.sampling, cache, self.video_backend, self.decode_seconds)


@dataclass
class Filled:
    """What a filling did.

    Attributes:
        clips: Distinct clips with what is drawn on them.
        decoded: Of them, those that were not in the cache.
        broken: Entries that were damaged and decoded again.
        problems: What is wrong, by position of the row in the records.
    """

    clips: int = 0
    decoded: int = 0
    broken: int = 0
    problems: dict[int, str] = field(default_factory=dict)


def fill(records: Records, filling: Filling, workers: int, progress: bool = True) -> Filled:
    """Read the frames of every distinct clip through the cache.

    Args:
        records: Rows whose clips are read.
        filling: How, and where to.
        workers: Processes.
        progress: Show a bar with the time left.

    Raises:
        UserError: If the cache cannot be written, or a process dies.
    """
    from tqdm import tqdm

    rows_of = _distinct(records)
    filled = Filled(clips=len(rows_of))
    with (
        _outcomes(records, filling, list(rows_of), workers) as outcomes,
        tqdm(outcomes, total=len(rows_of), desc="fill cache", unit="clip", disable=not progress) as bar,
    ):
        for position, decoded, broken, problem in bar:
            filled.decoded += decoded
            filled.broken += broken
            if problem is not None:
                filled.problems.update(dict.fromkeys(rows_of[position], problem))
                bar.set_postfix(bad_rows=len(filled.problems))
    return filled


def bad_clip_rows(records: Records, problems: dict[int, str]) -> Iterator[dict[str, Any]]:
    """The rows whose frames cannot be read, with ``_row`` and ``_defects`` as ``medgrpo check`` has them."""
    for position, problem in sorted(problems.items()):
        told = [{"field": "video", "problem": problem}]
        yield {"_row": int(records.rows[position]), "_defects": told} | records.raw(position)


def _distinct(records: Records) -> dict[int, list[int]]:
    """Positions of the rows that stand for an entry each, and of all rows that use it."""
    first: dict[Any, int] = {}
    rows_of: dict[int, list[int]] = {}
    for position, (clip, task) in enumerate(zip(records.clip_ids.tolist(), records.tasks, strict=True)):
        key = (clip, position) if task == DRAWN_TASK else clip
        rows_of.setdefault(first.setdefault(key, position), []).append(position)
    return rows_of


Outcome = tuple[int, bool, int, str | None]
"""Position, whether it was decoded, damaged entries met, and what is wrong."""

_WORK: tuple[Records, ClipFrames] | None = None


@contextmanager
def _outcomes(
    records: Records, filling: Filling, positions: list[int], workers: int
) -> Iterator[Iterable[Outcome]]:
    if workers == 1:
        _start(records, filling)
        yield map(_one, positions)
        return
    context = multiprocessing.get_context("spawn")  # no threads or locks of this process
    with ProcessPoolExecutor(workers, context, _start, (records, filling)) as pool:
        try:
            yield pool.map(_one, positions, chunksize=4)
        except BrokenProcessPool:
            raise UserError(
                "a process that fills the cache died, perhaps for want of memory; try fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start(records: Records, filling: Filling) -> None:
    global _WORK
    _WORK = (records, filling.frames())


def _one(position: int) -> Outcome:
    assert _WORK is not None
    records, frames = _WORK
    misses, broken, problem = frames.cache.misses, frames.cache.broken, None
    try:
        frames.read(records[position])
    except CacheError:
        raise
    except UserError as error:
        problem = str(error)
    cache = frames.cache
    return position, problem is None and cache.misses > misses, cache.broken - broken, problem
