"""The page Data: its components and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.context import Context, user_of
from app.events import PRIVATE, acting, choosing
from app.records.browser import LONGEST_TEXT, READING, Browser
from app.records.listing import COLUMNS, Listing
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import Html, el, note
from medgrpo.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["build"]

_Updates = dict[Any, Any]  # values by component; what is not named stays as it is
_REFRESH_SECONDS = 2
_LONGEST_NUMBER = 20
_NO_FILTERS = ("", "", "", "")
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

    browser = Browser(context.library, context.sources)

    def known(number: str | None) -> _Updates:
        """What is known of a file by now; looked up once more while more will be."""
        # The stage is asked for first: what changes meanwhile is shown at the next tick.
        reached = browser.stage(number)
        told = dict(zip((status, counts, aside), browser.overview(number), strict=True))
        return {stage: reached, timer: gr.Timer(active=reached.endswith(READING)), **told}

    def choosable(number: str | None, **chosen: str) -> _Updates:
        choices = zip((dataset, task), browser.filters(number), strict=True)
        return {filter_: gr.update(choices=named, **chosen) for filter_, named in choices}

    def listed(number: str | None, start: float | None, *chosen: str) -> _Updates:
        """The list from a row on."""
        try:
            found = browser.rows(number, start, *chosen)
        except UserError as error:
            found = Listing(words=str(error))
        return {
            rows: list(found.cells),
            which_rows: page_of(el("p", found.words, class_="muted", role="status")),
            earlier: gr.update(interactive=found.earlier),
            later: gr.update(interactive=found.after is not None),
            after: found.after,
        }

    def listed_anew(number: str | None, *chosen: str) -> _Updates:
        return {first: 0, **listed(number, 0, *chosen)}

    def on_later(number: str | None, start: float | None, *chosen: str) -> _Updates:
        return {first: start, **listed(number, start, *chosen)}

    def on_earlier(number: str | None, end: float | None, *chosen: str) -> _Updates:
        try:
            start = browser.start_before(number, end, *chosen)
        except UserError:  # the list says why
            start = 0
        return {first: start, **listed(number, start, *chosen)}

    def opened(number: str | None, row: str, request: gr.Request) -> Html:
        """A row, once it is logged who looks at it."""
        if number and row:
            try:
                name = browser.library.name(number, row[:_LONGEST_NUMBER])
                context.audit.record(user_of(request), "view record", name)
            except UserError as error:
                return page_of(note(error, "warning"))
        return browser.record(number, row)

    def on_load(request: gr.Request) -> _Updates:
        browser.library.refresh()
        query = dict(request.query_params)
        choices = browser.library.choices()
        asked, row = str(query.get("file", "")), str(query.get("row", ""))
        values = [value for _, value in choices]
        number = asked if asked in values else (values[0] if values else None)
        shown = gr.update(visible=bool(choices))
        return {
            file: gr.update(choices=choices, value=number, visible=bool(choices)),
            controls: shown,
            **known(number),
            **choosable(number, value=""),
            **listed_anew(number, *_NO_FILTERS),
            record: opened(number, row, request),
            wanted: row if browser.waits(number) else "",
        }

    def on_file(number: str | None, request: gr.Request) -> _Updates:
        return {
            **known(number),
            **choosable(number, value=""),
            text: "",
            which: "",
            **listed_anew(number, *_NO_FILTERS),
            record: opened(None, "", request),
            wanted: "",
        }

    def on_tick(
        request: gr.Request, seen: str, row: str, number: str | None, start: float | None, *chosen: str
    ) -> _Updates:
        if browser.stage(number) == seen:
            return {status: browser.status(number)}
        # The choice of a filter stays; the list is made anew when rows can be listed at last.
        found = {**known(number), **choosable(number), **listed(number, start, *chosen)}
        if row:
            found[record] = opened(number, row, request)
            found[wanted] = row if browser.waits(number) else ""
        return found

    def on_select(number: str | None, event: gr.SelectData, request: gr.Request) -> _Updates:
        return {record: opened(number, str(event.row_value[0]), request), wanted: ""}

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        stage = gr.State("")
        wanted = gr.State("")  # the row of a link, until it can be opened
        after = gr.State(None)  # where the list goes on
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
                        label="Text in the row", max_length=LONGEST_TEXT, max_lines=1, elem_id="text"
                    )
                    first = gr.Number(label="From row number", value=0, minimum=0, precision=0)
                rows = gr.Dataframe(
                    label="Rows: choose one to look at it",
                    headers=COLUMNS,
                    datatype="str",
                    type="array",
                    interactive=False,
                    max_height=280,
                    column_widths=["6%", "12%", "17%", "13%", "26%", "17%", "9%"],
                    buttons=[],
                    elem_id="rows",
                )
                with gr.Row(elem_classes="bar"):
                    earlier = gr.Button("Earlier rows", interactive=False)
                    which_rows = gr.HTML(elem_id="which-rows")
                    later = gr.Button("Later rows", interactive=False)
                record = gr.HTML(elem_id="record")
            with gr.Tab("Counts"):
                counts = gr.HTML(elem_id="counts")
            with gr.Tab("Set aside"):
                aside = gr.HTML(elem_id="aside")
        gr.HTML(footer())

        filters: list[Any] = [dataset, task, text, which]
        listing = [rows, which_rows, earlier, later, after]
        all_known = [stage, timer, status, counts, aside, dataset, task, *listing, record, wanted]
        page.load(on_load, None, [file, controls, first, *all_known], **PRIVATE)
        turn = choosing("rows")
        file.input(on_file, file, [text, which, first, *all_known], **turn)
        # A text that is pasted or cleared is a change, but no input.
        narrowed = [dataset.input, task.input, which.input, text.change]
        gr.on(narrowed, listed_anew, [file, *filters], [first, *listing], **turn)
        first.input(listed, [file, first, *filters], listing, **turn)
        later.click(on_later, [file, after, *filters], [first, *listing], **turn)
        earlier.click(on_earlier, [file, first, *filters], [first, *listing], **turn)
        rows.select(on_select, file, [record, wanted], **turn)
        timer.tick(on_tick, [stage, wanted, file, first, *filters], all_known, **acting("rows"))
    return page
