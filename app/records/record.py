"""One record on a page: what is asked and answered, what the model gets to see, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.records.frames import SeenClip, boxes_strip, frames_strip, see, size_words
from app.records.prompts import Prompts
from app.show.annotations import segments_of
from app.show.charts import Lane, timeline
from app.show.html import Html, el, join, note, number
from app.show.words import plain, status_words, task_words
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import defects_of, parse_record
from medgrpo.errors import UserError
from medgrpo.tasks import Parsed, get_task
from medgrpo.types import Sample

__all__ = ["broken_page", "record_page"]

_LONGEST = 20_000
"""Characters of a structure that are shown; a browser need not hold more of a forged one."""


def record_page(record: Mapping[str, Any], row: int, path: Path, media: MediaPaths, prompts: Prompts) -> Html:
    """Everything about a record.

    Args:
        record: The row as it stands in the file.
        row: Its number, from 0.
        path: The file, for messages.
        media: Where its frames are.
        prompts: Reads frames and writes prompts.
    """
    where = f"{path.name}: row {row}"
    defects = [note(f"{where}: {defect}", "warning") for defect in defects_of(record)]
    try:
        sample = parse_record(record, row, media)
    except UserError:  # it is among the defects
        return join([*defects, structure(record, "The row as it stands in the file")])
    task = get_task(sample.task)
    truth = task.truth(sample)
    title = el(
        "header",
        el("h2", task_words(sample.task)),
        el("p", f"{sample.dataset} · clip {sample.video_id} · row {row} ({sample.id})", class_="muted"),
    )
    return el(
        "article", title, *defects, _texts(sample), _frames(sample, truth, where, prompts),
        _reference(sample, truth, where), class_="group",
    )  # fmt: skip


def broken_page(text: str, problems: Sequence[str]) -> Html:
    """A row that is no JSON object: what is wrong, and its text."""
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    body = el("pre", shown, class_="text structure", dir="auto")
    return join([*(note(problem, "warning") for problem in problems), el("section", body, class_="card")])


def structure(value: Any, title: str) -> Html:
    """JSON, folded away."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return el(
        "details",
        el("summary", title),
        el(
            "pre",
            text if len(text) <= _LONGEST else text[:_LONGEST] + " …",
            class_="text structure",
            dir="auto",
        ),
    )


def _texts(sample: Sample) -> Html:
    answer = sample.answer
    missing = "There is none, as in a test split: the row can be asked, but not be trained on or scored."
    return el(
        "div",
        el(
            "section",
            el("h3", "Question"),
            el("p", sample.question, class_="text", dir="auto"),
            class_="card",
        ),
        el(
            "section",
            el("h3", "Reference answer"),
            el("p", answer, class_="text", dir="auto")
            if answer is not None
            else el("p", missing, class_="muted"),
            class_="card",
        ),
        class_="two",
    )


def _frames(sample: Sample, truth: Any, where: str, prompts: Prompts) -> Html:
    """Frames and marks on them; where they cannot be read, why."""
    prompts.prepare()
    marked = [(entry["time"], entry["box"], True) for entry in truth or []] if sample.task == "stg" else []
    seen = el("h3", "What the model sees")
    try:
        clip = see(prompts.frames, sample, [time for time, _, _ in marked])
    except UserError as error:
        told = note(f"{where}: field 'video': the frames cannot be shown: {error}", "warning")
        return join([el("section", seen, told, class_="card"), _spans(sample, truth, 0.0)])
    origin = f"Frames are chosen by the settings of {prompts.sources.sampling_origin}. "
    if prompts.sources.sampling_origin == "the usual settings":
        origin = "Frames are chosen by the usual settings; --config or --model shows those of a training. "
    words = el("p", origin + size_words(clip, prompts.policy), class_="muted")
    boxes = (
        el("section", el("h3", "The expert's boxes"), boxes_strip(clip, marked), class_="card")
        if marked
        else None
    )
    return join([
        el("section", seen, frames_strip(clip), words, class_="card"),
        boxes,
        _spans(sample, truth, float(clip.plan.true_times[-1])),
        _prompt(sample, clip, where, prompts),
    ])  # fmt: skip


def _spans(sample: Sample, truth: Any, duration: float) -> Html | None:
    if sample.task not in ("tal", "dense_captioning"):
        return None
    lane = Lane("Expert", segments_of(truth), true=True)
    words = el(
        "p", "What the expert marked, in seconds of the clip. Point at a bar to read it.", class_="muted"
    )
    beyond = [end for _, end, _ in lane.segments if duration and end > duration + 1.0]
    late = f"{len(beyond)} of the spans end after the last frame, at {duration:.1f} s."
    warning = note(late, "warning") if beyond else None
    return el("section", el("h3", "When"), words, timeline([lane], duration), warning, class_="card")


def _prompt(sample: Sample, clip: SeenClip, where: str, prompts: Prompts) -> Html | None:
    """The prompt as the model's template writes it."""
    if prompts.sources.model is None:
        return None
    title = el("h3", "The prompt")
    if prompts.problem:
        return el("section", title, note(prompts.problem, "warning"), class_="card")
    try:
        prompt = prompts.write(sample, clip.plan)
    except UserError as error:
        return el("section", title, note(f"{where}: {error}", "warning"), class_="card")
    assert prompt is not None
    words = f"{prompt.tokens} word pieces with the frames, for which one video mark stands here."
    text = el("pre", prompt.text, class_="text structure", dir="auto")
    return el("section", title, el("p", words, class_="muted"), text, class_="card")


def _reference(sample: Sample, truth: Any, where: str) -> Html:
    """Whether the reference can be read as answers are, and what scoring takes from it."""
    task = get_task(sample.task)
    parts: list[object] = [el("h3", "How answers to this row are scored")]
    if sample.answer is not None:
        parsed = task.parse(sample.answer, sample)
        parts += _parsed(parsed, where)
        if task.metric is not None and truth is not None and parsed.status != "failed":
            score = task.score(parsed, sample)
            if score < 0.999:
                words = (
                    f"{where}: the reference answer disagrees with field 'struc_info' beside it: "
                    f"the answer would score {number(score)} of 1 against it."
                )
                parts.append(note(words, "warning"))
    if task.metric is None:
        parts.append(el("p", "Free text: it is scored by its similarity to the reference, and by a judge."))
    elif truth is None:
        parts.append(note(f"{where}: nothing to score an answer against was found.", "warning"))
    else:
        source = "field 'struc_info'" if sample.truth else "the reference answer"
        parts += [
            el("p", f"Answers are compared with {source}."),
            structure(truth, "What they are compared with"),
        ]
    if sample.truth:
        parts.append(structure(sample.truth, "Field 'struc_info' as it stands in the file"))
    if sample.metadata:
        parts.append(structure(dict(sample.metadata), "Other fields (metadata)"))
    return el("section", *parts, class_="card")


def _parsed(parsed: Parsed, where: str) -> list[Html]:
    """How the task's own reader finds the reference."""
    if parsed.status == "failed":
        why = f" ({'; '.join(parsed.notes)})" if parsed.notes else ""
        return [
            note(
                f"{where}: field 'conversations': the reference answer cannot be read by the reader of its "
                f"own task{why}: a model that learns it is never rewarded.",
                "warning",
            )
        ]
    parts = [el("p", f"The reference answer is {status_words(parsed.status)}.")]
    if parsed.notes:
        parts.append(el("ul", *(el("li", plain(remark)) for remark in parsed.notes)))
    return parts
