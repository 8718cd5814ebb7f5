"""Near-duplicates: exactly those that comparing all with all finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.verify.findings import KeptClip, KeptPair
from medgrpo.data.build.verify.held_out import HeldOutTexts, Repeats
from medgrpo.data.build.verify.near_duplicates import DuplicateIndex, Sketches, sketch
from tests.data.build.verify_scene import FACTS, clip_of, draft_of, pictures_of

WORDS = st.lists(st.sampled_from(["hook", "frees", "the", "liver", "bed"]), max_size=14).map(" ".join)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    left, right = set(a.tolist()), set(b.tolist())
    return len(left & right) / len(left | right) if left | right else 0.0


@given(st.lists(WORDS, max_size=25), WORDS, st.sampled_from([0.3, 0.5, 0.8, 0.9, 1.0]))
@settings(max_examples=200)
def test_the_index_finds_what_comparing_all_finds(many: list[str], one: str, threshold: float) -> None:
    sketches = Sketches()
    for number, text in enumerate(many):
        assert sketches.add(sketch(text)) == number
    index = DuplicateIndex(sketches, threshold)
    alike = [jaccard(sketch(one), sketch(text)) for text in many]
    expected = next((k for k, value in enumerate(alike) if value >= threshold), None)
    found = index.match(sketch(one))
    assert (None if found is None else found[0]) == expected
    assert found is None or found[1] == pytest.approx(alike[found[0]])


def test_a_sketch_ignores_case_and_punctuation_and_knows_order() -> None:
    assert np.array_equal(sketch("The hook, frees the liver."), sketch("the HOOK frees the liver"))
    assert not np.array_equal(sketch("the hook frees the liver"), sketch("the liver frees the hook"))
    assert len(sketch("one two")) == 1
    assert len(sketch("")) == 0
    assert len(sketch("a b c d")) == 2


def test_sketches_take_eight_bytes_a_member() -> None:
    sketches = Sketches()
    for number in range(100):
        sketches.add(sketch(f"text {number} has these six words"))
    assert len(sketches) == 100
    assert sketches.members.nbytes == 8 * sum(len(members) for members in sketches)
    with pytest.raises(IndexError):
        sketches[100]
    with pytest.raises(ValueError, match="threshold"):
        DuplicateIndex(sketches, 0.0)


LONG = "the grasper lifts the gallbladder while the hook frees it from the liver bed with short strokes"


def kept(source: str, video: str, *texts: str, task: str = "video_summary", start: float = 0.0) -> KeptClip:
    clip = clip_of(source, video, start)
    pairs = tuple(
        KeptPair(draft_of(clip, task, k), {"gpt": WrittenText("gpt", "m", "ok", text)})
        for k, text in enumerate(texts)
    )
    return KeptClip(clip, pictures_of(clip), FACTS, pairs)


def test_a_training_text_that_repeats_a_held_out_one_is_found() -> None:
    held = kept("CholecT50", "VID01", LONG, "short text of few words")
    index = HeldOutTexts([held, kept("CholecT50", "VID02", f"other {LONG}")], {"cholec:1"})

    def found(clip: KeptClip) -> list[float]:
        return [f.numbers["jaccard"] for pair in clip.pairs for f in index.findings(pair)]

    assert found(kept("CholecT50", "VID03", LONG.upper())) == [1.0]
    (alike,) = found(kept("CholecT50", "VID03", f"Slowly, {LONG}"))
    assert 0.8 <= alike < 1.0
    assert found(kept("CholecT50", "VID03", "short text of few words")) == []  # tells nothing of any clip
    assert found(kept("CholecT50", "VID03", " ".join(reversed(LONG.split())))) == []
    assert found(kept("CoPESD", "01_part1", LONG)) == []  # of another source
    assert found(kept("CholecT50", "VID03", LONG, task="region_caption")) == []  # or task
    (told,) = index.findings(kept("CholecT50", "VID03", LONG).pairs[0])
    assert told.detail == "nearly the text of held-out question CholecT50/VID01/0/video_summary/0 (gpt)"
    assert (told.check, told.writer) == ("near_duplicate", "gpt")


def test_repeats_within_a_split_are_counted_and_stay() -> None:
    repeats = Repeats()
    for video in ("VID01", "VID02", "VID03"):
        repeats.add("train", kept("CholecT50", video, LONG).pairs[0])
    repeats.add("val", kept("CholecT50", "VID04", LONG).pairs[0])
    repeats.add("train", kept("CholecT50", "VID05", "short text").pairs[0])
    assert repeats.table() == {"train/CholecT50/video_summary": 2}


def test_dense_captions_are_compared_without_their_times() -> None:
    clip = clip_of()
    captions = (LONG, "and then it rests")

    def pair(text: str) -> KeptPair:
        draft = draft_of(clip, "dense_captioning")
        return KeptPair(draft, {"gpt": WrittenText("gpt", "m", "ok", text, captions)})

    held = KeptClip(clip, pictures_of(clip), FACTS, (pair("0.0-1.0 seconds: x"),))
    index = HeldOutTexts([held], {clip.canonical_id})
    other = replace(pair("20.0-30.0 seconds: entirely other words"))
    assert index.findings(other)[0].numbers["jaccard"] == 1.0
