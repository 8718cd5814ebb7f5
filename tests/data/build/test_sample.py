"""The sample that people and a third model see: even, seeded, and the same whatever the order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.verify.findings import KeptClip, KeptPair
from medgrpo.data.build.verify.sample import Sampled, draw, find
from medgrpo.data.build.verify.terminology import Terminology
from medgrpo.data.build.verify.third_model import compare_with_third
from medgrpo.data.build.verify.verify import Verifier
from medgrpo.evaluation.writer_agreement import agreement_table
from tests.data.build.verify_scene import WordEncoder, corpus

CLIPS = [kept for kept, _ in Verifier(WordEncoder()).verify(corpus(videos=6))]
TASKS = ("dense_captioning", "region_caption", "video_summary")


def pairs(keys: Sequence[str]) -> list[KeptPair]:
    return [pair for pair, _, _ in find(CLIPS, keys)]


def test_sources_and_tasks_share_a_sample() -> None:
    drawn = pairs(draw(CLIPS, 18, seed=0))
    counts = Counter((pair.draft.clip.source, pair.draft.task) for pair in drawn)
    assert counts == {(s, t): 2 for s in ("CholecT50", "CholecTrack20", "EgoSurgery") for t in TASKS}
    assert all(pair.texts for pair in drawn)


def test_a_rare_kind_gives_all_it_has_and_others_fill_up() -> None:
    rare = [
        KeptClip(c.clip, c.pictures, c.facts, c.pairs if c.clip.source == "EgoSurgery" else ()) for c in CLIPS
    ]
    rare[0] = CLIPS[0]  # one clip of another source
    counts = Counter(pair.draft.clip.source for pair in pairs(draw(rare, 21, seed=1)))
    assert counts == {"CholecT50": 3, "EgoSurgery": 18}
    written = sum(len(pair.texts) > 0 for clip in CLIPS for pair in clip.pairs)
    assert len(draw(CLIPS, 10_000, seed=0)) == written
    assert draw(CLIPS, 0, seed=0) == []


def test_a_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    assert draw(CLIPS, 20, seed=3) == draw(CLIPS[::-1], 20, seed=3)
    assert draw(CLIPS, 20, seed=3) != draw(CLIPS, 20, seed=4)
    # A larger sample holds the smaller one, so that what was reviewed stays of use.
    assert set(draw(CLIPS, 9, seed=3)) <= set(draw(CLIPS, 27, seed=3))


class Third:
    """Says what the first writer said, something else about every third question, or fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def write(self, questions: Sequence[Sampled]) -> list[WrittenText]:
        found = []
        for pair, _, _ in questions:
            number = len(self.asked)
            self.asked.append(pair.draft.key)
            own = pair.texts["gpt"]
            if number % 5 == 4:
                found.append(WrittenText("third", "qwen", "timeout"))
            elif number % 3 == 0:
                wrong = "Nurses hand sutures over whenever scissors close beneath bright lamps"
                captions = (wrong,) * len(own.captions)
                found.append(WrittenText("third", "qwen", "ok", wrong, captions))
            else:
                found.append(WrittenText("third", "qwen", "ok", own.text, own.captions))
        return found


def test_a_third_model_shows_where_two_writers_may_both_be_wrong() -> None:
    writer = Third()
    sampled = list(find(CLIPS, draw(CLIPS, 90, seed=0)))
    found = list(compare_with_third(iter(sampled), writer, WordEncoder(), Terminology()))
    assert [one.key for one in found] == writer.asked == [pair.draft.key for pair, _, _ in sampled]
    for number, one in enumerate(found):
        assert one.status == ("timeout" if number % 5 == 4 else "ok")
        if one.status != "ok":
            assert one.third == {}
        elif number % 3 == 0:
            assert one.apart(0.5)
            assert one.contradictions == (2 if one.task == "dense_captioning" else 1)  # scissors
        else:
            assert one.third["gpt"] == 1.0
            assert one.third["gemini"] == pytest.approx(one.pair, abs=1e-4)
            assert not one.apart(0.5)
            assert one.missed_terms == ()
    summary = next(one for one in found if one.task == "video_summary" and one.apart(0.5))
    assert summary.shared_terms == 2
    assert summary.missed_terms == ("grasper", "hook")

    table = agreement_table(found, 0.5)
    assert table["statuses"] == {"ok": 72, "timeout": 18}
    assert table["models"] == ["qwen"]
    everything = table["agreement"]["all"]
    assert everything["questions"] == 72
    ok = [one for one in found if one.status == "ok"]
    assert everything["apart"]["value"] == pytest.approx(sum(o.apart(0.5) for o in ok) / 72, abs=1e-4)
    low, high = everything["apart"]["interval"]
    assert low <= everything["apart"]["value"] <= high
    assert low < high
    assert table["apart"] == sorted(one.key for one in ok if one.apart(0.5))
    assert list(table["agreement"])[1] == "CholecT50/dense_captioning"
    assert agreement_table(found, 0.5) == table


def test_a_third_writer_must_answer_each_question() -> None:
    class Lazy:
        def write(self, questions: Sequence[Sampled]) -> list[WrittenText]:
            return []

    with pytest.raises(ValueError, match="gave 0 texts for 1"):
        list(compare_with_third(list(find(CLIPS, draw(CLIPS, 1, 0))), Lazy(), WordEncoder(), Terminology()))


def test_without_a_text_there_is_no_agreement() -> None:
    assert agreement_table([], 0.3)["agreement"] == {}
