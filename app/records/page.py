"""The page Data: its components and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.context import Context, user_of
from app.records.browser import COLUMNS, LIMIT, READING, Browser
from app.show.frame import footer, header
from app.show.html import Html
from medgrpo.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["build"]

_REFRESH_SECONDS = 2
_LONGEST_TEXT = 200
_TITLE = "Data"
_INTRODUCTION = (
    "A model is trained on records: a clip, a question about it and an expert's reference answer. Here you "
    "can look at each of them before training: the frames as the model gets them, what the expert marked, "
    "and rows that something is wrong with."
)


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Every value that goes to an ``HTML`` component is escaped :class:`Html`.

    Args:
        context: What is shown.
        links: (path, title) of all pages.
    """
    import gradio as gr

    browser = Browser(context.sources, context.index.folder)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def shown(number: str | None) -> tuple[Any, ...]:
        """Overview and filters of a file."""
        datasets, tasks = browser.filters(number)
        filters = (gr.update(choices=datasets, value=""), gr.update(choices=tasks, value=""))
        return (*browser.overview(number), *filters)

    def timer_of(stage: str) -> Any:
        return gr.Timer(active=stage.endswith(READING))

    def listed(
        number: str | None, dataset: str, task: str, text: str, first: float | None, which: str
    ) -> list[list[str]]:
        try:
            return browser.rows(number, dataset, task, text[:_LONGEST_TEXT], first, which)
        except UserError as error:
            return [["", "", "", "", str(error), "", ""]]

    def opened(number: str | None, row: str, request: gr.Request) -> Html:
        if number and row:
            context.audit.record(user_of(request), "view record", browser.name(number, row[:20]))
        return browser.record(number, row)

    def on_load(request: gr.Request) -> tuple[Any, ...]:
        browser.library.refresh()
        query = dict(request.query_params)
        choices = browser.library.choices()
        wanted, row = str(query.get("file", "")), str(query.get("row", ""))
        values = [value for _, value in choices]
        number = wanted if wanted in values else (values[0] if values else None)
        update = gr.update(choices=choices, value=number, visible=bool(choices))
        controls = gr.update(visible=bool(choices))
        # The stage is asked for first: what changes meanwhile is shown at the next tick.
        stage = browser.stage(number)
        record = opened(number, row, request)
        still = row if browser.waits(number) else ""
        rows = listed(number, "", "", "", 0, "")
        return (update, controls, stage, *shown(number), rows, record, still, timer_of(stage))

    def on_file(number: str | None, request: gr.Request) -> tuple[Any, ...]:
        stage = browser.stage(number)
        rows = listed(number, "", "", "", 0, "")
        return (stage, *shown(number), rows, opened(None, "", request), "", timer_of(stage))

    def on_tick(
        request: gr.Request, seen: str, wanted: str, number: str | None, *filters: Any
    ) -> tuple[Any, ...]:
        stage = browser.stage(number)
        if stage == seen:
            return (gr.skip(), browser.status(number), *(gr.skip(),) * 8)
        # The choice of a filter stays; the list is made anew when rows can be listed at last.
        datasets, tasks = browser.filters(number)
        updates = (gr.update(choices=datasets), gr.update(choices=tasks))
        record = opened(number, wanted, request) if wanted else gr.skip()
        still = wanted if browser.waits(number) else ""
        rows = listed(number, *filters)
        return (stage, *browser.overview(number), *updates, rows, record, still, timer_of(stage))

    def on_select(number: str | None, event: gr.SelectData, request: gr.Request) -> tuple[Html, str]:
        return opened(number, str(event.row_value[0]), request), ""

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        stage = gr.State("")
        wanted = gr.State("")  # the row of a link, until it can be opened
        timer = gr.Timer(_REFRESH_SECONDS, active=False)  # runs while a file is read and checked
        file = gr.Dropdown(label="Records file", choices=[], interactive=True, elem_id="file", visible=False)
        status = gr.HTML(elem_id="status")
        with gr.Tabs(visible=False) as controls:
            with gr.Tab("Rows"):
                with gr.Row():
                    dataset = gr.Dropdown(label="Dataset", choices=[("All datasets", "")], value="")
                    task = gr.Dropdown(label="Task", choices=[("All tasks", "")], value="")
                    which = gr.Dropdown(
                        label="Show",
                        choices=[("All rows", ""), ("Rows with defects", "defects")],
                        value="",
                    )
                    text = gr.Textbox(
                        label="Text anywhere in the row",
                        max_length=_LONGEST_TEXT,
                        max_lines=1,
                        elem_id="text",
                    )
                    first = gr.Number(label="From row number", value=0, minimum=0, precision=0)
                rows = gr.Dataframe(
                    label=f"Rows (at most {LIMIT} are listed): choose one to look at it",
                    headers=COLUMNS,
                    datatype="str",
                    type="array",
                    interactive=False,
                    max_height=280,
                    column_widths=["6%", "12%", "17%", "13%", "26%", "17%", "9%"],
                    buttons=[],
                    elem_id="rows",
                )
                record = gr.HTML(elem_id="record")
            with gr.Tab("Counts"):
                counts = gr.HTML(elem_id="counts")
            with gr.Tab("Set aside"):
                aside = gr.HTML(elem_id="aside")
        gr.HTML(footer())

        overview = [stage, status, counts, aside, dataset, task]
        filters = [dataset, task, text, first, which]
        page.load(on_load, None, [file, controls, *overview, rows, record, wanted, timer], **private)
        file.input(on_file, file, [*overview, rows, record, wanted, timer], **private)
        for choice in (dataset, task, which):
            choice.input(listed, [file, *filters], rows, **private)
        for entry in (text, first):
            entry.submit(listed, [file, *filters], rows, **private)
            entry.blur(listed, [file, *filters], rows, **private)
        rows.select(on_select, file, [record, wanted], **private)
        timer.tick(
            on_tick, [stage, wanted, file, *filters], [*overview, rows, record, wanted, timer], **private
        )
    return page
