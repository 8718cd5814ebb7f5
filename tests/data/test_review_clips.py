"""Films of clips, decoded again and compared with the frames that they were made of."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from medgrpo.data import review_clips, review_film
from medgrpo.data.review_clips import ReviewClip, clear_abandoned, make_review_clip, review_clip, rooted
from medgrpo.data.review_pictures import review_size
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Clip
from tests.data.encoding import encode

COLOURS = [(200, 30, 40), (20, 160, 60), (30, 60, 210), (230, 220, 90), (120, 120, 120)]
CARD = (38, 42, 48)


def frames(folder: Path, sizes: list[tuple[int, int]]) -> tuple[Path, ...]:
    """Plain pictures of (height, width), each of another colour."""
    folder.mkdir(exist_ok=True)
    paths = []
    for k, (height, width) in enumerate(sizes):
        paths.append(folder / f"{k}.png")
        Image.new("RGB", (width, height), COLOURS[k % 5]).save(paths[-1])
    return tuple(paths)


def decoded(made: ReviewClip) -> tuple[list[float], list[np.ndarray], Any]:
    with av.open(str(made.film)) as film:
        stream = film.streams.video[0]
        found = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in film.decode(stream)]
        facts = {
            "codec": stream.codec_context.name,
            "format": stream.pix_fmt,
            "duration": float(stream.duration * stream.time_base),
        }
    return [time for time, _ in found], [pixels for _, pixels in found], facts


def test_frames_are_held_for_as_long_as_they_were(tmp_path: Path) -> None:
    times = (3.0, 3.5, 3.54, 7.25, 8.0)
    made = make_review_clip(Clip(frames(tmp_path / "f", [(60, 80)] * 5), times=times, fps=2.0), tmp_path)
    presented, pixels, facts = decoded(made)
    assert facts == {"codec": "h264", "format": "yuv420p", "duration": pytest.approx(5.625, abs=1e-4)}
    for start in (0.0, 0.5, 0.54, 4.25, 5.0):
        assert min(abs(time - start) for time in presented) < 1e-4
    assert max(np.diff(presented)) <= 1.0 + 1e-6  # something to start from near every moment
    for second in np.arange(0.01, 5.6, 0.17):  # what is seen is the frame of that moment
        index = bisect_right([time - 3.0 for time in times], second) - 1
        shown = pixels[bisect_right(presented, second) - 1]
        assert np.abs(shown.mean((0, 1)) - COLOURS[index]).max() < 6
    assert made.read().shown.times == times


def test_keyframes_come_every_second_and_the_index_first(tmp_path: Path) -> None:
    clip = Clip(frames(tmp_path / "f", [(60, 80)] * 5) * 20, times=tuple(0.1 * k for k in range(100)))
    made = make_review_clip(clip, tmp_path)
    with av.open(str(made.film)) as film:
        keys = [
            float(p.pts * p.time_base) for p in film.demux(video=0) if p.pts is not None and p.is_keyframe
        ]
    assert max(np.diff([*keys, 10.0])) <= 1.2
    content = made.film.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("stored", "film"),
    [((481, 853), (480, 852)), ((1080, 1920), (480, 854)), ((33, 47), (32, 48)), ((1, 1), (2, 2)),
     ((200, 3000), (86, 1280))],
)  # fmt: skip
def test_sizes_are_even_and_bounded(stored: tuple[int, int], film: tuple[int, int]) -> None:
    assert review_size(*stored) == film


def test_odd_sizes_and_a_single_frame_become_a_film(tmp_path: Path) -> None:
    made = make_review_clip(Clip(frames(tmp_path / "f", [(33, 47)]), times=(0.0,), fps=1.0), tmp_path)
    presented, pixels, facts = decoded(made)
    assert presented == [0.0]
    assert pixels[0].shape == (32, 48, 3)
    assert facts["duration"] == pytest.approx(1.0)


def test_frames_of_another_shape_stand_between_borders(tmp_path: Path) -> None:
    paths = frames(tmp_path / "f", [(60, 80), (60, 40), (120, 160)])
    made = make_review_clip(Clip(paths, times=(0.0, 0.5, 1.0), fps=2.0), tmp_path)
    presented, pixels, _ = decoded(made)
    assert presented == pytest.approx([0.0, 0.5, 1.0])
    assert pixels[1][30, 5].max() < 12
    assert np.abs(pixels[1][30, 40].astype(int) - COLOURS[1]).max() < 8
    assert np.abs(pixels[2][30, 5].astype(int) - COLOURS[2]).max() < 8  # the same shape, only larger
    assert made.read().reshaped == 1


def test_missing_frames_are_counted_and_their_time_shows_a_card(tmp_path: Path) -> None:
    paths = frames(tmp_path / "f", [(60, 80)] * 5)
    paths[0].unlink()
    paths[3].write_bytes(b"\x89PNG broken")
    made = make_review_clip(Clip(paths, times=(0.0, 0.5, 1.0, 1.5, 2.0), fps=2.0), tmp_path)
    _, pixels, _ = decoded(made)
    for k in (0, 3):
        assert np.abs(pixels[k][8, 20].astype(int) - CARD).max() < 12
        assert pixels[k].max() > 180  # words
    told = made.read()
    assert set(told.missing) == {0, 3}
    assert "is missing" in told.missing[0]
    assert told.frames == 5


def test_nothing_to_see_is_an_error_and_no_film(tmp_path: Path) -> None:
    clip = Clip((tmp_path / "0.png", tmp_path / "1.png"), times=(0.0, 1.0))
    with pytest.raises(ClipError, match=r"none of the 2 frames of the clip can be read .*0\.png"):
        make_review_clip(clip, tmp_path / "m")
    broken = frames(tmp_path / "f", [(60, 80)])[0]
    broken.write_bytes(broken.read_bytes()[:60])  # the header is whole
    with pytest.raises(ClipError, match="none of the 1 frames"):
        make_review_clip(Clip((broken,), times=(0.0,)), tmp_path / "m")
    assert list((tmp_path / "m").glob("*")) == []


def test_a_span_of_a_video_file_is_cut_out(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", 75)  # 25 a second
    made = make_review_clip(Clip(video=source, fps=1.0, start=0.8, end=2.0), tmp_path)
    presented, pixels, facts = decoded(made)
    assert presented == pytest.approx([0.04 * k for k in range(31)], abs=1e-4)
    assert facts["duration"] == pytest.approx(1.24, abs=1e-4)
    with av.open(str(source)) as film:
        wanted = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)][20:51]
    for ours, theirs in zip(pixels, wanted, strict=True):
        assert np.abs(ours.astype(int) - theirs.astype(int)).mean() < 14


def test_a_missing_video_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"gone\.mp4: cannot be opened"):
        make_review_clip(Clip(video=tmp_path / "gone.mp4"), tmp_path)


def test_the_name_follows_the_source_and_says_nothing(tmp_path: Path) -> None:
    paths = frames(tmp_path / "Jane_Doe", [(60, 80)] * 2)
    clip = Clip(paths, times=(0.0, 0.5))
    first = make_review_clip(clip, tmp_path / "m")
    assert make_review_clip(clip, tmp_path / "m") == first
    assert len(first.key) == 32
    assert set(first.key) <= set("0123456789abcdef")
    assert b"Jane" not in first.film.read_bytes()
    others = {
        review_clip(Clip(paths, times=(0.0, 0.6)), tmp_path / "m").key,
        review_clip(Clip(paths[:1], times=(0.0,)), tmp_path / "m").key,
    }
    os.utime(paths[1], ns=(1, 1))
    others.add(review_clip(clip, tmp_path / "m").key)
    paths[1].unlink()
    others.add(review_clip(clip, tmp_path / "m").key)
    assert len(others | {first.key}) == 5
    relative = Clip((Path("Jane_Doe/0.png"),), times=(0.0,))
    assert rooted(relative, tmp_path) == Clip(paths[:1], times=(0.0,))


def test_several_makers_of_one_clip_leave_one_whole_film(tmp_path: Path) -> None:
    clip = Clip(frames(tmp_path / "f", [(60, 80)] * 3), times=(0.0, 0.5, 1.0))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make_review_clip(clip, tmp_path / "m"), range(4)))
    assert len(set(made)) == 1
    assert sorted(path.suffix for path in (tmp_path / "m").iterdir()) == [".json", ".mp4"]
    assert decoded(made[0])[0] == pytest.approx([0.0, 0.5, 1.0])


def test_a_full_disk_is_one_message_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise av.error.OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(review_clips, "encode_film", full)
    clip = Clip(frames(tmp_path / "f", [(60, 80)]), times=(0.0,))
    with pytest.raises(UserError, match="no space is left on the disk"):
        make_review_clip(clip, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_a_source_that_changes_meanwhile_makes_no_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = frames(tmp_path / "f", [(60, 80)])

    def slow(path: Path, *arguments: Any) -> None:
        review_film.encode_film(path, *arguments)
        os.utime(paths[0], ns=(5, 5))

    monkeypatch.setattr(review_clips, "encode_film", slow)
    with pytest.raises(ClipError, match="changed while"):
        make_review_clip(Clip(paths, times=(0.0,)), tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_a_damaged_sidecar_is_told(tmp_path: Path) -> None:
    made = make_review_clip(Clip(frames(tmp_path / "f", [(60, 80)]), times=(0.0,)), tmp_path)
    for content in ("{", "[]", '{"shown": {}}'):
        made.sidecar.write_text(content)
        with pytest.raises(UserError, match=r"\.json"):
            made.read()


def test_what_killed_makers_left_goes_after_a_day(tmp_path: Path) -> None:
    made = make_review_clip(Clip(frames(tmp_path / "f", [(60, 80)]), times=(0.0,)), tmp_path / "m")
    old, new = (tmp_path / "m" / f".{made.key}.mp4.{name}.part" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    os.utime(made.film, (1, 1))
    clear_abandoned(tmp_path / "m")
    assert not old.exists()
    assert new.exists()
    assert made.ready
    clear_abandoned(tmp_path / "nowhere")
