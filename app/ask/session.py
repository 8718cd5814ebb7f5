"""What the page Try it shows and does; independent of Gradio."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.ask.answer import answer_page, marks_on
from app.ask.assessment import Assessment, Assessor
from app.ask.desk import Desk, Job
from app.ask.models import answerer_of
from app.ask.question import Question, typed
from app.records.frames import SeenClip, frames_strip, see, size_words
from app.records.library import Library
from app.records.prompts import Prompts
from app.show.frame import page
from app.show.html import Html, el, join, note
from app.show.words import task_words
from app.sources import Sources
from medgrpo.data.records import parse_record
from medgrpo.errors import UserError
from medgrpo.types import Sample

__all__ = ["Form", "Session"]

_PATIENCE = 5.0  # seconds for a file to be listed
_LARGEST_SEED = 2**32 - 1
_HOTTEST = 2.0
_MODEL = "python -m app --runs runs/ --records val.json --model runs/demo/sft/hf"
_ENDPOINT = (
    "python -m app --runs runs/ --records val.json --endpoint http://localhost:8000/v1 --endpoint-model NAME"
)


@dataclass(frozen=True, slots=True)
class Form:
    """What is chosen on the page.

    Attributes:
        file: Number of the records file.
        row: Of the record.
        own: Whether the record's own question is asked.
        task: Of a typed question.
        variant: Form of a typed question.
        values: What is filled in there.
        reference: Typed with it; may be empty.
        drawn: Whether the answer is drawn instead of the likeliest one.
        temperature: Of the drawing.
        seed: Of the drawing.
    """

    file: str | None
    row: float | None
    own: bool
    task: str
    variant: int
    values: Sequence[str]
    reference: str
    drawn: bool
    temperature: float
    seed: float | None


@dataclass(frozen=True, slots=True)
class _Answered:
    found: Assessment
    clip: SeenClip | None
    seconds: float


class Session:
    """The records, the model and the questions on their way to it.

    Args:
        library: The records.
        sources: Model and judge.
    """

    def __init__(self, library: Library, sources: Sources) -> None:
        if sources.model is not None:
            from medgrpo.modules.sampling_file import read_sampling

            # As evaluation does: the frames that the model was trained with, whatever --config says.
            sources = replace(sources, sampling=read_sampling(sources.model))
        self.library = library
        self.prompts = Prompts(sources)
        self.answerer = answerer_of(sources, self.prompts.frames)
        self._assessor: Assessor | None = None
        self._judge = sources.judge
        self._desk: Desk[_Answered] = Desk(self._answered)

    def ready(self) -> bool:
        """Whether there is something to ask about and somebody to ask."""
        return bool(self.library.files) and self.answerer is not None

    def model_line(self) -> Html:
        """Who is asked and how it is, or what to do where something is missing."""
        missing = []
        if not self.library.files:
            missing.append("no records file was named, from which a clip could be chosen")
        if self.answerer is None:
            missing.append("no model was named that could be asked")
        if not missing:
            assert self.answerer is not None
            name = el("strong", self.answerer.name)
            return page(el("p", "The model that is asked: ", name, ". ", self.answerer.state()))
        return page(
            el(
                "section",
                el("h3", "Nothing can be asked yet"),
                el("p", f"When the dashboard was started, {' and '.join(missing)}. Start it with a model:"),
                el("pre", _MODEL, class_="text"),
                el("p", "or with a server that has OpenAI's chat API and reads pictures:"),
                el("pre", _ENDPOINT, class_="text"),
                class_="card",
            )
        )

    def sample(self, file: str | None, row: float | None) -> tuple[Sample, str]:
        """A record, and its file and row in words.

        Raises:
            UserError: If there is none, or it has a defect.
        """
        if not file or row is None:
            raise UserError("choose a records file and a row")
        found = self.library.file(file)
        state = found.listed(_PATIENCE)
        catalogue = state.catalogue
        where = f"{found.path.name} row {int(row)}"
        if catalogue is None:
            if state.problem:
                raise UserError(state.problem)
            raise UserError(f"{found.path.name} is being read; try again in a moment")
        value = catalogue.value(int(row))
        if not isinstance(value, dict):
            raise UserError(f"{where}: it is no record; see the page Data")
        try:
            return parse_record(value, int(row), found.media), where
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def record(self, file: str | None, row: float | None) -> Html:
        """The chosen clip and its own question, or why they cannot be shown."""
        if not self.library.files:
            return page()
        try:
            sample, where = self.sample(file, row)
        except UserError as error:
            return page(note(error, "warning"))
        head = el(
            "header",
            el("h2", task_words(sample.task)),
            el("p", f"{sample.dataset} · clip {sample.video_id} · {where}", class_="muted"),
        )
        question = el("p", sample.question, class_="text", dir="auto")
        asked = el("section", el("h3", "Question"), question, class_="card")
        return page(el("article", head, asked, self._frames(sample, where), class_="group"))

    def question(self, form: Form) -> Question:
        """What a form asks.

        Raises:
            UserError: If the form is not complete, or nobody can be asked.
        """
        if self.answerer is None:
            raise UserError("there is no model to ask")
        sample, source = self.sample(form.file, form.row)
        if not form.own:
            sample = typed(sample, form.task, form.variant, form.values, form.reference)
        if form.drawn and not 0.0 < form.temperature <= _HOTTEST:
            raise UserError(f"the temperature must be above 0 and at most {_HOTTEST:g}")
        if form.seed is None or not 0 <= form.seed <= _LARGEST_SEED:
            raise UserError(f"the seed must be a whole number from 0 to {_LARGEST_SEED}")
        return Question(sample, source, form.temperature if form.drawn else 0.0, int(form.seed))

    def name(self, question: Question) -> str:
        """What the audit log calls a question."""
        asked = self.answerer.name if self.answerer is not None else "nobody"
        return f"{question.source} {question.sample.task} {asked}"

    def ask(self, question: Question) -> str:
        """Queue a question; returns its key.

        Raises:
            UserError: If too many questions wait.
        """
        return self._desk.submit(question)

    def stop(self, key: str) -> None:
        """Stop a question."""
        self._desk.stop(key)

    def look(self, key: str) -> tuple[Html, Html | None]:
        """How far a question is; and its answer, when it is finished with or without one."""
        job = self._desk.job(key)
        if job is None:
            return page(), page(note("This question is not known any more; ask again.", "warning"))
        if not job.finished.is_set():
            return page(self._progress(key, job)), None
        if job.problem == "stopped":
            return page(), page(note("The question was stopped."))
        if job.result is None:
            return page(), page(note(f"There is no answer: {job.problem}", "warning"))
        done = job.result
        return page(), page(answer_page(job.question, done.found, done.clip, done.seconds))

    def _progress(self, key: str, job: Job[_Answered]) -> Html:
        waiting = self._desk.ahead(key)
        if job.stop.is_set():
            words = "It is being stopped …"
        elif waiting:
            words = f"It waits its turn: number {waiting} of those that wait."
        else:
            words = f"{job.stage or 'It begins'} …"
            words += f" {job.pieces} word pieces so far." if job.pieces else ""
        return note(words)

    def _frames(self, sample: Sample, where: str) -> Html:
        self.prompts.prepare()
        try:
            clip = see(self.prompts.frames, sample)
        except UserError as error:
            told = note(f"{where}: field 'video': the frames cannot be shown: {error}", "warning")
            return el("section", el("h3", "What the model sees"), told, class_="card")
        strip = join([frames_strip(clip), el("p", size_words(clip, self.prompts.policy), class_="muted")])
        return el("section", el("h3", "What the model sees"), strip, class_="card")

    def _answered(self, job: Job[_Answered]) -> _Answered:
        """Answer, compare and look at the clip; run by the desk."""
        assert self.answerer is not None
        sample, began = job.question.sample, time.monotonic()
        text, truncated = self.answerer.answer(job)
        seconds = time.monotonic() - began
        job.say("The answer is compared with the reference")
        if self._assessor is None:
            self._assessor = Assessor(self._judge)
        found = self._assessor.assess(sample, text, truncated)
        try:
            clip = see(self.prompts.frames, sample, marks_on(found, sample.task))
        except UserError:  # the answer is worth showing without pictures
            clip = None
        return _Answered(found, clip, seconds)
