"""Questions about small videos, and what a process holds, for the tests of workers.

As a program, ``python tests/data/workers.py FOLDER`` reads videos in two workers, and one that hangs by
itself, prints the processes that belong to it, and waits to be killed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from medgrpo.data.bad_clips import BadClips
from medgrpo.data.clip_loader import ClipLoader
from medgrpo.data.encode import Encoder
from medgrpo.data.readable import ReadableRows
from medgrpo.data.readers import BoundedReader, deadline
from medgrpo.data.sampler import BatchRows
from medgrpo.data.sft import AnsweredBatches
from medgrpo.modules.tiny import tiny_sampling
from medgrpo.types import Clip, Sample, sample_key
from tests.data.encoding import encode
from tests.data.moody import MoodyReader
from tests.tiny_models import tiny_policy

QUESTIONS = 3
"""About each clip."""


class Observed(Dataset[Any]):
    """Batches, with what the process that made them holds."""

    def __init__(self, batches: AnsweredBatches) -> None:
        self.batches = batches

    def __getitem__(self, index: BatchRows) -> tuple[Any, dict[str, Any]]:
        batch = self.batches[index]
        helper = deadline._HELPER
        return batch, holdings() | {
            "pid": os.getpid(),
            "helper": None if helper is None else helper.process.pid,
        }


def holdings() -> dict[str, int]:
    """Open files and pipes, and threads, of this process.

    Left out are the batches that wait in shared memory, and the sockets over which torch hands them out.
    """
    files = [name for name in _opened() if not name.startswith(("/dev/shm/", "socket:"))]
    return {"files": len(files), "threads": len(os.listdir("/proc/self/task"))}


def _opened() -> list[str]:
    """What is open; another thread may close a file between its listing and its reading."""
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return names


def alive(pid: int) -> bool:
    """Whether a process runs; what nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def questions(folder: Path, names: Sequence[str]) -> list[Sample]:
    """Questions about videos of a second and a half, which are written where they are missing."""
    samples = []
    for number, name in enumerate(names):
        path = folder / f"{name}.mp4"
        if not path.is_file():
            encode(path, 36 + number, size=(56, 84))  # fills its frames: no borders
        for k in range(QUESTIONS):
            text = f"Which instrument? {k}"
            key = sample_key(name, "video_summary", text)
            row = QUESTIONS * number + k
            samples.append(
                Sample(
                    *(key, name, row, "video_summary_gpt", "video_summary", "CoPESD", name, text),
                    *("The grasper.", None, Clip(video=path)),
                )
            )
    return samples


def encoder(video_backend: str = "pyav", decode_seconds: float | None = 60.0) -> Encoder:
    """Of the tiny policy."""
    made = tiny_policy("qwen2_5_vl")[1]
    return Encoder(
        made.processor,
        tiny_sampling(),
        tokens_per_second=made.tokens_per_second,
        video_backend=video_backend,
        decode_seconds=decode_seconds,
    )


def batches(
    samples: Sequence[Sample], made_by: Encoder, report: Path, limit: int = 0
) -> tuple[Observed, list[BatchRows]]:
    """One clip with all of its questions a batch, the following clips spare."""
    units = [list(range(start, start + QUESTIONS)) for start in range(0, len(samples), QUESTIONS)]
    rows = [BatchRows(unit, [*units[k + 1 :], *units[:k]][:limit]) for k, unit in enumerate(units)]
    return Observed(AnsweredBatches(ReadableRows("r.json", samples, made_by, BadClips(report, limit)))), rows


def _wait_to_be_killed(folder: Path) -> None:
    made, rows = batches(questions(folder, ["a", "b"]), encoder(), folder / "bad.jsonl")
    loader = iter(ClipLoader(made, rows * 50, num_workers=2, prefetch_factor=1))
    seen = [held for (_, held), _ in zip(loader, range(4), strict=False)]
    hanging = BoundedReader(MoodyReader(Clip(video=encode(folder / "hangs.mp4", 5))), folder, 1000.0)
    hanging.size()
    threading.Thread(target=hanging.read, args=([0], 28, 28), daemon=True).start()
    helper = deadline._HELPER
    assert helper is not None
    print(*{held[name] for held in seen for name in ("pid", "helper")}, helper.process.pid, flush=True)
    time.sleep(10_000)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _wait_to_be_killed(Path(sys.argv[1]))
