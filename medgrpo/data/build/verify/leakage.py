"""Whether a question gives its answer away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.findings import Finding
from medgrpo.tasks.next_action import normalise

__all__ = ["answer_leakage", "object_leakage", "text_leakage"]

RUN = 6
"""Words in a row that question and text share by chance at most, labels of a closed list left out."""

SHARE = 0.5
"""Of a text's runs of three words, the share that may stand in the question."""

_WORD = re.compile(r"[a-z0-9]+")
_BOX = re.compile(r"\[[^\]]*\]")
_SPAN = re.compile(r"\d+\.\d-\d+\.\d")


def answer_leakage(draft: Draft, facts: ClipFacts) -> Iterator[Finding]:
    """Whether the question of a structured task holds its answer, or part of it."""
    answer = draft.answer or ""
    if draft.task == "next_action":
        # The benchmark's questions name the procedure, which may be called like one of its steps.
        question = draft.question.replace(facts.procedure, "") if facts.procedure else draft.question
        yield from _label(question, answer, facts.steps)
        return
    patterns = {"stg": _BOX, "tal": _SPAN}
    pattern = patterns.get(draft.task)
    parts = pattern.findall(answer) if pattern else [part.strip() for part in answer.split(",")]
    held = [part for part in parts if part and part in draft.question]
    # One grade may be an example of the format, such as "Two structures: 0"; all of them are the answer.
    if held and (pattern or len(held) == len(parts)):
        yield Finding(
            "leakage", f"the question holds {held[0]!r} of the answer", numbers={"parts": len(held)}
        )


def object_leakage(draft: Draft) -> Iterator[Finding]:
    """Whether a question about a region names the object that is in it."""
    if draft.region_label and _holds(_asked(draft), _words(draft.region_label)):
        yield Finding("leakage", f"the question names the object: {draft.region_label!r}")


def text_leakage(draft: Draft, written: WrittenText, facts: ClipFacts) -> Iterator[Finding]:
    """Whether the question holds what a text says."""
    # Labels are offered by the question and repeated by the text: that tells nothing.
    labels = {*facts.actions, *facts.steps, *(event.caption or "" for event in draft.events)}
    question = _asked(draft)
    for label in sorted(labels, key=lambda name: (-len(name), name)):
        question = _without(question, _words(label))
    for part in written.captions if draft.task == "dense_captioning" else (written.text,):
        words = _words(part)
        run = _longest_run(words, question)
        if len(run) > RUN:
            told = f"the question holds {' '.join(run[:12])!r} of the text"
            yield Finding("leakage", told, written.writer, {"words": len(run)})
        threes = _runs(words, 3)
        share = len(threes & _runs(question, 3)) / len(threes) if len(words) >= 8 else 0.0
        if share > SHARE:
            told = "the question holds most of the text"
            yield Finding("leakage", told, written.writer, {"share": round(share, 4)})


def _label(question: str, answer: str, steps: Sequence[str]) -> Iterator[Finding]:
    """The answer stands in the list of choices, as it must; but nowhere else, and not alone."""
    wanted = normalise(answer)
    if steps and {normalise(step) for step in steps} == {wanted}:
        yield Finding("leakage", "the answer is the only choice", numbers={"choices": 1})
    rest = _words(normalise(question))
    for step in sorted({normalise(step) for step in steps}, key=lambda name: (-len(name), name)):
        # Longest first: "cutting" stands in "clipping and cutting" too. The answer may be listed once.
        rest = _without(rest, _words(step), most=1 if step == wanted else None)
    if _holds(rest, _words(wanted)):
        yield Finding("leakage", f"the question names {answer!r} outside of its list of choices")


def _asked(draft: Draft) -> list[str]:
    """The words of a question, and of its other words: either may stand before a text."""
    return [*_words(draft.question), "|", *_words(draft.other_question)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[k : k + length]) for k in range(len(words) - length + 1)}


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    return bool(part) and tuple(part) in _runs(words, len(part))


def _without(words: Sequence[str], part: Sequence[str], most: int | None = None) -> list[str]:
    """Words with a mark in the place of each, or of the first, occurrence of some of them in a row."""
    rest: list[str] = []
    k, found = 0, 0
    while k < len(words):
        if part and (most is None or found < most) and list(words[k : k + len(part)]) == list(part):
            rest.append("|")
            k, found = k + len(part), found + 1
        else:
            rest.append(words[k])
            k += 1
    return rest


def _longest_run(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """The longest run of words that two texts share, the first of several."""
    best, end = 0, 0
    row = [0] * (len(b) + 1)
    for i, word in enumerate(a, 1):
        above = row
        row = [0] * (len(b) + 1)
        for j, other in enumerate(b, 1):
            if word == other:
                row[j] = above[j - 1] + 1
                if row[j] > best:
                    best, end = row[j], i
    return list(a[end - best : end])
