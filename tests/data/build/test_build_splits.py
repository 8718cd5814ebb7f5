"""The splits of a build: by operation over all sources, stable, official test videos kept out, disjoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.build.splits import (
    LEFT_OUT,
    OFFICIAL_TEST,
    Assignment,
    SplitPolicy,
    Video,
    assign,
    census,
    check_disjoint,
    read_assignment,
    write_assignment,
)
from medgrpo.data.build.verify.findings import KeptClip, KeptPair
from medgrpo.data.records import write_records
from medgrpo.errors import UserError
from tests.data.build.verify_scene import FACTS, clip_of, corpus, draft_of, make_row, pictures_of

PAIRS = [("CholecT50", "tal"), ("CholecTrack20", "stg"), ("EgoSurgery", "tal")]
VIDEOS = st.dictionaries(
    st.tuples(st.sampled_from(["cholec", "egosurgery"]), st.integers(0, 40)).map(lambda v: f"{v[0]}:{v[1]}"),
    st.tuples(st.sets(st.sampled_from(PAIRS), min_size=1), st.booleans()),
    max_size=50,
).map(lambda found: {name: Video(set(pairs), test) for name, (pairs, test) in found.items()})


def kept(clips: Sequence[object]) -> list[KeptClip]:
    return [
        KeptClip(c.clip, c.pictures, c.facts, tuple(KeptPair(d, c.texts.get(d.key, {})) for d in c.drafts))
        for c in clips  # type: ignore[attr-defined]
    ]


def test_one_operation_has_one_split_in_all_sources() -> None:
    clips = kept(list(corpus(videos=20)))
    videos = census(clips)
    assert len(videos) == 40  # two sources name the same twenty operations
    assert videos["cholec:3"].pairs >= {("CholecT50", "tal"), ("CholecTrack20", "stg")}
    found = assign(videos, SplitPolicy())
    assert [len(found.of(split)) for split in ("train", "val")] == [34, 6]
    for family in ("cholec", "egosurgery"):
        assert sum(name.startswith(family) for name in found.of("val")) == 3
    assert assign(videos, SplitPolicy(seed=1)).videos != found.videos


@given(VIDEOS, st.integers(0, 3))
def test_videos_that_come_later_move_none(videos: dict[str, Video], seed: int) -> None:
    policy = SplitPolicy(seed)
    some = {name: video for k, (name, video) in enumerate(sorted(videos.items())) if k % 3}
    before = assign(some, policy)
    after = assign(videos, policy, before.videos)
    assert {name: after.videos[name] for name in some} == dict(before.videos)
    assert after.kept == len(some)
    fewer = assign({}, policy, after.videos)
    assert fewer.videos == after.videos  # videos that are not in a build keep their place for the next


@given(VIDEOS, st.sampled_from(["own_file", "leave_out"]))
def test_official_test_videos_are_kept_out(videos: dict[str, Video], option: str) -> None:
    found = assign(videos, SplitPolicy(official_test=option))  # type: ignore[arg-type]
    apart = OFFICIAL_TEST if option == "own_file" else LEFT_OUT
    assert found.of(apart) == {name for name, video in videos.items() if video.official_test}
    used = assign(videos, SplitPolicy())
    assert set(used.splits) <= {"train", "val"}
    # An earlier build trained on them: they are kept out now, and that is told.
    moved = assign(videos, SplitPolicy(official_test=option), used.videos)  # type: ignore[arg-type]
    assert moved.of(apart) == found.of(apart)
    assert set(moved.moved) == found.of(apart)
    # And they stay out where the source that says so is not in the build any more.
    forgotten = {name: Video(video.pairs) for name, video in videos.items()}
    later = assign(forgotten, SplitPolicy(official_test=option), moved.videos)  # type: ignore[arg-type]
    assert later.of(apart) == moved.of(apart)


def test_a_test_video_of_one_source_is_one_for_all() -> None:
    clips = kept(list(corpus(videos=5)))
    test = census(clips)["cholec:5"]
    assert test.official_test
    assert ("CholecT50", "tal") in test.pairs
    # Also if nothing is left of the source that says so.
    none_left = [KeptClip(c.clip, c.pictures, c.facts, ()) if c.facts.official_split else c for c in clips]
    assert census(none_left)["cholec:5"].official_test
    assert "cholec:5" not in census([c for c in none_left if not c.pairs])


def rows(split: str, path: Path, *videos: tuple[str, str]) -> Path:
    found = []
    for source, video in videos:
        clip = clip_of(source, video)
        found.append(make_row(draft_of(clip, "tal", answer="0.0-1.0 seconds."), pictures_of(clip), None))
    write_records(found, path / f"{split}.json")
    return path / f"{split}.json"


def test_written_files_are_read_back(tmp_path: Path) -> None:
    train = rows("train", tmp_path, ("CholecT50", "VID01"), ("CholecTrack20", "VID01"), ("CoPESD", "1_part1"))
    val = rows("val", tmp_path, ("CholecT50", "VID02"), ("CoPESD", "2_part1"), ("CoPESD", "2_part2"))
    assert check_disjoint({"train": train, "val": val}) == {"train": 2, "val": 2}
    # The same operation under another source's name.
    val = rows("val", tmp_path, ("CholecT50", "VID02"), ("Cholec80_CVS", "video01"))
    with pytest.raises(UserError, match=r"val.json: row 1: video cholec:1 is in .*train.json, row 0, too"):
        check_disjoint({"train": train, "val": val})
    val.write_text('[{"id": "a"}]')
    with pytest.raises(UserError, match=r"val.json: row 0: field 'qa_type'"):
        check_disjoint({"train": train, "val": val})


def test_an_assignment_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_assignment(tmp_path / "splits.json", Assignment({"a:1": "train", "b:2": OFFICIAL_TEST}))
    assert read_assignment(path) == {"a:1": "train", "b:2": OFFICIAL_TEST}
    path.write_text(json.dumps(["a:1"]))
    with pytest.raises(UserError, match=r"splits.json: expected an object from video to split"):
        read_assignment(path)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(UserError, match="official_test must be use, own_file or leave_out"):
        SplitPolicy(official_test="keep")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot be called 'official_test'"):
        SplitPolicy(fractions={"train": 0.5, "official_test": 0.5})
    with pytest.raises(UserError, match="must sum to 1"):
        assign({}, SplitPolicy(fractions={"train": 0.5}))
    assert FACTS.official_split is None
