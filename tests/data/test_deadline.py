"""Decoders that hang or crash, as their callers see it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from medgrpo.data.readers import VideoError, deadline, open_reader
from medgrpo.errors import UserError
from medgrpo.types import Clip
from tests.data.encoding import SIZE, encode


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("deadline") / "a.mp4", 30)


def helper_pid() -> int:
    assert deadline._HELPER is not None
    return deadline._HELPER.process.pid


def test_bounded_reading_is_the_same_reading(video: Path) -> None:
    plain, bounded = open_reader(Clip(video=video)), open_reader(Clip(video=video), decode_seconds=60)
    assert np.array_equal(bounded.times(), plain.times())
    assert bounded.size() == plain.size()
    assert bounded.identity() == plain.identity()
    assert np.array_equal(bounded.read([3, 29, 3], *SIZE), plain.read([3, 29, 3], *SIZE))
    assert bounded.read([], 20, 30).shape == (0, 3, 20, 30)
    with pytest.raises(IndexError, match="the clip has 30"):
        bounded.read([30], *SIZE)
    first = helper_pid()
    open_reader(Clip(video=video), decode_seconds=60).size()
    assert helper_pid() == first


def test_a_hanging_decoder_is_stopped_and_the_next_clip_is_read(video: Path) -> None:
    open_reader(Clip(video=video), decode_seconds=60).times()  # starts it
    reader = open_reader(Clip(video=video), decode_seconds=1.5)
    hung = helper_pid()
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(VideoError, match=r"a\.mp4: decoding took longer than 1\.5 s and was stopped"):
        reader.read([0], *SIZE)
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)
    assert open_reader(Clip(video=video), decode_seconds=60).read([0], *SIZE).shape == (1, 3, *SIZE)


def test_a_crashing_decoder_is_an_error(video: Path) -> None:
    reader = open_reader(Clip(video=video), decode_seconds=60)
    reader.times()
    os.kill(helper_pid(), signal.SIGSEGV)
    with pytest.raises(VideoError, match=r"a\.mp4: the decoder crashed \(signal 11\)"):
        reader.read([0], *SIZE)
    assert reader.read([0], *SIZE).shape == (1, 3, *SIZE)


def test_errors_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("no video")
    with pytest.raises(VideoError, match=r"a\.mp4: cannot be read by the pyav backend"):
        open_reader(Clip(video=path), decode_seconds=60).times()
    with pytest.raises(UserError, match="decode_seconds must be positive"):
        open_reader(Clip(video=path), decode_seconds=0)


def _read_in_a_fork(path: Path, parent: int, answer: multiprocessing.SimpleQueue[tuple[int, bool]]) -> None:
    assert deadline._HELPER is None
    frames = open_reader(Clip(video=path), decode_seconds=60).read([5], *SIZE)
    answer.put((int(frames.sum()), helper_pid() != parent))


def test_a_forked_worker_has_its_own_decoder(video: Path) -> None:
    reader = open_reader(Clip(video=video), decode_seconds=60)
    expected = int(reader.read([5], *SIZE).sum())
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    worker = context.Process(target=_read_in_a_fork, args=(video, helper_pid(), answer), daemon=True)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert answer.get() == (expected, True)
    assert int(reader.read([5], *SIZE).sum()) == expected


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=r"a\.mp4: is not a regular file"):
        open_reader(Clip(video=tmp_path / "a.mp4")).times()
    os.mkfifo(tmp_path / "a.jpg")
    clip = Clip(frames=(tmp_path / "a.jpg",), times=(0.0,))
    with pytest.raises(VideoError, match=r"a\.jpg: frame 0 of the clip is not a regular file"):
        open_reader(clip).size()
