"""Each check by itself: format, times, leakage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from medgrpo.data.build.items import ClipPictures, Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.format import answer_format, text_format
from medgrpo.data.build.verify.leakage import answer_leakage, object_leakage, text_leakage
from medgrpo.data.build.verify.times import answer_times, text_times, times_named
from medgrpo.types import Canvas, Segment
from tests.data.build.verify_scene import FACTS, clip_of, draft_of

CLIP = clip_of()  # 40 seconds
PICTURES = ClipPictures((), 640, 360, Canvas(854, 480))
SKILL = (
    "Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 2/5, Flow of operation: 2/5, "
    "Overall performance: 2/5, Quality of final product: 1/5"
)
CVS = "Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 1"


def text(words: str, captions: tuple[str, ...] = ()) -> WrittenText:
    return WrittenText("gpt", "m", "ok", words, captions)


@pytest.mark.parametrize(
    ("task", "right", "wrong"),
    [
        ("tal", "1.1-3.0, 7.0-9.5 seconds.", "1.1 to 3.0 seconds."),
        ("tal", "66.0-66.0 seconds.", "66-66 seconds."),
        ("stg", "1.0 seconds: [2.5, 3.0, 100.0, 90.0]", "1.0 seconds: [2.5, 3.0, 100.0]"),
        ("stg", "1.0 seconds: [2.5, 3.0, 857.0, 90.0]", "1.0 seconds: [2.5, 3.0, 900.0, 90.0]"),
        ("next_action", "preparation", "Preparation"),
        ("skill_assessment", SKILL, SKILL.replace(", Time and motion: 2/5", "")),
        ("cvs_assessment", CVS, CVS.replace("0", "3")),
        ("cvs_assessment", CVS, CVS + "."),
    ],
)
def test_an_answer_must_be_exactly_in_its_form(task: str, right: str, wrong: str) -> None:
    def findings(answer: str) -> list[str]:
        draft = draft_of(CLIP, task, answer=answer)
        return [finding.check for finding in answer_format(draft, FACTS, PICTURES)]

    assert findings(right) == []
    assert findings(wrong) == ["format"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("The hook frees the gallbladder from the liver.", ""),
        ("Hook cuts.", "2 words"),
        ("", "0 words"),
        ("word " * 401, "401 words"),
        ("The hook frees it.\nThen it rests.", "more than one paragraph"),
        ("- The hook frees the gallbladder", "markup"),
        ("1. The hook frees the gallbladder", "markup"),
        ('{"summary": "the hook frees it"}', "markup"),
        ("The **hook** frees the gallbladder", "markup"),
        ("<video> the hook frees it", "markup"),
        ("I'm sorry, I cannot help with that", "a refusal"),
        ("As an AI model I see a hook", "a refusal"),
        ("The hook in the green box frees tissue", "talk about the pictures"),
        ("In the first image the hook frees tissue", "talk about the pictures"),
        ("According to the annotation the hook frees tissue", "talk about the pictures"),
        ("The endoscopic image becomes clear as smoke leaves", ""),
    ],
)
def test_a_summary_must_be_nothing_but_a_description(words: str, told: str) -> None:
    found = list(text_format(draft_of(CLIP, "video_summary"), text(words)))
    assert bool(found) == bool(told)
    assert all(finding.check == "format" and finding.writer == "gpt" for finding in found)
    assert not told or told in found[0].detail


EVENTS = (Segment(0.0, 10.0, "lift"), Segment(12.0, 30.0, "free"))


@pytest.mark.parametrize(
    ("lines", "captions", "told"),
    [
        ("0.0-10.0 seconds: lift: it is lifted\n12.0-30.0 seconds: free: it is freed", 2, ""),
        ("0.0-10.0 seconds: lift: it is lifted 12.0-30.0 seconds: free: it is freed", 2, "published form"),
        ("0.0-10.0 seconds: lift: it is lifted\n12.0-31.0 seconds: free: it is freed", 2, "not those"),
        ("0.0-10.0 seconds: lift: it is lifted", 2, "not those"),
        ("0.0-10.0 seconds: lift: it is lifted\n12.0-30.0 seconds: free: it is freed", 1, "1 captions for 2"),
    ],
)
def test_dense_captions_must_be_of_the_events(lines: str, captions: int, told: str) -> None:
    draft = draft_of(CLIP, "dense_captioning", events=EVENTS)
    found = list(text_format(draft, text(lines, ("it is lifted", "it is freed")[:captions])))
    assert bool(found) == bool(told)
    assert not told or told in found[0].detail


@pytest.mark.parametrize(
    ("words", "times"),
    [
        ("from 3 to 8.5 seconds", [3.0, 8.5]),
        ("between 3 and 8 s", [3.0, 8.0]),
        ("3.0–8.0 seconds", [3.0, 8.0]),
        ("at 12s and for 2 minutes", [12.0, 120.0]),
        ("at 1:30 and 01:02:03", [90.0, 3723.0]),
        ("a 12-second pause", [12.0]),
        ("a 5 mm trocar, 3-0 silk, 2 clips, 30 sutures", []),
        ("in the second half, two seconds later", []),
        ("a ratio of 3:100, version 1.2.3 s", []),
    ],
)
def test_times_in_free_text_are_found(words: str, times: list[float]) -> None:
    assert times_named(words) == times


@pytest.mark.parametrize(
    ("task", "fields", "outside"),
    [
        ("tal", {"answer": "0.0-40.0 seconds."}, False),
        ("tal", {"answer": "0.0-40.1 seconds."}, True),
        ("stg", {"answer": "40.0 seconds: [1.0, 1.0, 2.0, 2.0]"}, False),
        ("stg", {"answer": "41.0 seconds: [1.0, 1.0, 2.0, 2.0]"}, True),
        ("dense_captioning", {"events": (Segment(0.0, 44.0),)}, True),
        ("region_caption", {"region_time": 0.0, "region_end": 55.0}, True),
        ("next_action", {"answer": "preparation"}, False),
    ],
)
def test_times_outside_the_clip_are_found(task: str, fields: dict[str, Any], outside: bool) -> None:
    found = list(answer_times(draft_of(CLIP, task, **fields)))
    assert [finding.check for finding in found] == ["times"] * outside


def test_a_text_may_only_name_times_of_its_clip() -> None:
    draft = draft_of(CLIP, "video_summary")
    assert list(text_times(draft, text("From 3 to 40 seconds it is freed"))) == []
    (found,) = text_times(draft, text("From 3 to 41 seconds it is freed, until 1:30"))
    assert found.writer == "gpt"
    assert found.numbers == {"latest": 90.0, "times": 2}
    long = replace(draft, clip=replace(CLIP, end=CLIP.start + 90.0))
    assert list(text_times(long, text("From 3 to 41 seconds it is freed, until 1:30"))) == []


STEPS = ClipFacts(steps=("cutting", "clipping and cutting", "tying"))


def leaks(question: str, task: str, answer: str, facts: ClipFacts = STEPS) -> bool:
    return bool(list(answer_leakage(draft_of(CLIP, task, question=question, answer=answer), facts)))


@pytest.mark.parametrize(
    ("question", "task", "answer", "leaked"),
    [
        ("What is next? Steps: cutting, clipping and cutting, tying.", "next_action", "tying", False),
        ("What is next? Steps: cutting, clipping and cutting, tying.", "next_action", "cutting", False),
        ("Now tying begins. Steps: cutting, clipping and cutting, tying.", "next_action", "tying", True),
        ("Before Tying: steps are cutting, clipping and cutting, tying.", "next_action", "tying", True),
        (
            "Clipping and cutting. Steps: cutting, clipping and cutting.",
            "next_action",
            "cutting",
            False,
        ),
        ("After cutting? Steps: cutting, clipping and cutting.", "next_action", "cutting", True),
        ("When is it cut, as in 1.1-3.0 seconds?", "tal", "1.1-3.0, 7.0-9.0 seconds.", True),
        ("When is it cut, from 1 to 3 seconds?", "tal", "1.1-3.0 seconds.", False),
        ("Where, at 1.0 seconds?", "stg", "1.0 seconds: [1.5, 2.0, 3.0, 4.0]", False),
        ("Where is [1.5, 2.0, 3.0, 4.0]?", "stg", "1.0 seconds: [1.5, 2.0, 3.0, 4.0]", True),
        ("Score, such as Two structures: 1.", "cvs_assessment", CVS, False),
        (f"Score: {CVS}", "cvs_assessment", CVS, True),
        (f"Rate it: {SKILL}", "skill_assessment", SKILL, True),
    ],
)
def test_an_answer_in_its_question_is_found(question: str, task: str, answer: str, leaked: bool) -> None:
    assert leaks(question, task, answer) == leaked


def test_a_list_of_one_choice_is_no_question() -> None:
    assert leaks("What is next? Steps: tying.", "next_action", "tying", ClipFacts(steps=("tying",)))


def test_a_text_in_its_question_is_found() -> None:
    def found(question: str, words: str, **fields: Any) -> list[str]:
        draft: Draft = draft_of(CLIP, "region_caption", question=question, **fields)
        findings = [*object_leakage(draft), *text_leakage(draft, text(words), FACTS)]
        return [finding.detail for finding in findings]

    said = "The hook frees the gallbladder from the liver bed with short strokes."
    assert found("What does the object in the box do from 0.0 to 10.0 seconds?", said) == []
    assert len(found(f"Is it so that {said.lower()}", said)) == 2
    assert found("What does the hook in the box do?", said, region_label="hook") == [
        "the question names the object: 'hook'"
    ]
    assert found("What does it do?", said, region_label="hook", other_question="What does the hook do?") != []
    assert len(found("What does it do?", said, other_question=f"Is it so that {said}")) == 2
    assert found("Which hooked thing is in the box?", said, region_label="hook") == []


def test_labels_that_a_question_offers_may_be_repeated() -> None:
    label = "position the mucosal flap with forceps and with knife"
    facts = ClipFacts(actions=(label, "cut"))
    draft = draft_of(CLIP, "video_summary", question=f"Summarise. Possible actions: {label}, cut.")
    assert list(text_leakage(draft, text(f"They {label} and then they cut it."), facts)) == []
    assert list(text_leakage(draft, text(f"They {label} and then they cut it."), ClipFacts())) != []
