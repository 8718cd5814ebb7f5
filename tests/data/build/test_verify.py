"""Verification as a stream: what is kept, what is rejected and why, and how all is counted."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.verify.candidates import ClipCandidates, ClipFacts, Lines
from medgrpo.data.build.verify.findings import KeptClip, Rejection
from medgrpo.data.build.verify.run import verify_into
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.errors import UserError
from medgrpo.services.encoder import SentenceEncoder
from tests.data.build.verify_scene import (
    OTHER,
    SUMMARY,
    WordEncoder,
    candidate,
    clip_of,
    corpus,
    draft_of,
    texts_of,
)

CLIP = clip_of()
DRAFT = draft_of(CLIP, "video_summary")
UNRELATED = "Sutures close two layers beneath bright lamps whenever nurses hand needles over"


def verified(
    *clips: ClipCandidates, **settings: object
) -> tuple[list[KeptClip], list[Rejection], dict[str, object]]:
    verifier = Verifier(WordEncoder(), **settings)  # type: ignore[arg-type]
    found = list(verifier.verify(clips))
    rejected = [one for _, rejections in found for one in rejections]
    return [kept for kept, _ in found], rejected, verifier.report.table()


def test_what_is_right_is_kept() -> None:
    clips = list(corpus(videos=2))
    kept, rejected, report = verified(*clips)
    assert rejected == []
    assert [clip.clip for clip in kept] == [clip.clip for clip in clips]
    assert [pair.draft for clip in kept for pair in clip.pairs] == [d for clip in clips for d in clip.drafts]
    assert report["total"]["kept"] == report["total"]["questions"] == 6 * len(clips)
    for clip in kept:
        for pair in clip.pairs:
            assert (pair.similarity is None) == (pair.draft.answer is not None)
            assert sorted(pair.texts) == ([] if pair.draft.answer else ["gemini", "gpt"])


def test_texts_that_are_not_alike_are_dropped_both() -> None:
    kept, (rejection,), report = verified(candidate(DRAFT, texts_of(SUMMARY, UNRELATED)))
    assert kept[0].pairs == ()
    assert rejection.check == "similarity"
    assert sorted(rejection.texts) == ["gemini", "gpt"]
    assert rejection.similarity is not None
    assert rejection.similarity < 0.3
    assert rejection.findings[0].numbers == {"similarity": rejection.similarity}
    assert report["by_source_and_task"]["CholecT50"]["video_summary"]["rejected"] == {"similarity": 1}


@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.5, 0.9])
def test_a_pair_goes_exactly_if_it_is_below_the_threshold(threshold: float) -> None:
    texts = (SUMMARY, OTHER, UNRELATED, f"{SUMMARY} {UNRELATED}")
    clips = [
        candidate(draft_of(CLIP, "video_summary", number), texts_of(SUMMARY, text))
        for number, text in enumerate(texts)
    ]
    _, rejected, _ = verified(*clips, threshold=threshold)
    kept, _, _ = verified(*clips, threshold=-1.0)
    known = {pair.draft.key: pair.similarity for clip in kept for pair in clip.pairs}
    assert {one.draft.key for one in rejected} == {
        key for key, similarity in known.items() if similarity is not None and similarity < threshold
    }


def test_dense_captions_are_compared_event_by_event() -> None:
    (clip,) = [c for c in corpus(videos=1, clips=1) if c.clip.source == "CholecT50"]
    dense = next(draft for draft in clip.drafts if draft.task == "dense_captioning")
    texts = clip.texts[dense.key]
    swapped = replace(texts["gemini"], captions=texts["gemini"].captions[::-1])
    straight, _, _ = verified(candidate(dense, texts), threshold=-1.0)
    crossed, _, _ = verified(candidate(dense, {**texts, "gemini": swapped}), threshold=-1.0)
    assert straight[0].pairs[0].similarity > crossed[0].pairs[0].similarity  # type: ignore[operator]


def test_each_check_has_its_own_count() -> None:
    failed = WrittenText("gemini", "m", "timeout", detail="no answer in 60 s")
    wrong = {
        "writer": {**texts_of(SUMMARY, OTHER), "gemini": failed},
        "format": texts_of(SUMMARY, f"- {OTHER}"),
        "times": texts_of(SUMMARY, f"{OTHER} at 90 seconds"),
        "leakage": texts_of(SUMMARY, DRAFT.question[:-1]),
        "terminology": texts_of(SUMMARY, OTHER.replace("hook", "scissors")),
        "similarity": texts_of(SUMMARY, UNRELATED),
    }
    clips = [
        candidate(replace(DRAFT, key=f"k {check}", question=DRAFT.question), texts)
        for check, texts in wrong.items()
    ]
    clips += [candidate(DRAFT, texts_of(SUMMARY, OTHER)), candidate(DRAFT, texts_of(SUMMARY, OTHER))]
    kept, rejected, report = verified(*clips)
    assert [one.check for one in rejected] == [*wrong, "repeated"]
    row = report["by_source"]["CholecT50"]
    assert row["rejected"] == dict.fromkeys(["repeated", *wrong], 1)
    assert row["questions"] == 8
    assert row["kept"] == 1
    assert (row["texts_kept"], row["texts_dropped"]) == (2, 14)
    assert sum(len(clip.pairs) for clip in kept) == 1
    assert "timeout: no answer in 60 s" in rejected[0].findings[0].detail


def test_a_question_with_several_faults_tells_all() -> None:
    texts = texts_of(f"- {SUMMARY} at 90 s", OTHER.replace("hook", "scissors"))
    _, (rejection,), report = verified(candidate(DRAFT, texts))
    assert [(f.check, f.writer) for f in rejection.findings] == [
        ("format", "gpt"),
        ("times", "gpt"),
        ("terminology", "gemini"),
    ]
    assert rejection.check == "format"
    assert report["total"]["found"] == {"format": 1, "times": 1, "terminology": 1}
    assert report["total"]["rejected"] == {"format": 1}


def test_the_text_of_one_writer_may_stay_if_that_is_wanted() -> None:
    failed = WrittenText("gemini", "m", "refused")
    clip = candidate(DRAFT, {**texts_of(SUMMARY, OTHER), "gemini": failed})
    kept, rejected, _ = verified(clip)
    assert kept[0].pairs == ()
    assert sorted(rejected[0].texts) == ["gemini", "gpt"]

    kept, rejected, report = verified(clip, keep_single=True)
    (pair,) = kept[0].pairs
    assert list(pair.texts) == ["gpt"]
    assert pair.similarity is None
    assert list(rejected[0].texts) == ["gemini"]  # nothing is lost
    assert report["total"]["kept"] == 1
    assert report["total"]["texts_dropped"] == 1
    both, _, _ = verified(candidate(DRAFT, texts_of(SUMMARY, UNRELATED)), keep_single=True)
    assert both[0].pairs == ()  # of two that differ nobody knows which is right


def test_a_single_writer_is_no_pair() -> None:
    one = {"gpt": texts_of(SUMMARY, OTHER)["gpt"]}
    _, rejected, _ = verified(candidate(DRAFT, one))
    assert rejected[0].check == "writer"
    kept, rejected, _ = verified(candidate(DRAFT, one), keep_single=True)
    assert rejected == []
    assert list(kept[0].pairs[0].texts) == ["gpt"]


def test_texts_that_nothing_annotated_speaks_about_are_counted() -> None:
    _, rejected, report = verified(candidate(DRAFT, texts_of(SUMMARY, OTHER), ClipFacts()))
    assert rejected == []
    assert report["total"]["terms_unchecked"] == 2


def test_mistakes_in_the_input_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"question 'CholecT50/VID01/0/video_summary/0' .* 0 texts"):
        verified(candidate(DRAFT))
    three = {**texts_of(SUMMARY, OTHER), "third": WrittenText("third", "m", "ok", SUMMARY)}
    with pytest.raises(UserError, match="3 texts"):
        verified(candidate(DRAFT, three))
    with pytest.raises(UserError, match="threshold must be from -1 to 1"):
        Verifier(WordEncoder(), threshold=3.0)
    path = tmp_path / "clips.jsonl"
    lines = Lines(ClipCandidates)
    lines.write(path, [candidate(DRAFT, texts_of(SUMMARY, OTHER))])
    path.write_text(path.read_text() + '{"clip": 1}\n')
    with pytest.raises(UserError, match=r"clips.jsonl: line 2: field 'clip'"):
        list(lines.read(path))
    with pytest.raises(UserError, match=r"none.jsonl: cannot be read"):
        list(lines.read(tmp_path / "none.jsonl"))


def test_nothing_is_lost_between_input_and_files(tmp_path: Path) -> None:
    clips = list(corpus(videos=3))
    for number, clip in enumerate(clips):  # every third clip fails in one way or another
        if number % 3 == 0:
            key = clip.drafts[number % 2].key
            texts = {**clip.texts[key]}
            texts["gpt"] = (
                replace(texts["gpt"], status="http") if number % 2 else replace(texts["gpt"], text="-")
            )
            clips[number] = replace(clip, texts={**clip.texts, key: texts})
    source = Lines(ClipCandidates)
    source.write(tmp_path / "clips.jsonl", clips)
    report = verify_into(source.read(tmp_path / "clips.jsonl"), tmp_path / "a", Verifier(WordEncoder()))
    verify_into(clips, tmp_path / "b", Verifier(WordEncoder()))
    for name in ("kept.jsonl", "rejected.jsonl", "verification.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    kept = list(Lines(KeptClip).read(tmp_path / "a" / "kept.jsonl"))
    rejected = list(Lines(Rejection).read(tmp_path / "a" / "rejected.jsonl"))
    keys = [pair.draft.key for clip in kept for pair in clip.pairs] + [one.draft.key for one in rejected]
    assert Counter(keys) == Counter(draft.key for clip in clips for draft in clip.drafts)
    assert len(rejected) == 6
    for source_name, tasks in report.table()["by_source_and_task"].items():
        for task, row in tasks.items():
            own = [d for c in clips if c.clip.source == source_name for d in c.drafts if d.task == task]
            assert row["questions"] == len(own) == row["kept"] + sum(row["rejected"].values())
    written = json.loads((tmp_path / "a" / "verification.json").read_text())
    assert written["encoder"] == "words-64"
    bins = written["similarity"]["CholecT50"]["video_summary"]["bins"]
    assert sum(count for _, count in bins) == written["similarity"]["CholecT50"]["video_summary"]["n"]


def test_memory_does_not_grow_with_the_clips() -> None:
    def many(count: int) -> Iterator[ClipCandidates]:
        for number in range(count):
            draft = draft_of(CLIP, "video_summary", number)
            yield candidate(draft, texts_of(f"{SUMMARY} {number}", f"{OTHER} {number}"))

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in Verifier(WordEncoder()).verify(many(count)):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(260)  # caches fill
    assert peak(1040) < peak(520) * 1.2


def test_the_packaged_encoder_tells_paraphrases_from_others() -> None:
    clips = [
        candidate(draft_of(CLIP, "video_summary", 1), texts_of(SUMMARY, OTHER)),
        candidate(draft_of(CLIP, "video_summary", 2), texts_of(SUMMARY, "A committee approved its budget")),
    ]
    verifier = Verifier(SentenceEncoder())
    (right, wrong) = list(verifier.verify(clips))
    assert right[0].pairs[0].similarity > 0.8  # type: ignore[operator]
    assert wrong[1][0].check == "similarity"
    assert verifier.report.table()["encoder"] == "all-MiniLM-L6-v2"
