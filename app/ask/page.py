"""The page Try it: its components and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.ask.question import (
    LONGEST_FIELD,
    LONGEST_REFERENCE,
    MOST_FIELDS,
    field_words,
    form_fields,
    form_words,
)
from app.ask.session import Form, Session
from app.context import Context, user_of
from app.events import PRIVATE, acting, choosing
from app.records.library import whole_number
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import Html, note
from app.show.words import task_words
from medgrpo.errors import UserError
from medgrpo.tasks import TASKS, get_task

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["build"]

_LOOK_SECONDS = 1
_TITLE = "Try it"
_INTRODUCTION = (
    "Choose a clip from the records, ask the model about it, and see how its answer compares with the "
    "expert's: in words, in time, in the picture, and in the eyes of the judge, another program."
)
_FIRST_TASK = next(iter(TASKS))


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Every value that goes to an ``HTML`` component is escaped :class:`Html`.

    Args:
        context: What is asked, and who.
        links: (path, title) of all pages.
    """
    import gradio as gr

    session = Session(context.library, context.sources)

    def forms_of(task: str) -> list[tuple[str, int]]:
        return [(form_words(task, variant), variant) for variant in range(len(get_task(task).forms))]

    def field_updates(task: str, variant: int) -> list[Any]:
        names = form_fields(task, variant)
        labels = [field_words(name) for name in names] + [""] * (MOST_FIELDS - len(names))
        return [gr.update(label=label, visible=bool(label), value="") for label in labels]

    def on_load(request: gr.Request) -> tuple[Any, ...]:
        session.library.refresh()
        query = dict(request.query_params)
        choices = session.library.choices()
        values = [value for _, value in choices]
        wanted, row = str(query.get("file", "")), str(query.get("row", "0"))
        file = wanted if wanted in values else (values[0] if values else None)
        number = whole_number(row) or 0
        visible = gr.update(visible=session.ready())
        files = gr.update(choices=choices, value=file)
        return session.model_line(), visible, files, number, on_row(file, number, request)

    def on_row(file: str | None, row: float | None, request: gr.Request) -> Html:
        """The clip, once it is logged who looks at it."""
        if file and row is not None:
            try:
                context.audit.record(user_of(request), "view record", session.library.name(file, int(row)))
            except UserError as error:
                return page_of(note(error, "warning"))
        return session.record(file, row)

    def on_task(task: str) -> tuple[Any, ...]:
        return (gr.update(choices=forms_of(task), value=0), *field_updates(task, 0))

    def on_ask(request: gr.Request, *chosen: Any) -> tuple[Any, ...]:
        file, row, own, task, variant, *rest = chosen
        *values, reference, drawn, temperature, seed = rest
        form = Form(file, row, own, task, int(variant), values, reference, drawn, float(temperature), seed)
        try:
            question = session.question(form)
            context.audit.record(user_of(request), "ask", session.name(question))
            key = session.ask(question)
        except UserError as error:
            told = page_of(note(f"This cannot be asked: {error}.", "warning"))
            return "", told, gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return (key, *on_look(key))

    def on_look(key: str) -> tuple[Any, ...]:
        if not key:
            return (gr.skip(),) * 5
        progress, answer = session.look(key)
        busy = answer is None
        buttons = (gr.update(interactive=not busy), gr.update(interactive=busy))
        return progress, gr.skip() if answer is None else answer, *buttons, gr.Timer(active=busy)

    def on_stop(key: str) -> tuple[Any, ...]:
        session.stop(key)
        return on_look(key)

    def on_answered() -> Any:
        return session.model_line()

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        model = gr.HTML(elem_id="model")
        with gr.Column(visible=False) as controls:
            with gr.Row():
                file = gr.Dropdown(label="Records file", choices=[], interactive=True, elem_id="file")
                row = gr.Number(
                    label="Row number",
                    info="The page Data lists the rows of a file, and leads from each of them to here.",
                    value=0,
                    minimum=0,
                    precision=0,
                    elem_id="row",
                )
            record = gr.HTML(elem_id="record")
            own = gr.Radio(
                label="What to ask",
                choices=[("The question of this row", True), ("A question of my own", False)],
                value=True,
            )
            with gr.Group(visible=False) as typing:
                task = gr.Dropdown(
                    label="Task", choices=[(task_words(name), name) for name in TASKS], value=_FIRST_TASK
                )
                variant = gr.Dropdown(label="Form of the question", choices=forms_of(_FIRST_TASK), value=0)
                with gr.Row():
                    fields = [
                        gr.Textbox(label=field_words(name), visible=bool(name), max_length=LONGEST_FIELD)
                        for name in [*form_fields(_FIRST_TASK, 0), *[""] * MOST_FIELDS][:MOST_FIELDS]
                    ]
                reference = gr.Textbox(
                    label="Reference answer to compare with, if you have one",
                    max_length=LONGEST_REFERENCE,
                    lines=2,
                )
            with gr.Row():
                drawn = gr.Radio(
                    label="Which answer",
                    choices=[("The likeliest", False), ("Drawn by chance", True)],
                    value=False,
                    info="Training draws several answers by chance and compares them.",
                )
                temperature = gr.Slider(
                    label="Temperature",
                    info="How much is left to chance.",
                    minimum=0.1,
                    maximum=2.0,
                    step=0.1,
                    value=1.0,
                    visible=False,
                )
                seed = gr.Number(
                    label="Seed",
                    info="The same number draws the same answer.",
                    value=0,
                    minimum=0,
                    precision=0,
                    visible=False,
                )
            with gr.Row():
                ask = gr.Button("Ask", variant="primary", elem_id="ask")
                stop = gr.Button("Stop", interactive=False, elem_id="stop")
            progress = gr.HTML(elem_id="progress")
            answer = gr.HTML(elem_id="answer")
        gr.HTML(footer())
        key = gr.State("")
        timer = gr.Timer(_LOOK_SECONDS, active=False)

        looked = [progress, answer, ask, stop, timer]
        chosen = [file, row, own, task, variant, *fields, reference, drawn, temperature, seed]
        page.load(on_load, None, [model, controls, file, row, record], **PRIVATE)
        gr.on([file.input, row.input], on_row, [file, row], record, **choosing("row"))
        own.input(lambda own: gr.update(visible=not own), own, typing, **choosing("typing"))
        task.input(on_task, task, [variant, *fields], **choosing("fields"))
        variant.input(field_updates, [task, variant], fields, **choosing("fields"))
        sampled = [temperature, seed]
        drawn.input(lambda drawn: [gr.update(visible=drawn)] * 2, drawn, sampled, **choosing("sampled"))
        ask.click(on_ask, chosen, [key, *looked], **acting("answer"))
        stop.click(on_stop, key, looked, **acting("answer"))
        timer.tick(on_look, key, looked, **acting("answer"))
        answer.change(on_answered, None, model, **PRIVATE)
    return page
