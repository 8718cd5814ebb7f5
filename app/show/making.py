"""Review clips made while somebody waits: one after the other, each in a process that may fail alone."""

from __future__ import annotations

import multiprocessing
import queue
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path

from medgrpo.data.review_clips import ReviewClip, clear_abandoned, make_review_clip, review_clip
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Clip

__all__ = ["ClipMaker", "ClipState", "clip_maker"]

MAX_SECONDS = 1800.0
"""Time for one film, after which its process is stopped."""

_UNREADABLE = "Its pictures, or its video file, are missing or damaged on this machine."
_LATE = "It took too long and was stopped."
_DIED = "The program that makes it ended unexpectedly."


@dataclass(frozen=True, slots=True)
class ClipState:
    """How far a film is.

    Attributes:
        state: ``ready``, ``making``, ``failed``, or ``unknown`` if nobody asked for it.
        reason: Why it failed, in plain words that name no file of a patient.
    """

    state: str
    reason: str = ""


class ClipMaker:
    """Makes films in the order in which they are first asked for.

    Args:
        folder: Of films.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clear_abandoned(folder)
        self._states: dict[str, ClipState] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[str, Clip]] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None

    def want(self, clip: Clip) -> ReviewClip:
        """The film of a clip, made in the background if there is none; one that failed is tried again.

        Args:
            clip: With absolute paths.
        """
        film = review_clip(clip, self.folder)
        if film.ready:
            return film
        with self._lock:
            if self._states.get(film.key) != ClipState("making"):
                self._states[film.key] = ClipState("making")
                self._waiting.put((film.key, clip))
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="review clips", daemon=True)
                self._worker.start()
        return film

    def state(self, key: str) -> ClipState:
        """How far the film of a key is."""
        if ReviewClip(self.folder, key).ready:
            return ClipState("ready")
        with self._lock:
            return self._states.get(key, ClipState("unknown"))

    def _work(self) -> None:
        while True:
            key, clip = self._waiting.get()
            reason = self._make(clip)
            with self._lock:
                if reason:
                    self._states[key] = ClipState("failed", reason)
                else:
                    self._states.pop(key)

    def _make(self, clip: Clip) -> str:
        """Make one; the reason if it failed."""
        context = multiprocessing.get_context("spawn")  # no threads or locks of this process
        heard, told = context.Pipe(duplex=False)
        process = context.Process(target=_make_and_tell, args=(clip, self.folder, told), daemon=True)
        try:
            process.start()
            told.close()
            reason = heard.recv() if heard.poll(MAX_SECONDS) else _LATE
        except EOFError:
            reason = _DIED
        except OSError as error:
            reason = f"The program that makes it cannot be started ({error.strerror})."
        finally:
            heard.close()
            if process.pid is not None:
                process.kill()
                process.join()
        return str(reason)


@lru_cache(maxsize=8)
def clip_maker(folder: Path) -> ClipMaker:
    """The one maker of a folder, which pages and the server share."""
    return ClipMaker(folder)


def _make_and_tell(clip: Clip, folder: Path, told: Connection) -> None:
    """Make a film and send why it failed, or nothing."""
    reason = ""
    try:
        make_review_clip(clip, folder)
    except ClipError as error:
        print(
            f"no film: {error}", file=sys.stderr, flush=True
        )  # for whoever runs the dashboard, paths and all
        reason = _UNREADABLE
    except UserError as error:
        cause = error.__cause__
        why = cause.strerror if isinstance(cause, OSError) else str(error).replace(f"{folder}/", "")
        reason = f"It cannot be stored on this machine ({why})."
    told.send(reason)
    told.close()
