"""The review page: a name, an item beside the form, and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from app.context import Context
from app.events import PRIVATE, acting, choosing
from app.review.desk import Desk, Draft, Place, clean_name
from app.review.view import empty_view, review_label
from app.review.words import DECISIONS, REMARKS, keyboard_help, mark_words
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import Html, el, note
from medgrpo.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["build"]

_TITLE = "Review"
_INTRODUCTION = (
    "You see a clip, a question, an expert's reference answer and one answer of the model. Say how well the "
    "answer agrees with the reference. You see one answer at a time, in random order, and what the computer "
    "thinks of it stays hidden until you have saved your verdict."
)
_SCRIPT = Path(__file__).parents[1] / "show" / "static" / "review.js"
_STORED_NAME = "(name) => [name || sessionStorage.getItem('medgrpo-reviewer') || '']"
_EMPTY = Draft({})


@dataclass(frozen=True, slots=True)
class Visit:
    """What is kept on the server for one browser tab.

    Attributes:
        place: Where the reviewer is; None before there is a name and a review.
        named: Whether the name was typed, not logged in with.
    """

    place: Place | None = None
    named: bool = False


class Handlers:
    """What the events do. Each returns the values of the page's outputs, in the order of :meth:`_page`.

    Args:
        desk: Of all reviewers.
    """

    def __init__(self, desk: Desk) -> None:
        import gradio as gr

        self._gr = gr
        self.desk = desk
        self._turns = count(1)
        self._names = [dimension.name for dimension in desk.rubric.dimensions]

    def enter(self, visit: Visit, name: str, number: int | None, user: str | None) -> tuple[Any, ...]:
        """Sit down under the login name or the one that was typed, at the chosen or the newest review."""
        reviews = self.desk.reviews.all()
        if not reviews:
            return self._outside(visit, empty_view(bool(self.desk.context.index.runs())), ask_name=False)
        if user is None and not name.strip():
            return self._outside(visit, None, ask_name=True)
        reviewer = clean_name(name) if user is None else user
        review = next((one for one in reviews if one.number == number), reviews[0])
        return self._page(Visit(Place(reviewer, review.number), named=user is None))

    def save(self, visit: Visit, *form: Any) -> tuple[Any, ...]:
        """Save and show the next item."""
        return self._page(self._at(visit, self.desk.save(_place(visit), self._draft(form))))

    def undo(self, visit: Visit) -> tuple[Any, ...]:
        """Show the item of the last verdict again, filled in as it was."""
        place, draft = self.desk.undo(_place(visit))
        return self._page(self._at(visit, place), draft)

    def skip(self, visit: Visit) -> tuple[Any, ...]:
        """Show the next item."""
        return self._page(self._at(visit, self.desk.skip(_place(visit))))

    def _at(self, visit: Visit, place: Place) -> Visit:
        return Visit(place, visit.named)

    def _draft(self, form: Sequence[Any]) -> Draft:
        *marks, decision, remarks, comment = form
        scores = {name: int(mark) for name, mark in zip(self._names, marks, strict=True) if mark}
        return Draft(
            scores, None if not decision else decision == "accept", tuple(remarks or ()), comment or ""
        )

    def _page(self, visit: Visit, draft: Draft = _EMPTY) -> tuple[Any, ...]:
        gr = self._gr
        place, item = self.desk.show(_place(visit))
        reviews = self.desk.reviews.all()
        told = el(
            "p",
            data_turn=next(self._turns),
            data_draft="none" if draft.empty else "kept",
            data_reviewer=place.reviewer if visit.named else None,
            hidden="",
        )
        decided = None if draft.accepted is None else ("accept" if draft.accepted else "reject")
        return (
            self._at(visit, place),
            gr.update(visible=False),
            gr.update(
                choices=[(review_label(one), one.number) for one in reviews],
                value=place.review,
                visible=len(reviews) > 1,
            ),
            self.desk.progress(place),
            "",
            item,
            gr.update(visible=bool(place.content)),
            *(draft.scores.get(name) for name in self._names),
            decided,
            list(draft.remarks),
            draft.comment,
            gr.update(visible=True),
            gr.update(visible=bool(place.last)),
            "",
            self._downloads(place.reviewer),
            told,
        )

    def _outside(self, visit: Visit, words: Html | None, *, ask_name: bool) -> tuple[Any, ...]:
        gr = self._gr
        hidden = gr.update(visible=False)
        form = [None] * len(self._names)
        return (
            *(visit, gr.update(visible=ask_name), hidden, "", "", words or "", hidden),
            *(*form, None, [], "", hidden, hidden, "", "", ""),
        )

    def _downloads(self, reviewer: str) -> Html:
        query = urlencode({"reviewer": reviewer})
        links = (
            el("a", label, href=f"/verdicts/{form}?{query}", download=f"verdicts.{form}")
            for form, label in (("csv", "spreadsheet (CSV)"), ("jsonl", "JSON lines"), ("parquet", "Parquet"))
        )
        return page_of(el("p", "Download your verdicts: ", *_separated(links), class_="muted small"))


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Nothing of a run is in its configuration: items come with events alone.

    Args:
        context: What is shown.
        links: (path, title) of all pages.
    """
    import gradio as gr

    desk = Desk(context)
    handlers = Handlers(desk)

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        visit = gr.State(Visit())
        with gr.Row(visible=False, elem_id="review-name") as naming:
            name = gr.Textbox(
                label="Your name",
                info="Your verdicts are kept under it: write it in the same way each time.",
                max_length=60,
                scale=3,
                elem_id="review-reviewer",
            )
            start = gr.Button("Start", variant="primary", scale=1, elem_id="review-start")
        choice = gr.Dropdown(
            label="Review", choices=[], visible=False, interactive=True, elem_id="review-choice"
        )
        progress = gr.HTML(elem_id="review-progress")
        with gr.Row(elem_id="review-desk"):
            with gr.Column(scale=5, min_width=420, elem_id="review-read"):
                item = gr.HTML(elem_id="review-item")
            with gr.Column(scale=4, min_width=360):
                with gr.Column(visible=False, elem_id="review-form") as form:
                    marks = [_mark(one.name, one.title) for one in desk.rubric.dimensions]
                    decision = gr.Radio(DECISIONS, label="May this answer stand?", elem_id="review-decision")
                    remarks = gr.CheckboxGroup(REMARKS, label="Remarks", elem_id="review-remarks")
                    comment = gr.Textbox(label="Comment", lines=1, max_length=2000, elem_id="review-comment")
                with gr.Column(elem_id="review-foot"):
                    message = gr.HTML(elem_id="review-message")
                    with gr.Row(visible=False, elem_id="review-actions") as actions:
                        save = gr.Button("Save (Enter)", variant="primary", elem_id="review-save")
                        skip = gr.Button("Skip", elem_id="review-skip")
                        undo = gr.Button("Undo (U)", elem_id="review-undo")
                reveal = gr.Button(
                    "What the judge said about your last answer", visible=False, elem_id="review-reveal"
                )
        revealed = gr.HTML(elem_id="review-revealed")
        gr.HTML(page_of(keyboard_help()))
        downloads = gr.HTML(elem_id="review-downloads")
        turn = gr.HTML(elem_id="review-turn")
        gr.HTML(footer())

        fields = [*marks, decision, remarks, comment]
        outputs = [
            *(visit, naming, choice, progress, message, item, form, *fields),
            *(actions, reveal, revealed, downloads, turn),
        ]
        failed_at = outputs.index(message)

        def told(error: UserError) -> tuple[Any, ...]:
            """The message alone: what is filled in stays."""
            words = page_of(note(error, "warning"))
            return tuple(words if k == failed_at else gr.skip() for k in range(len(outputs)))

        def on_load(name: str, request: gr.Request) -> tuple[Any, ...]:
            try:
                context.index.refresh()
                return handlers.enter(Visit(), name, None, request.username)
            except UserError as error:
                return told(error)

        def on_enter(seen: Visit, name: str, number: int | None, request: gr.Request) -> tuple[Any, ...]:
            try:
                given = seen.place.reviewer if seen.place and seen.named else name
                if request.username is None:
                    clean_name(given)
                return handlers.enter(seen, given, number, request.username)
            except UserError as error:
                return told(error)

        def on_save(seen: Visit, *form: Any) -> tuple[Any, ...]:
            try:
                return handlers.save(seen, *form)
            except UserError as error:
                return told(error)

        def on_undo(seen: Visit) -> tuple[Any, ...]:
            try:
                return handlers.undo(seen)
            except UserError as error:
                return told(error)

        def on_skip(seen: Visit) -> tuple[Any, ...]:
            try:
                return handlers.skip(seen)
            except UserError as error:
                return told(error)

        def on_reveal(seen: Visit) -> Html:
            try:
                return desk.reveal(_place(seen))
            except UserError as error:
                return page_of(note(error, "warning"))

        page.load(None, None, None, js=f"() => {{ {_SCRIPT.read_text(encoding='utf-8')} }}")
        page.load(on_load, name, outputs, js=_STORED_NAME, **PRIVATE)
        entered = [start.click, name.submit, choice.input]
        gr.on(entered, on_enter, [visit, name, choice], outputs, **choosing("visit"))
        save.click(on_save, [visit, *fields], outputs, **acting("visit"))
        undo.click(on_undo, visit, outputs, **acting("visit"))
        skip.click(on_skip, visit, outputs, **acting("visit"))
        reveal.click(on_reveal, visit, revealed, **acting("visit"))
    return page


def _mark(name: str, title: str) -> Any:
    import gradio as gr

    label, question = mark_words(name, title)
    return gr.Radio(
        [1, 2, 3, 4, 5], label=label, info=question, elem_id=f"mark-{name}", elem_classes="review-mark"
    )


def _place(visit: Visit) -> Place:
    if visit.place is None:
        raise UserError(
            "This page has lost its place, for example because the dashboard was started anew. Copy your "
            "comment if there is one, then reload the page; what you have saved is there."
        )
    return visit.place


def _separated(links: Any) -> list[Any]:
    parts: list[Any] = []
    for link in links:
        parts += [", ", link] if parts else [link]
    return parts
