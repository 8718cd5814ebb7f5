"""What the player is given, and how films are made while somebody waits; without a browser."""

from __future__ import annotations

import errno
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.show import making
from app.show.html import Html, el
from app.show.making import ClipMaker, ClipState, clip_maker
from app.show.player import clip_view, told_times
from medgrpo.data.review_clips import ReviewClip, make_review_clip
from medgrpo.rollout.schema import rollout_row
from medgrpo.services.files import whole_file
from medgrpo.types import Box, Canvas, Clip, Region, Rollout
from tests.app.scene import ATTACK
from tests.app.test_html import Reader
from tests.rollout.rollouts import make_rollout, make_sample

STILLS = el("p", "stills")


@pytest.fixture
def frames(tmp_path: Path) -> tuple[Path, ...]:
    paths = tuple(tmp_path / f"{k}.png" for k in range(3))
    for path in paths:
        Image.new("RGB", (64, 48), (90, 40, 40)).save(path)
    return paths


def row(rollout: Rollout) -> dict[str, Any]:
    return rollout_row(rollout, run="r", attempt=0, step=0, rank=0, policy_hash="", wall_time_us=0)


def given(markup: Html) -> dict[str, Any]:
    """What the script reads."""
    [told] = [value for name, value in Reader(markup).attributes if name == "data-player"]
    found: dict[str, Any] = json.loads(told)
    return found


def ended(maker: ClipMaker, key: str) -> ClipState:
    while (state := maker.state(key)).state == "making":
        time.sleep(0.05)
    return state


def test_boxes_are_handed_over_as_numbers_of_their_answers(tmp_path: Path, frames: tuple[Path, ...]) -> None:
    truth = [{"bbox_dict": {"0.5": [1, 2, 3, 4]}}]
    sample = make_sample("stg", frames=frames, truth=truth, answer="", canvas=Canvas(64, 48))
    parsed = [[{"time": 0.0, "box": [5, 6, 7, 8]}], None, [{"time": float("nan"), "box": [1, 1, 2, 2]}]]
    rows = [row(make_rollout(sample, index=k, parsed=value)) for k, value in enumerate(parsed)]
    view = clip_view(rows, tmp_path, tmp_path / "m", STILLS)
    told = given(view)
    assert told["canvas"] == [64, 48]
    assert [track["name"] for track in told["tracks"]] == ["Expert", "Answer 1", "Answer 2", "Answer 3"]
    assert [track["boxes"] for track in told["tracks"]] == [[[0.5, 1, 2, 3, 4]], [[0, 5, 6, 7, 8]], [], []]
    assert "stills" in view
    seeks = [value for name, value in Reader(view).attributes if name == "data-seek"]
    assert seeks == ["0.500", "0.000"]


def test_spans_become_lanes_and_a_region_a_box(tmp_path: Path, frames: tuple[Path, ...]) -> None:
    truth = [{"spans": [{"start": 0.5, "end": 1.5}]}]
    sample = make_sample("tal", frames=frames, truth=truth, answer="0.5-1.5 seconds.")
    view = clip_view([row(make_rollout(sample, parsed=[[0.25, 1.0]]))], tmp_path, tmp_path / "m", STILLS)
    assert [value for name, value in Reader(view).attributes if name == "data-seek"] == ["0.500", "0.250"]
    assert given(view)["tracks"] == []
    region = replace(make_sample("region_caption", frames=frames), region=Region(frames[2], Box(1, 2, 3, 4)))
    told = given(clip_view([row(make_rollout(region))], tmp_path, tmp_path / "m", STILLS))
    assert told["tracks"] == [{"name": "Asked about", "expert": True, "boxes": [[1.0, 1, 2, 3, 4]]}]


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    sample = make_sample("dense_captioning", frames=(tmp_path / f"{ATTACK[:40]}.jpg",))
    parsed = [{"start": 0.0, "end": 1.0, "caption": ATTACK}]
    view = clip_view([row(make_rollout(sample, parsed=parsed))], tmp_path, tmp_path / "m", STILLS)
    read = Reader(view)
    assert not {"img", "script"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert str(tmp_path) not in view


def test_a_row_without_a_clip_is_a_message(tmp_path: Path) -> None:
    broken = row(make_rollout(make_sample())) | {"frames": []}
    view = clip_view([broken], tmp_path, tmp_path / "m", STILLS)
    assert "names no clip" in view
    assert "stills" in view


def test_a_film_is_made_once_in_the_background(tmp_path: Path, frames: tuple[Path, ...]) -> None:
    maker = clip_maker(tmp_path / "m")
    assert clip_maker(tmp_path / "m") is maker
    clip = Clip(frames, times=(0.0, 0.5, 1.0))
    film = maker.want(clip)
    assert maker.want(clip) == film
    assert ended(maker, film.key) == ClipState("ready")
    assert told_times(film.read())["times"] == [0.0, 0.5, 1.0]
    assert maker.state("0" * 32) == ClipState("unknown")


def test_a_clip_that_cannot_be_read_fails_in_plain_words_and_is_tried_again(
    tmp_path: Path, frames: tuple[Path, ...]
) -> None:
    maker = ClipMaker(tmp_path / "m")
    gone = Clip((tmp_path / "Jane_Doe.png",), times=(0.0,))
    failed = ended(maker, maker.want(gone).key)
    assert failed.state == "failed"
    assert failed.reason == "Its pictures, or its video file, are missing or damaged on this machine."
    frames[0].rename(tmp_path / "Jane_Doe.png")
    assert ended(maker, maker.want(gone).key) == ClipState("ready")


def test_a_full_disk_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        reason = ""

        def send(self, reason: str) -> None:
            self.reason = reason

        def close(self) -> None:
            pass

    def full(clip: Clip, folder: Path) -> ReviewClip:
        with whole_file(folder / "film.mp4"):
            raise OSError(errno.ENOSPC, "No space left on device")
        raise AssertionError("whole_file tells")

    monkeypatch.setattr(making, "make_review_clip", full)
    told: Any = Told()
    making._make_and_tell(Clip((tmp_path / "0.png",), times=(0.0,)), tmp_path, told)
    assert told.reason == "It cannot be stored on this machine (No space left on device)."


def test_notes_tell_what_is_not_as_it_was(tmp_path: Path, frames: tuple[Path, ...]) -> None:
    Image.new("RGB", (10, 48)).save(frames[1])
    frames[2].unlink()
    clip = Clip((*frames, frames[0]), times=(0.0, 0.5, 1.0, 1.0), fps=2.0)
    notes = " ".join(told_times(make_review_clip(clip, tmp_path / "m").read())["notes"])
    assert "1 of 4 pictures have another shape" in notes
    assert "1 of 4 pictures were taken at the same moment" in notes
    assert "cannot be read" not in notes  # the missing one is never shown
