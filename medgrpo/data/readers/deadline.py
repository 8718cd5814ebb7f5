"""Video files read within a time limit: a decoder that hangs or crashes is an error, not the end of a run.

A decoder is C code, which no exception can interrupt, and a thread that waits for it in vain stays for ever.
So decoding happens in a helper process, one for each process that reads, which is killed when it is late; the
next clip gets a new one. The helper is a fresh interpreter, not a fork: it shares no locks and no threads
with the training process, and data workers, which may not have children of :mod:`multiprocessing`, may start
it. It also ends itself a little after the limit, should its owner be gone.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.data.readers.base import FrameReader, Overlay, VideoError
from medgrpo.errors import UserError

__all__ = ["LENGTH", "BoundedReader", "FramesFollow", "Late"]

LENGTH = 8
"""Bytes of the length before each message."""

START_SECONDS = 300.0
"""Time to start the helper, which imports torch, on a busy machine."""


class Late(Exception):
    """The helper has not answered in time."""


class BoundedReader:
    """Reads a clip of a video file in the helper process.

    Args:
        reader: Reads the clip; it is sent to the helper.
        path: The video file, for messages.
        seconds: Most time that one call may take.
    """

    def __init__(self, reader: FrameReader, path: Path, seconds: float) -> None:
        if not seconds > 0:
            raise UserError(f"decode_seconds must be positive, got {seconds}")
        self.reader = reader
        self.path = path
        self.seconds = seconds

    def times(self) -> np.ndarray:
        """As the reader's; :class:`VideoError` also when it takes too long."""
        return self._described[0]

    def size(self) -> tuple[int, int]:
        """As the reader's; :class:`VideoError` also when it takes too long."""
        return self._described[1]

    def identity(self, indices: Sequence[int] | np.ndarray = ()) -> str:
        """As the reader's: nothing is decoded for it."""
        return self.reader.identity(indices)

    def content(self, indices: Sequence[int] | np.ndarray) -> str:
        """As the reader's: nothing is decoded for it."""
        return self.reader.content(indices)

    def read(
        self, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay: Overlay | None = None
    ) -> np.ndarray:
        """As the reader's; an overlay must be one that can be pickled.

        Raises:
            VideoError: If the reader raises it, takes too long, or its process dies.
        """
        frames: np.ndarray = self._ask("read", np.asarray(indices, np.int64), height, width, overlay)
        return frames

    @cached_property
    def _described(self) -> tuple[np.ndarray, tuple[int, int]]:
        described: tuple[np.ndarray, tuple[int, int]] = self._ask("describe")
        return described

    def _ask(self, what: str, *arguments: Any) -> Any:
        with _LOCK:
            helper = _the_helper()
            try:
                answer = helper.ask((self.seconds, self.reader, what, arguments), self.seconds)
            except Late:
                _stop_helper()
                raise VideoError(
                    self.path,
                    f"decoding took longer than {self.seconds:g} s and was stopped; leave the file out, or "
                    "raise decode_seconds",
                ) from None
            except EOFError:
                raise VideoError(self.path, f"the decoder crashed ({_stop_helper()})") from None
            except BaseException:
                _stop_helper()  # interrupted in the middle of an answer
                raise
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Helper:
    """A helper process and its two pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "medgrpo.data.readers.helper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout
        try:
            self._message(time.monotonic() + START_SECONDS)
        except (Late, EOFError):
            self.stop()
            raise UserError(
                "the process that decodes videos does not start; decode_seconds: null decodes without it"
            ) from None

    def ask(self, request: Any, seconds: float) -> Any:
        """Send a request and wait for its answer.

        Raises:
            Late: If none has come after ``seconds``.
            EOFError: If the process has ended.
        """
        end = time.monotonic() + seconds
        data = pickle.dumps(request)
        try:
            self.requests.write(len(data).to_bytes(LENGTH, "little") + data)
        except BrokenPipeError:
            raise EOFError from None
        answer = pickle.loads(self._message(end))
        if isinstance(answer, FramesFollow):
            frames = np.empty(answer.shape, dtype=np.uint8)
            self._fill(frames.reshape(-1).data, end)
            return frames
        return answer

    def stop(self) -> str:
        """Kill it and say how it ended."""
        self.process.kill()
        code = self.process.wait()
        self.close()
        if code in (-signal.SIGKILL, 0):
            return "it was killed, perhaps for its memory"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Close this process's ends of the pipes."""
        for pipe in (self.requests, self.answers):
            with suppress(OSError):
                pipe.close()

    def _message(self, end: float) -> bytearray:
        header = bytearray(LENGTH)
        self._fill(memoryview(header), end)
        body = bytearray(int.from_bytes(header, "little"))
        self._fill(memoryview(body), end)
        return body

    def _fill(self, buffer: memoryview, end: float) -> None:
        waiting = select.poll()
        waiting.register(self.answers, select.POLLIN)
        while len(buffer):
            left = end - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise Late
            count = self.answers.readinto(buffer)  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            buffer = buffer[count:]


class FramesFollow:
    """Announces frames whose bytes follow.

    Args:
        shape: ``[T, 3, H, W]``.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


_LOCK = threading.Lock()
_HELPER: _Helper | None = None


def _the_helper() -> _Helper:
    global _HELPER
    if _HELPER is None:
        _HELPER = _Helper()
    return _HELPER


def _stop_helper() -> str:
    global _HELPER
    how = "" if _HELPER is None else _HELPER.stop()
    _HELPER = None
    return how


def _forget_helper() -> None:
    """In a forked process: leave the helper to the process that started it."""
    global _LOCK, _HELPER
    _LOCK = threading.Lock()
    if _HELPER is not None:
        _HELPER.close()
        _HELPER.process.returncode = 0  # not this process's child: nothing to wait for
    _HELPER = None


os.register_at_fork(after_in_child=_forget_helper)
atexit.register(_stop_helper)
