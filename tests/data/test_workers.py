"""Data workers neither leak nor hang, whatever starts or ends them, and make no more than is asked for."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from medgrpo.data.clip_loader import ClipLoader
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.readers import VIDEO_BACKENDS
from medgrpo.data.rollout_batch import AnswerGroup, StepSize, collate_groups
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.types import Completion
from tests.data import workers
from tests.data.workers import MoodyReader, alive, batches, encoder, holdings, questions


def _wait_until_gone(pids: set[int]) -> None:
    end = time.monotonic() + 120
    while (left := {pid for pid in pids if alive(pid)}) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == set()


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one.pixel_values_videos, other.pixel_values_videos) and torch.equal(
        one.input_ids, other.input_ids
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


def test_files_threads_and_processes_are_given_back(clips: Path, tmp_path: Path) -> None:
    made, rows = batches(questions(clips, [f"v{k}" for k in range(12)]), encoder(), tmp_path / "r")
    made.batches.rows.encoder.frames.cache.memory_bytes = 0  # every clip is decoded every time
    list(ClipLoader(made, rows[:2], num_workers=2, prefetch_factor=1))  # what is set up once
    gc.collect()
    before = holdings()
    loader = ClipLoader(made, rows * 2, num_workers=2, prefetch_factor=2)
    seen = [held for _ in range(2) for _, held in loader]
    by_worker: dict[int, list[tuple[int, int]]] = {}
    for held in seen:
        by_worker.setdefault(held["pid"], []).append((held["files"], held["threads"]))
    assert len(by_worker) == 2  # they persist through epochs
    for counts in by_worker.values():
        assert len(counts) == 24
        assert max(counts[12:]) <= max(counts[:12])
    pids = {held[name] for held in seen for name in ("pid", "helper")}
    assert len(pids) == 4
    del loader
    gc.collect()
    _wait_until_gone(pids)
    end = time.monotonic() + 60
    while holdings() != before and time.monotonic() < end:  # a thread ends a moment after what it waits for
        time.sleep(0.1)
    assert holdings() == before


def test_nothing_outlives_an_owner_that_is_killed(clips: Path) -> None:
    root = Path(__file__).parents[2]
    owner = subprocess.Popen(
        [sys.executable, str(Path(workers.__file__)), str(clips)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pids = {int(pid) for pid in owner.stdout.readline().split()}
    assert len(pids) == 5
    assert all(map(alive, pids))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    _wait_until_gone(pids)


@pytest.mark.parametrize(
    ("start", "backend", "seconds"),
    [
        ("fork", "pyav", None),
        ("fork", "torchcodec", None),
        ("fork", "pyav", 60.0),
        ("spawn", "pyav", 60.0),
        ("spawn", "torchcodec", None),
    ],
)
def test_workers_read_what_the_parent_has_read(
    start: str, backend: str, seconds: float | None, clips: Path, tmp_path: Path
) -> None:
    made, rows = batches(questions(clips, ["v0", "v1"]), encoder(backend, seconds), tmp_path / "r")
    here = [made[row] for row in rows]
    # What a worker gets with spawn are settings, not pixels.
    assert len(pickle.dumps(made.batches.rows.encoder.frames)) < 10_000
    loader = ClipLoader(made, rows, num_workers=1, prefetch_factor=1)
    loader.multiprocessing_context = start
    there = list(loader)
    assert all(_equal(one, other) for (one, _), (other, _) in zip(here, there, strict=True))
    assert {held["pid"] for _, held in there}.isdisjoint({os.getpid()})


class _Counted(Dataset[int]):
    """Counts what has been made, in all processes."""

    def __init__(self) -> None:
        self.made = multiprocessing.Value("i", 0)

    def __getitem__(self, index: int) -> int:
        with self.made.get_lock():
            self.made.value += 1
        return index


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 1), (2, 3)])
def test_what_is_made_ahead_is_bounded(workers: int, ahead: int) -> None:
    counted = _Counted()
    loader = iter(ClipLoader(counted, range(100), num_workers=workers, prefetch_factor=ahead))
    for taken in range(1, 6):
        assert next(loader) == taken - 1
        bound = workers * ahead + taken
        end = time.monotonic() + 60
        while counted.made.value < bound and time.monotonic() < end:
            time.sleep(0.01)
        assert counted.made.value == bound


def test_a_decoder_that_hangs_or_crashes_is_set_aside_in_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VIDEO_BACKENDS, "moody", MoodyReader)
    samples = questions(tmp_path, ["v0", "hangs", "crashes", "v1"])
    report = tmp_path / "bad.jsonl"
    made, rows = batches(samples, encoder("moody", 10.0), report, limit=2)
    seen = list(ClipLoader(made, rows, num_workers=2, prefetch_factor=1))
    alone = [made.batches[row] for row in (rows[0], rows[3])]
    assert [any(_equal(batch, right) for right in alone) for batch, _ in seen] == [True] * 4
    assert _equal(seen[1][0], alone[1])  # the clip after the crash, with its own questions
    told = report.read_text()
    assert told.count("decoding took longer than 10 s and was stopped") == 3  # one line a question
    assert told.count("the decoder crashed (signal 6)") == 3
    helpers = {held["helper"] for _, held in seen if held["helper"] is not None}
    _wait_until_gone(helpers)


class _Failing(Dataset[None]):
    """Raises errors that a class of their own or several arguments make hard to pass on."""

    errors = (UserError("row 3: a\nb"), MissingExtraError("decord", "video"))

    def __getitem__(self, index: int) -> None:
        raise self.errors[index]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("index", [0, 1])
def test_errors_arrive_as_they_were_raised(index: int, workers: int) -> None:
    loader = ClipLoader(_Failing(), [index], num_workers=workers, prefetch_factor=1)
    with pytest.raises(UserError) as caught:
        next(iter(loader))
    assert type(caught.value) is type(_Failing.errors[index])
    assert str(caught.value) == str(_Failing.errors[index])


def test_pixels_of_a_clip_are_one_copy(clips: Path, tmp_path: Path) -> None:
    samples = questions(clips, ["v0"])
    coder = encoder()
    prompts = [coder.prompt(sample) for sample in samples]
    assert all(prompt.clip is prompts[0].clip for prompt in prompts)
    cached = next(entry for entry in coder.frames.cache._entries.values() if entry.ndim == 4)
    assert np.shares_memory(prompts[0].clip.frames.numpy(), cached)
    patches = int(np.prod(prompts[0].clip.grid))
    made, rows = batches(samples, coder, tmp_path / "r")
    ((batch, _),) = ClipLoader(made, rows, num_workers=1, prefetch_factor=1)
    assert len(batch) == workers.QUESTIONS
    assert len(batch.pixel_values_videos) == patches
    answers = tuple(Completion("x", (5, 6), (-1.0, -1.0), "stop") for _ in range(8))
    group = AnswerGroup(prompts[0], answers, np.zeros(8), True)
    rollout = collate_groups(coder, [group], StepSize(8, 16, 16.0)).policy
    assert len(rollout) == 8
    assert len(rollout.pixel_values_videos) == patches


def test_memory_is_that_of_the_cache_however_many_clips(clips: Path) -> None:
    coder = encoder()
    samples = questions(clips, [f"v{k}" for k in range(12)])[:: workers.QUESTIONS]
    size = coder.prompt(samples[0]).clip.frames.nbytes
    coder.frames.cache = FrameCache(memory_bytes=3 * size)
    for sample in samples:
        coder.prompt(sample)
        assert coder.frames.cache._bytes <= 3 * size
    assert len(coder._clips) == 0
