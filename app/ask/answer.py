"""An answer on the page: words against the reference, marks in time and space, score, the judge's view."""

from __future__ import annotations

from collections.abc import Sequence

from app.ask.assessment import Assessment
from app.ask.question import Question
from app.records.frames import SeenClip, boxes_strip
from app.records.record import structure
from app.show.annotations import segments_of
from app.show.charts import Lane, timeline
from app.show.html import Html, el, join, note, number, table, word_difference
from app.show.words import DIMENSION_HELP, component_words, plain, status_words, task_words

__all__ = ["answer_page", "marks_on"]


def answer_page(question: Question, found: Assessment, clip: SeenClip | None, seconds: float) -> Html:
    """Everything about an answer.

    Args:
        question: What was asked.
        found: The answer and what is known about it.
        clip: Frames for marks; None if they cannot be read.
        seconds: What the answer took.
    """
    sample = question.sample
    how = (
        "the likeliest answer"
        if question.temperature == 0
        else (f"drawn at temperature {question.temperature:g} with seed {question.seed}")
    )
    title = el(
        "header",
        el("h2", task_words(sample.task)),
        el("p", f"{question.source} · clip {sample.video_id} · {how}, in {seconds:.1f} s", class_="muted"),
    )
    asked = el(
        "section", el("h3", "Question"), el("p", sample.question, class_="text", dir="auto"), class_="card"
    )
    return el(
        "article",
        title,
        asked,
        el("div", _answer(found, sample.answer), _reference(sample.answer), class_="two"),
        _marks(question, found, clip),
        _score(found),
        _judged(found),
        class_="group",
    )


def marks_on(found: Assessment | None, task: str) -> list[float]:
    """Seconds at which boxes will be drawn."""
    if task != "stg" or found is None:
        return []
    return [entry["time"] for entry in [*(found.truth or []), *(found.parsed.value or [])]]


def _answer(found: Assessment, reference: str | None) -> Html:
    if not found.text.strip():
        body: object = "(empty)"
    else:
        body = found.text if reference is None else word_difference(found.text, reference)
    parts: list[object] = [el("h3", "Answer"), el("p", body, class_="text", dir="auto")]
    if reference is not None and found.text.strip():
        legend = ("Words that the reference does not have are ", el("ins", "underlined"), ", missing ones ")
        parts.append(el("p", *legend, el("del", "struck out"), ".", class_="muted"))
    if found.truncated:
        parts.append(note("The answer was cut off: it reached the greatest length of this task.", "warning"))
    return el("section", *parts, class_="card")


def _reference(reference: str | None) -> Html:
    text = el("p", "There is none, so the answer is shown without a score.", class_="muted")
    if reference is not None:
        text = el("p", reference, class_="text", dir="auto")
    return el("section", el("h3", "Reference answer"), text, class_="card")


def _marks(question: Question, found: Assessment, clip: SeenClip | None) -> Html | None:
    """Spans or boxes of the expert and of the answer, one over the other."""
    task = question.sample.task
    if task in ("tal", "dense_captioning"):
        lanes = [Lane("Answer", segments_of(found.parsed.value))]
        if found.truth is not None:
            lanes.insert(0, Lane("Expert", segments_of(found.truth), true=True))
        duration = float(clip.plan.true_times[-1]) if clip is not None else 0.0
        words = el("p", "Seconds of the clip. Point at a bar to read it.", class_="muted")
        return el("section", el("h3", "When"), words, timeline(lanes, duration), class_="card")
    if task != "stg" or clip is None:
        return None
    marked = [
        (entry["time"], entry["box"], expert)
        for entries, expert in ((found.truth, True), (found.parsed.value, False))
        for entry in entries or []
    ]
    keys = [
        join([el("span", class_=f"key {kind}"), words])
        for kind, words in (("expert", "expert"), ("answer", "answer"))
    ]
    legend = el("p", *keys, class_="legend")
    return el("section", el("h3", "Where"), legend, boxes_strip(clip, marked), class_="card")


def _score(found: Assessment) -> Html:
    parsed = found.parsed
    parts: list[object] = [
        el("h3", "What was read from the answer"),
        el("p", f"The answer is {status_words(parsed.status)}."),
    ]
    if parsed.notes:
        parts.append(el("ul", *(el("li", plain(remark)) for remark in parsed.notes)))
    if parsed.value is not None and parsed.status != "free_text":
        parts.append(structure(parsed.value, "The structure that was read"))
    if found.problem:
        parts.append(note(f"It could not be compared with the reference: {found.problem}", "warning"))
    elif found.truth is not None:
        name = component_words("similarity" if found.metric == "similarity" else "task_metric", found.metric)
        worth = "1 is best, 0 worst"
        if found.metric == "similarity":
            worth = "1 is the same meaning, 0 none of it"
        parts.append(el("p", f"{name}: ", el("strong", number(found.score)), f" ({worth})"))
    return el("section", *parts, class_="card")


def _judged(found: Assessment) -> Html | None:
    judgement = found.judgement
    if judgement is None:
        return None
    title = el("h3", "What the judge says")
    if not judgement.scores:
        told = note(f"The judge gave no marks ({plain(judgement.status).lower()}).", "warning")
        return el("section", title, told, class_="card")
    said = judgement.rationales
    lines: Sequence[Sequence[object]] = [
        [
            plain(name),
            el("td", el("strong", number(score, 1))),
            said.get(name, "no reason given"),
        ]
        for name, score in judgement.scores.items()
    ]
    source = f"{judgement.model}, rubric {judgement.rubric}. {DIMENSION_HELP[0].upper()}{DIMENSION_HELP[1:]}."
    measured = "The judge compares words; for this task the measure above says more."
    structured = found.parsed.status != "free_text" and found.metric != "similarity"
    return el(
        "section",
        title,
        el("p", measured, class_="muted") if structured else None,
        table(["Side of the answer", "Mark", "Reason"], lines, class_="judged"),
        el("p", f"Average {number(judgement.mean)} of 5. Judge: {source}", class_="muted"),
        class_="card",
    )
