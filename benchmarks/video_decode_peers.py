"""The decoders that ``benchmarks.video_decode`` compares, each in a process of its own.

A child gets one cell as JSON on its command line, loads its decoder, reads one frame, and for each line on
stdin decodes the cell once and prints what it took. CPU time is user + system of the process and of its
children; the peak is the highest resident memory of a run over what was resident before it, in MB, result
included.

Runs without the package ``medgrpo`` (and in another interpreter) but for the peers that need it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PEERS", "frame_indices", "main"]

RATE = 30
"""Frames a second of the generated videos."""

NEAR = 60
"""Frames up to which OpenCV is faster in passing over frames than in seeking."""

Cell = dict[str, Any]
"""``path``, ``start``, ``seconds``, ``step`` in frames, ``width``, ``height`` of results, ``folder``."""


def frame_indices(cell: Cell) -> list[int]:
    """Positions in the file of the frames that a cell asks for."""
    first = round(cell["start"] * RATE)
    return list(range(first, first + round(cell["seconds"] * RATE), cell["step"]))


def _ours(cell: Cell) -> Callable[[], np.ndarray]:
    import torch

    from medgrpo.data.readers import open_reader, timeline
    from medgrpo.types import Clip

    torch.set_num_threads(1)
    indices = frame_indices(cell)
    clip = Clip(video=Path(cell["path"]), start=cell["start"], end=cell["start"] + cell["seconds"])

    def run() -> np.ndarray:
        timeline._scanned.cache_clear()  # every run opens and scans the file
        reader = open_reader(clip)
        assert abs(reader.times()[0]) < 1e-6
        return reader.read([k - indices[0] for k in indices], cell["height"], cell["width"])

    return run


def _cached(cell: Cell) -> Callable[[], np.ndarray]:
    """Ours from a filled cache, as a new process finds it: nothing is kept in memory between runs."""
    from medgrpo.data.frame_cache import FrameCache
    from medgrpo.data.readers import open_reader
    from medgrpo.types import Clip

    folder = tempfile.mkdtemp(dir=cell["folder"])
    clip = Clip(video=Path(cell["path"]), start=cell["start"], end=cell["start"] + cell["seconds"])
    indices = frame_indices(cell)

    def run() -> np.ndarray:
        cache, reader = FrameCache(folder, memory_bytes=0), open_reader(clip)
        cache.describe(reader)
        wanted = [k - indices[0] for k in indices]
        return cache.get_or_read(reader, wanted, cell["height"], cell["width"])

    run()
    return run


def _torchcodec(cell: Cell) -> Callable[[], np.ndarray]:
    """Torchcodec by itself, frame by frame for its memory, resized as ours are."""
    import torch
    from torchcodec.decoders import VideoDecoder

    from medgrpo.data.readers.base import resize_frame

    torch.set_num_threads(1)
    indices = frame_indices(cell)

    def run() -> np.ndarray:
        video = VideoDecoder(cell["path"], dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        frames = np.empty((len(indices), 3, cell["height"], cell["width"]), np.uint8)
        for slot, index in enumerate(indices):
            frames[slot] = resize_frame(video.get_frame_at(index).data.numpy(), *frames.shape[2:])
        return frames

    return run


def _decord(cell: Cell) -> Callable[[], np.ndarray]:
    """Decord as its users call it: the size is given when the file is opened."""
    import decord

    def run() -> np.ndarray:
        video = decord.VideoReader(
            cell["path"], ctx=decord.cpu(0), width=cell["width"], height=cell["height"], num_threads=1
        )
        return video.get_batch(frame_indices(cell)).asnumpy().transpose(0, 3, 1, 2)

    return run


def _opencv(cell: Cell) -> Callable[[], np.ndarray]:
    """OpenCV, which decodes anew from a keyframe on each seek: near frames are passed over instead."""
    import cv2

    cv2.setNumThreads(1)
    far = cell["step"] > NEAR

    def run() -> np.ndarray:
        video = cv2.VideoCapture(cell["path"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        frames = []
        for order, index in enumerate(frame_indices(cell)):
            if far or not order:
                video.set(cv2.CAP_PROP_POS_FRAMES, index)
            else:
                for _ in range(cell["step"] - 1):
                    video.grab()
            found, frame = video.read()
            assert found
            frame = cv2.resize(frame, (cell["width"], cell["height"]), interpolation=cv2.INTER_AREA)
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).transpose(2, 0, 1))
        return np.stack(frames)

    return run


def _ffmpeg(cell: Cell) -> Callable[[], np.ndarray]:
    """The program: an exact seek, every n-th frame, resized, as raw pixels through a pipe."""

    def run() -> np.ndarray:
        height, width = cell["height"], cell["width"]
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-filter_threads", "1"]
        command += ["-ss", str(cell["start"]), "-t", str(cell["seconds"]), "-i", cell["path"], "-an"]
        command += ["-vf", f"select=not(mod(n\\,{cell['step']})),scale={width}:{height}:flags=bicubic"]
        command += ["-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
        done = subprocess.run(command, capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3).transpose(0, 3, 1, 2)

    return run


PEERS: dict[str, Callable[[Cell], Callable[[], np.ndarray]]] = {
    "pyav": _ours,
    "torchcodec": _torchcodec,
    "decord": _decord,
    "opencv": _opencv,
    "ffmpeg": _ffmpeg,
    "cache": _cached,
}


def main(argv: list[str]) -> None:
    """Prepare a peer, then measure once for each line on stdin."""
    name, cell = argv[0], json.loads(argv[1])
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if name != "cache":
        PEERS[name](cell | {"seconds": cell["step"] / RATE})()  # one frame: what loads late is there
    run = PEERS[name](cell)
    print("ready", file=channel, flush=True)
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        before, start = _resident("VmRSS"), _cpu_seconds()
        frames = run()
        spent, peak = _cpu_seconds() - start, _resident("VmHWM") - before
        if name == "ffmpeg":
            peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        if line.strip():
            np.save(line.strip(), frames)
        told = {"cpu_ms": 1000 * spent, "peak_mb": peak, "output_mb": frames.nbytes / 1e6}
        print(json.dumps(told), file=channel, flush=True)
        del frames


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _resident(field: str) -> float:
    """A line of this process's status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main(sys.argv[1:])
