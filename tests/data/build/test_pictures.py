"""Frames of clips on the disk: each once, whole, the right one; what cannot be read is told."""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medgrpo.data.build import footage, frame_folder
from medgrpo.data.build.canvas import answer_box, stored_box
from medgrpo.data.build.frame_flags import FrameFlags
from medgrpo.data.build.frame_folder import FrameFolder
from medgrpo.data.build.items import ClipPictures
from medgrpo.data.build.pictures import PicturePolicy, write_pictures, write_video_pictures
from medgrpo.data.readers.pyav import PyAVReader
from medgrpo.errors import ClipError, UserError
from medgrpo.types import Box, Canvas, Clip
from tests.data.build.scenes import clip_of, image_video, index_shown, picture, source_video
from tests.data.encoding import encode, rotate_clockwise


def draw(index: int, size: tuple[int, int]) -> np.ndarray:
    return picture(index // 25, *size)


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 seconds at 25 frames a second; the picture changes every second."""
    return encode(tmp_path_factory.mktemp("mp4") / "v.mp4", 300, gop=50, size=(60, 100), draw=draw)


def stored(out: Path, pictures: ClipPictures) -> list[np.ndarray]:
    frames = []
    for shown in pictures.pictures:
        content = (out / shown.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shown.sha256
        frames.append(np.asarray(Image.open(out / shown.file)))
        assert frames[-1].shape == (pictures.height, pictures.width, 3)
    return frames


def tree(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["png", "jpg", "mp4"])
def test_each_time_of_a_clip_gets_its_own_frame(kind: str, tmp_path: Path, mp4: Path) -> None:
    video = source_video(Clip(video=mp4)) if kind == "mp4" else image_video(tmp_path / "in", suffix=kind)
    clip = clip_of(video, 3.0, 11.0)
    found = write_pictures(video, clip, tmp_path / "out")
    assert [p.frame_id for p in found.pictures] == [25 * k for k in range(3, 11)]
    assert [p.time for p in found.pictures] == [float(k) for k in range(8)]
    assert found.pictures[0].file == "frames/CholecT50/VID01/000075.jpg"
    assert [index_shown(frame) for frame in stored(tmp_path / "out", found)] == list(range(3, 11))
    assert (found.problems, found.canvas, found.width, found.height) == ((), None, 100, 60)


def test_frame_numbers_may_start_at_one_and_run_at_another_rate_than_the_file(
    tmp_path: Path, mp4: Path
) -> None:
    for first_id, clock in ((1, 30.0), (0, 29.97), (1, 0.5)):
        video = source_video(Clip(video=mp4), first_id=first_id, clock=clock)
        clip = clip_of(video, 2.0, 12.0, fps=0.5)
        found = write_pictures(video, clip, tmp_path / f"{first_id}-{clock}")
        assert [p.frame_id for p in found.pictures] == [first_id + round(t * clock) for t in (2, 4, 6, 8, 10)]
        shown = [index_shown(frame) for frame in stored(tmp_path / f"{first_id}-{clock}", found)]
        assert shown == [2, 4, 6, 8, 10]


def test_clips_share_one_pass_and_write_no_frame_twice(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = source_video(Clip(video=mp4))
    clips = [clip_of(video, 0, 8), clip_of(video, 4, 12), clip_of(video, 2, 6, fps=2.0)]
    passes: list[int] = []
    written: list[str] = []
    decode, add = PyAVReader._decode, FrameFolder.add

    def decoded(self: PyAVReader, targets: np.ndarray) -> Any:
        passes.append(len(targets))
        assert (np.diff(targets) > 0).all()
        return decode(self, targets)

    def added(self: FrameFolder, name: str, content: bytes) -> str:
        written.append(name)
        return add(self, name, content)

    monkeypatch.setattr(PyAVReader, "_decode", decoded)
    monkeypatch.setattr(FrameFolder, "add", added)
    together = write_video_pictures(video, clips, tmp_path / "a")
    assert passes == [12 + 4], "12 whole seconds and 4 half ones, in one rising pass"
    assert len(written) == len(set(written)) == 16
    alone = tuple(write_pictures(video, clip, tmp_path / "b") for clip in reversed(clips))
    assert alone[::-1] == together
    assert tree(tmp_path / "a") == tree(tmp_path / "b"), "a frame's bytes do not depend on who asks"


def test_one_frame_at_a_time_is_in_memory(tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def looked(self: FrameFlags, video: object, frame_id: int, pixels: np.ndarray) -> tuple[str, ...]:
        seen.append(weakref.ref(pixels))
        alive.append(sum(ref() is not None for ref in seen))
        return ()

    monkeypatch.setattr(FrameFlags, "of", looked)
    for number, footage_of in enumerate([Clip(video=mp4), image_video(tmp_path / "in").footage]):
        seen.clear()
        video = source_video(footage_of)
        write_pictures(video, clip_of(video, 0, 12), tmp_path / str(number))
    assert len(alive) == 24
    assert max(alive) <= 2


def test_a_plain_jpeg_is_kept_byte_for_byte_and_one_with_notes_is_not(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in", suffix="jpg")
    exif = Image.Exif()
    exif[0x010F] = "Camera of Theatre 3"
    noted = video.footage.frames[4]
    Image.fromarray(picture(4)).save(noted, quality=95, exif=exif)
    found = write_pictures(video, clip_of(video, 0, 12), tmp_path / "out")
    for k, path in enumerate(video.footage.frames):
        content = (tmp_path / "out" / found.pictures[k].file).read_bytes()
        assert (content == path.read_bytes()) == (k != 4)
        assert b"Theatre" not in content
    assert [index_shown(frame) for frame in stored(tmp_path / "out", found)] == list(range(12))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_frames_that_cannot_be_read_are_told_and_the_clip_goes_on(tmp_path: Path, suffix: str) -> None:
    video = image_video(tmp_path / "in", suffix=suffix)
    missing, cut, small = (video.footage.frames[k] for k in (2, 5, 7))
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-200])
    Image.fromarray(picture(7, 30, 50)).save(small)
    clip = clip_of(video, 0, 12)
    with pytest.raises(ClipError, match=r"CholecT50 VID01: 9 of the 12 frames .* 90% are needed; 2\.0 s"):
        write_pictures(video, clip, tmp_path / "out")
    found = write_pictures(video, clip, tmp_path / "out", PicturePolicy(min_share=0.5))
    assert [p.frame_id // 25 for p in found.pictures] == [0, 1, 3, 4, 6, 8, 9, 10, 11]
    assert [problem[:19] for problem in found.problems] == [
        "2.0 s (frame 50): /", "5.0 s (frame 125): ", "7.0 s (frame 175): "
    ]  # fmt: skip
    assert "is missing" in found.problems[0]
    assert "broken" in found.problems[1]
    assert "is 50x30, the first frame is 100x60" in found.problems[2]


def test_a_video_damaged_in_places_loses_those_frames_alone(
    tmp_path: Path, mp4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = PyAVReader._decode

    def decoded(self: PyAVReader, targets: np.ndarray) -> Any:
        for target, frame in zip(targets, decode(self, targets), strict=True):
            if self._timeline.seconds[np.searchsorted(self._timeline.pts, target)] in (3.0, 4.0):
                raise footage.VideoError(self.path, "is damaged")
            yield frame

    monkeypatch.setattr(PyAVReader, "_decode", decoded)
    video = source_video(Clip(video=mp4))
    found = write_pictures(video, clip_of(video, 0, 12), tmp_path / "out", PicturePolicy(min_share=0.5))
    assert [index_shown(frame) for frame in stored(tmp_path / "out", found)] == [0, 1, 2, *range(5, 12)]
    assert len(found.problems) == 2
    monkeypatch.setattr(footage, "GIVE_UP", 1)
    left = write_video_pictures(video, [clip_of(video, 0, 12)], tmp_path / "out")[0]
    assert "3 of the 12 frames" in str(left)


def test_a_video_that_cannot_be_read_is_the_problem_of_every_clip(tmp_path: Path, mp4: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(mp4.read_bytes()[:5000])
    video = source_video(Clip(video=broken))
    found = write_video_pictures(video, [clip_of(video, 0, 4), clip_of(video, 4, 8)], tmp_path / "out")
    assert [type(problem) for problem in found] == [ClipError, ClipError]
    assert "CholecT50 VID01" in str(found[0])
    assert "broken.mp4" in str(found[0])
    assert tree(tmp_path / "out") == {}


def test_times_without_a_frame_are_told(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in")
    kept = [k for k in range(12) if k != 6]
    frames = Clip(
        frames=tuple(video.footage.frames[k] for k in kept), times=tuple(float(k) for k in kept), fps=1.0
    )
    found = write_pictures(replace(video, footage=frames), clip_of(video, 0, 12), tmp_path / "out")
    assert found.problems == ("6.0 s (frame 150): there is no frame, the nearest one is at 5.000 s",)


def test_larger_frames_are_made_smaller_and_boxes_follow(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in")
    found = write_pictures(video, clip_of(video, 0, 11), tmp_path / "out", PicturePolicy(longest_side=50))
    assert (found.width, found.height) == (50, 30)
    assert [index_shown(frame, 0.5) for frame in stored(tmp_path / "out", found)] == list(range(11))
    assert stored_box(Box(20, 40, 100, 80), video, found) == Box(5, 10, 25, 20)
    assert answer_box(Box(20, 40, 100, 80), video, found) == Box(5, 10, 25, 20)


def test_boxes_of_cholectrack20_stay_on_their_canvas(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in", source="CholecTrack20", canvas=Canvas(854, 480))
    files = [tmp_path / "in" / f"{k}.png" for k in range(12)]
    for k, file in enumerate(files):
        Image.fromarray(picture(k, 54, 96)).save(file)
    video = replace(video, footage=replace(video.footage, frames=tuple(files)))
    found = write_pictures(video, clip_of(video, 0, 12), tmp_path / "out")
    assert (found.canvas, found.width, found.height) == (Canvas(854, 480), 96, 54)
    box = Box(427, 240, 854, 480)
    assert answer_box(box, video, found) == box
    assert stored_box(box, video, found).xyxy == pytest.approx((48, 27, 96, 54))


def test_rotated_footage_is_stored_upright_and_must_fit_its_boxes(tmp_path: Path) -> None:
    turned = rotate_clockwise(encode(tmp_path / "v.mp4", 50, size=(60, 100)))
    upright = source_video(Clip(video=turned), canvas=Canvas(60, 100))
    found = write_pictures(upright, clip_of(upright, 0, 2), tmp_path / "out")
    assert (found.width, found.height) == (60, 100)
    lying = replace(upright, canvas=Canvas(100, 60))
    with pytest.raises(ClipError, match="refer to 100x60, the footage is shown as 60x100; it is rotated"):
        write_pictures(lying, clip_of(lying, 0, 2), tmp_path / "out")
    with pytest.raises(ClipError, match=r"refer to 100x90, the footage is shown as 60x100$"):
        write_pictures(replace(upright, canvas=Canvas(100, 90)), clip_of(lying, 0, 2), tmp_path / "out")


def test_an_interrupted_writing_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = image_video(tmp_path / "in")
    clip = clip_of(video, 0, 12)
    write_pictures(video, clip, tmp_path / "whole")
    monkeypatch.setattr(frame_folder, "TOGETHER", 5)
    replaced = frame_folder.os.replace

    def stopped(source: Path, target: Path) -> None:
        if "000175" in str(target):
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(frame_folder.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_pictures(video, clip, tmp_path / "out")
    whole = tree(tmp_path / "whole")
    left = tree(tmp_path / "out")
    assert 0 < len(left) < 12
    assert left.items() <= whole.items()
    # What a killed process leaves behind is gone after the next run.
    folder = tmp_path / "out" / "frames" / "CholecT50" / "VID01"
    (folder / ".000175.jpg.0123.part").write_bytes(b"half")
    monkeypatch.setattr(frame_folder.os, "replace", replaced)
    write_pictures(video, clip, tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in")
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot be written"):
        write_pictures(video, clip_of(video, 0, 4), tmp_path / "out")


def test_names_of_videos_cannot_leave_the_folder(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in", video_id="../../x y")
    found = write_pictures(video, clip_of(video, 0, 4), tmp_path / "out")
    assert found.pictures[0].file == "frames/CholecT50/..%2F..%2Fx%20y/000000.jpg"
    with pytest.raises(UserError, match="cannot be the name of a video"):
        write_pictures(replace(video, video_id=".."), clip_of(video, 0, 4), tmp_path / "out")


def test_wrong_settings_are_named() -> None:
    for wrong in ({"quality": 0}, {"longest_side": 3}, {"min_share": 0.0}, {"video_backend": "vlc"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            PicturePolicy(**wrong)  # type: ignore[arg-type]
