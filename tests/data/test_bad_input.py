"""Files that are no clips: one typed error that names the file, within a bounded time, by every decoder."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from medgrpo.data.clip_frames import ClipFrames
from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.media import MediaPaths
from medgrpo.data.readers import VideoError, open_reader
from medgrpo.data.records import parse_record
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import ClipError
from medgrpo.types import Clip
from tests.data.encoding import SIZE, encode, picture
from tests.data.test_readers import HERE
from tests.data.test_records import row

INDEX_FIRST = {"movflags": "faststart"}


def _shortened(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def _noise(path: Path) -> Path:
    path.write_bytes(random.Random(0).randbytes(20_000))
    return path


def _encrypted_payload(path: Path) -> Path:
    """An index that is right over pictures that are noise."""
    data = bytearray(_index_first(path).read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = random.Random(0).randbytes(len(data) - start)
    path.write_bytes(data)
    return path


def _index_first(path: Path) -> Path:
    """An MP4 whose index stands before its pictures, as for the web."""
    source = encode(path.with_name("source.mp4"), 40)
    with av.open(str(source)) as reader, av.open(str(path), "w", options=INDEX_FIRST) as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for packet in reader.demux(stream):
            if packet.size:
                packet.stream = copy
                writer.mux(packet)
    return path


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        block.sample_rate = 16000
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return path


def _at_rate(path: Path, base: Fraction, ticks: list[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        for k, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = tick, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _text(path: Path) -> Path:
    path.write_text("<html>not found</html>")
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


BAD_VIDEOS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path, "cannot be opened: No such file"),
    "empty": (_empty, "cannot be read"),
    "text": (_text, "cannot be read"),
    "directory": (_directory, "is a directory, not a video file"),
    "pipe": (_pipe, "is not a regular file"),
    "random bytes": (_noise, "cannot be read"),
    "encrypted pictures": (_encrypted_payload, ""),
    "truncated, index lost": (lambda path: _shortened(encode(path, 40), 0.5), "cannot be read"),
    "truncated, index kept": (lambda path: _shortened(_index_first(path), 0.6), "is truncated"),
    "no frames": (lambda path: encode(path, 0), ""),
    "sound alone": (_sound, "holds no video stream"),
    "a million frames a second": (
        lambda path: _at_rate(path, Fraction(1, 1_000_000), list(range(20))),
        "frame rate is absurd",
    ),
    "a frame in five hours": (
        lambda path: _at_rate(path, Fraction(1), [18_000 * k for k in range(8)]),
        "frame rate is absurd",
    ),
}


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("kind", BAD_VIDEOS)
def test_a_bad_video_is_one_typed_error(kind: str, backend: str, tmp_path: Path) -> None:
    make, says = BAD_VIDEOS[kind]
    path = make(tmp_path / "clip.mp4")
    reader = open_reader(Clip(video=path), backend, decode_seconds=30)
    with pytest.raises(VideoError, match=rf"clip\.mp4: .*{says}") as caught:
        reader.read(range(len(reader.times())), 28, 56)
    assert caught.value.path == path
    assert "took longer" not in str(caught.value)


@pytest.mark.parametrize("backend", HERE)
def test_pictures_that_end_in_the_scan_or_after_it_are_no_shorter_clip(backend: str, tmp_path: Path) -> None:
    path = _index_first(tmp_path / "a.mp4")
    reader = open_reader(Clip(video=path), backend)
    assert len(reader.times()) == 40
    _shortened(path, 0.6)
    with pytest.raises(VideoError, match=r"a\.mp4: "):
        reader.read([0, 39], *SIZE)
    with pytest.raises(VideoError, match=r"a\.mp4: is truncated: it has \d+ bytes, its index reaches to"):
        open_reader(Clip(video=path), backend).times()


def _frames(folder: Path, ids: list[int]) -> list[str]:
    for k in ids:
        Image.fromarray(picture(k)).save(folder / f"{k:06d}.jpg", quality=95)
    return [f"{k:06d}.jpg" for k in ids]


def test_a_list_with_gaps_has_its_true_times_and_names_what_is_missing(tmp_path: Path) -> None:
    ids = [0, 30, 60, 300, 330, 360]
    record = row(video=_frames(tmp_path, ids), sampled_video_frames=ids, metadata={"fps": "1"})
    sample = parse_record(record, 0, MediaPaths.beside(tmp_path / "rows.json"))
    assert sample.clip.times == pytest.approx((0, 1, 2, 10, 11, 12))
    frames = ClipFrames(SamplingPolicy(min_frames=6), FrameCache())
    _, plan = frames.read(sample)
    assert plan.true_times.tolist() == pytest.approx([0, 1, 2, 10, 11, 12])
    (tmp_path / "000300.jpg").unlink()
    with pytest.raises(VideoError, match=r"000300\.jpg: frame 3 of the clip cannot be opened"):
        frames.read(sample)
    strict = ClipFrames(SamplingPolicy(max_residual=0.5), FrameCache())
    with pytest.raises(ClipError, match=r"told times differ from true ones by up to"):
        strict.read(sample)


@pytest.mark.parametrize("share", [0.2, 0.9, 0.99])
def test_an_image_that_ends_early_is_never_shown_in_part(share: float, tmp_path: Path) -> None:
    names = _frames(tmp_path, [0, 1, 2, 3])
    record = row(video=names, sampled_video_frames=[0, 1, 2, 3], metadata={"fps": "1"})
    sample = parse_record(record, 0, MediaPaths.beside(tmp_path / "rows.json"))
    _shortened(tmp_path / names[2], share)
    with pytest.raises(VideoError, match=r"000002\.jpg: frame 2 of the clip is broken"):
        ClipFrames(SamplingPolicy(), FrameCache()).read(sample)
