"""Which pictures a writer gets, what is on them, and which never leave the machine."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medgrpo.data.build import writer_pictures as module
from medgrpo.data.build.frame_flags import FrameFlags
from medgrpo.data.build.items import BuildClip, ClipPictures, Draft
from medgrpo.data.build.pictures import write_pictures
from medgrpo.data.build.writer_pictures import WriterPicturePolicy, writer_pictures
from medgrpo.data.readers import VideoError
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import UserError
from medgrpo.types import Box, Segment
from tests.data.build.scenes import clip_of, image_video, index_shown

PLAIN = WriterPicturePolicy(most=4, quality=95, annotated=False)


@pytest.fixture
def video(tmp_path: Path) -> SourceVideo:
    return image_video(tmp_path / "in")


@pytest.fixture
def clip(video: SourceVideo) -> BuildClip:
    return clip_of(video, 0, 12)


@pytest.fixture
def pictures(video: SourceVideo, clip: BuildClip, tmp_path: Path) -> ClipPictures:
    return write_pictures(video, clip, tmp_path)


def draft(clip: BuildClip, **other: object) -> Draft:
    return Draft("key", "video_summary", "video", clip, "What is done?", **other)  # type: ignore[arg-type]


def flagged(pictures: ClipPictures, seconds: dict[int, str]) -> ClipPictures:
    marked = tuple(
        replace(p, flags=(seconds[round(p.time)],)) if round(p.time) in seconds else p
        for p in pictures.pictures
    )
    return replace(pictures, pictures=marked)


def pixels(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def seconds(shown: module.WriterPictures) -> list[int]:
    """Of the pictures, as their pixels tell; the captions must say the same."""
    found = [index_shown(pixels(uri)) for _, uri in shown.pictures]
    assert [round(float(caption.split()[0])) for caption, _ in shown.pictures] == found
    return found


def test_few_pictures_are_spread_over_the_clip(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    shown = writer_pictures(video, draft(clip), pictures, tmp_path, PLAIN, remote=True)
    assert seconds(shown) == [0, 4, 7, 11]
    assert (shown.withheld, shown.complete) == (0, True)
    one = writer_pictures(video, draft(clip), pictures, tmp_path, replace(PLAIN, most=1), remote=True)
    assert seconds(one) in ([5], [6])
    every = writer_pictures(video, draft(clip), pictures, tmp_path, replace(PLAIN, most=99), remote=True)
    assert seconds(every) == list(range(12))


def test_annotations_are_drawn_and_told(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    policy = replace(PLAIN, most=12, annotated=True)
    shown = writer_pictures(video, draft(clip), pictures, tmp_path, policy, remote=True)
    assert shown.pictures[7][0] == (
        "7.0 s: phase calot triangle dissection; grasper retract gallbladder; hook"
    )
    plain = writer_pictures(video, draft(clip), pictures, tmp_path, replace(PLAIN, most=12), remote=True)
    assert plain.pictures[7][0] == "7.0 s"
    # The annotation's canvas is twice as large as the frame: the box's left edge is at 40 / 2.
    differs = np.abs(pixels(shown.pictures[7][1]).astype(int) - pixels(plain.pictures[7][1])).sum(axis=2)
    assert (differs[30:40, 19:22].max(axis=1) > 100).all()


def test_times_are_from_the_start_of_the_clip(video: SourceVideo, tmp_path: Path) -> None:
    clip = clip_of(video, 6, 9)
    found = write_pictures(video, clip, tmp_path)
    shown = writer_pictures(video, draft(clip), found, tmp_path, remote=True)
    assert [caption for caption, _ in shown.pictures] == [
        "0.0 s: phase calot triangle dissection",
        "1.0 s: phase calot triangle dissection; grasper retract gallbladder; hook",
        "2.0 s: phase calot triangle dissection",
    ]


def test_flagged_frames_are_never_opened_for_a_remote_writer(
    video: SourceVideo,
    clip: BuildClip,
    pictures: ClipPictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked = flagged(pictures, {0: "out_of_body", 4: "identifying", 5: "black", 7: "a word of one's own"})
    opened: list[str] = []
    read = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path, name: opened.append(path.name) or read(path, name))
    for most in range(1, 13):
        policy = replace(PLAIN, most=most)
        shown = writer_pictures(video, draft(clip), marked, tmp_path, policy, remote=True)
        assert not set(seconds(shown)) & {0, 4, 5, 7}
        assert (len(shown.pictures), shown.withheld) == (min(most, 8), 4)
    assert not {f"{25 * k:06d}.jpg" for k in (0, 4, 5, 7)} & set(opened)
    here = writer_pictures(video, draft(clip), marked, tmp_path, replace(PLAIN, most=12), remote=False)
    assert seconds(here) == [k for k in range(12) if k != 5], "a writer on this machine is spared black ones"


def test_a_clip_of_which_all_is_flagged_is_withheld(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    marked = flagged(pictures, dict.fromkeys(range(12), "identifying"))
    shown = writer_pictures(video, draft(clip), marked, tmp_path, PLAIN, remote=True)
    assert shown == module.WriterPictures((), 12, complete=False)


def test_black_frames_of_a_real_clip_are_not_sent(tmp_path: Path) -> None:
    video = image_video(tmp_path / "in")
    for k in (0, 1, 2):
        Image.fromarray(np.zeros((60, 100, 3), np.uint8)).save(video.footage.frames[k])
    clip = clip_of(video, 0, 12)
    found = write_pictures(video, clip, tmp_path, None, FrameFlags())
    shown = writer_pictures(video, draft(clip), found, tmp_path, PLAIN, remote=True)
    assert seconds(shown) == [3, 6, 8, 11]


def test_every_event_has_a_picture(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    events = (Segment(1.0, 2.0), Segment(2.0, 3.0), Segment(9.0, 12.0))
    shown = writer_pictures(video, draft(clip, events=events), pictures, tmp_path, PLAIN, remote=True)
    found = seconds(shown)
    assert len(found) == 4
    assert {1, 2, 10} < set(found)


def test_a_region_has_its_box_in_green_without_a_label_and_no_annotations(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    region = draft(clip, region_time=3.0, region_end=7.0, region_box=Box(10, 15, 40, 45), region_label="hook")
    policy = replace(PLAIN, annotated=True)
    shown = writer_pictures(video, region, pictures, tmp_path, policy, remote=True)
    captions = [caption for caption, _ in shown.pictures]
    assert captions[0] == "3.0 s: the outlined object"
    assert [float(caption.split()[0]) for caption in captions[1:]] == [4.0, 5.0, 7.0]
    assert not any("phase" in caption or "grasper" in caption for caption in captions)
    first = pixels(shown.pictures[0][1]).astype(int)
    green = (first[..., 1] > 200) & (first[..., 0] < 90) & (first[..., 2] < 90)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    assert (rows.min(), rows.max()) == (pytest.approx(15, abs=1), pytest.approx(45, abs=1))
    assert (columns.min(), columns.max()) == (pytest.approx(10, abs=1), pytest.approx(40, abs=1))
    for _, uri in shown.pictures[1:]:
        later = pixels(uri).astype(int)
        assert not ((later[..., 1] > 200) & (later[..., 0] < 90)).any()


def test_a_region_whose_frame_is_flagged_is_withheld(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    region = draft(clip, region_time=3.0, region_end=7.0, region_box=Box(10, 15, 40, 45))
    marked = flagged(pictures, {3: "identifying"})
    assert not writer_pictures(video, region, marked, tmp_path, PLAIN, remote=True).complete
    assert writer_pictures(video, region, marked, tmp_path, PLAIN, remote=False).complete


def test_pictures_are_bounded_and_the_same_every_time(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    policy = WriterPicturePolicy(most=3, longest_side=50)
    shown = writer_pictures(video, draft(clip), pictures, tmp_path, policy, remote=True)
    assert [pixels(uri).shape for _, uri in shown.pictures] == [(30, 50, 3)] * 3
    assert writer_pictures(video, draft(clip), pictures, tmp_path, policy, remote=True) == shown


def test_a_lost_file_and_wrong_settings_are_named(
    video: SourceVideo, clip: BuildClip, pictures: ClipPictures, tmp_path: Path
) -> None:
    (tmp_path / pictures.pictures[0].file).unlink()
    with pytest.raises(VideoError, match=r"000000\.jpg: the frame is missing"):
        writer_pictures(video, draft(clip), pictures, tmp_path, PLAIN, remote=True)
    for wrong in ({"most": 0}, {"longest_side": 1}, {"quality": 100}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            WriterPicturePolicy(**wrong)
