"""The process in which videos are decoded within a time limit; started by the reader that waits for it."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from io import BufferedReader, RawIOBase
from typing import Any

import numpy as np

from medgrpo.data.readers.base import FrameReader, VideoError
from medgrpo.data.readers.deadline import LENGTH, FramesFollow

__all__ = ["main"]

GRACE = 30.0
"""Seconds after the time limit at which this process ends itself, in case nobody does."""


def main() -> None:
    """Answer requests until the pipe is closed."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not end up among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner decides
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    requests = sys.stdin.buffer
    import torch
    import torchvision.transforms.v2.functional  # noqa: F401  # seconds that no clip should be charged with

    torch.set_num_threads(1)
    _send(channel, pickle.dumps("ready"))
    while header := requests.read(LENGTH):
        request = pickle.loads(_exactly(requests, int.from_bytes(header, "little")))
        signal.setitimer(signal.ITIMER_REAL, request[0] + GRACE)
        answer = _answer(*request[1:])
        if isinstance(answer, np.ndarray):
            _send(channel, pickle.dumps(FramesFollow(answer.shape)))
            _write(channel, np.ascontiguousarray(answer).reshape(-1).data)
        else:
            _send(channel, pickle.dumps(answer))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _end_with(owner: int) -> None:
    """End this process in the middle of a clip when its owner was killed."""
    while os.getppid() == owner:
        time.sleep(1.0)
    os._exit(1)


def _answer(reader: FrameReader, what: str, arguments: tuple[Any, ...]) -> Any:
    try:
        if what == "describe":
            return reader.times(), reader.size()
        return reader.read(*arguments)
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError(getattr(reader, "path", ""), "there is not enough memory to decode it")
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error


def _send(channel: RawIOBase | Any, data: bytes) -> None:
    _write(channel, len(data).to_bytes(LENGTH, "little"))
    _write(channel, data)


def _write(channel: RawIOBase | Any, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while len(left):
        left = left[channel.write(left) :]


def _exactly(stream: BufferedReader | Any, count: int) -> bytes:
    return bytes(stream.read(count))


if __name__ == "__main__":
    main()
