"""The list of groups and the open group: their part of the page.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.context import Context, user_of
from app.events import choosing
from app.show.frame import page as page_of
from app.show.html import Html, note
from app.show.scripts import script
from app.training.listing import PAGE_SIZES
from app.training.review import Listing, Review, filter_of, status_choices
from medgrpo.errors import UserError

if TYPE_CHECKING:
    import gradio as gr
    from gradio.events import Dependency

__all__ = ["AnswersTab"]

_ORDERS = [
    ("Newest round first", "newest"),
    ("Oldest round first", "oldest"),
    ("Best average first", "best"),
    ("Worst average first", "worst"),
    ("Largest differences first", "spread"),
    ("Strongest push first", "advantage"),
    ("Judge and similarity disagree most first", "disagreement"),
]
_TURN = choosing("groups")
_FIELDS = ("dataset", "task", "round", "from", "to", "status", "text")


class AnswersTab:
    """Filters, a page of the list, and one group.

    Built inside a tab.

    Args:
        context: What pages share.
        review: What is shown.
    """

    def __init__(self, context: Context, review: Review) -> None:
        import gradio as gr

        self.context, self.review = context, review
        with gr.Row():
            dataset = gr.Dropdown(label="Dataset", choices=[("All datasets", "")], value="")
            task = gr.Dropdown(label="Task", choices=[("All tasks", "")], value="")
            step = gr.Number(label="Round of training (empty: all)", value=None, precision=0, minimum=0)
            status = gr.Dropdown(label="Readable", choices=status_choices(), value="")
        with gr.Row():
            low = gr.Number(label="Reward from", value=None)
            high = gr.Number(label="Reward to", value=None)
            text = gr.Textbox(label="Words to find", max_lines=1, elem_id="words")
            self.order = gr.Dropdown(label="Order", choices=_ORDERS, value="newest")
            self.size = gr.Dropdown(label="Groups on a page", choices=list(PAGE_SIZES), value=PAGE_SIZES[0])
        self.filters = [dataset, task, step, low, high, status, text]
        with gr.Row(elem_classes="bar"):
            self.clear = gr.Button("Clear filters", size="sm")
            self.back = gr.Button("◀ Previous page", size="sm", elem_id="previous-page")
            self.position = gr.HTML(elem_id="position")
            self.on = gr.Button("Next page ▶", size="sm", elem_id="next-page")
        self.fresh = gr.Button(visible=False, size="sm", elem_id="fresh")
        self.listing = gr.HTML(elem_id="groups", js_on_load=script("listing"))
        with gr.Row(elem_classes="bar"):
            self.previous = gr.Button("◀ Previous group (p)", size="sm", elem_id="previous-group")
            self.next = gr.Button("Next group (n) ▶", size="sm", elem_id="next-group")
        self.group = gr.HTML(elem_id="group", js_on_load=script("group"))
        self.place = gr.State({"offset": 0, "keys": [], "total": 0})
        self.open = gr.State(("", ""))
        self.list_outputs = [self.listing, self.position, self.back, self.on, self.place, self.fresh]
        self.load_outputs = [*self.filters, self.order, *self.list_outputs, self.group, self.open]

    def loaded(self, run: str | None, query: Mapping[str, str], request: "gr.Request") -> tuple[Any, ...]:
        """A value for each of ``load_outputs``, for a link's query."""
        import gradio as gr

        given = [query.get(name, "") for name in _FIELDS]
        datasets, tasks = self.review.choices(run)
        order = query.get("order", "newest")
        fields = [
            gr.update(choices=datasets, value=_known(given[0], datasets)),
            gr.update(choices=tasks, value=_known(given[1], tasks)),
            *(_number(value) for value in given[2:5]),
            _known(given[5], status_choices()),
            given[6],
            _known(order, _ORDERS) or "newest",
        ]
        values = [_known(given[0], datasets), _known(given[1], tasks), *given[2:]]
        listed = self._list(run, values, order, 0, PAGE_SIZES[0])
        key = (query.get("step", ""), query.get("group", ""))
        return (*fields, *listed, self._show(run, key, request), key)

    def listen(self, run: "gr.Dropdown", seen: "gr.State", renewed: "Dependency") -> None:
        """Events that stay within the tab, the list of another run, and what has come in since.

        Args:
            run: Whose answers are listed.
            seen: Version of the stores that the page shows.
            renewed: Behind which the page may show another version.
        """
        import gradio as gr

        chosen = [run, *self.filters, self.order, self.size]
        listing: dict[str, Any] = {"inputs": chosen, "outputs": self.list_outputs, **_TURN}
        picked = (*self.filters[:2], self.filters[5], self.order, self.size)
        typed = (*self.filters[2:5], self.filters[6])
        triggers = [field.input for field in picked] + [self.fresh.click]
        triggers += [event for field in typed for event in (field.submit, field.blur)]
        gr.on(triggers, self._first_page, **listing)
        empty = ["", "", None, None, None, "", ""]
        cleared = self.clear.click(lambda: empty, outputs=self.filters, **_TURN)
        cleared.then(self._first_page, **listing)
        turning: dict[str, Any] = {**listing, "inputs": [self.place, *chosen]}
        self.back.click(self._page_before, **turning)
        self.on.click(self._page_after, **turning)

        def on_run(request: gr.Request, run: str | None) -> tuple[Any, ...]:
            return self.loaded(run, {}, request)

        run.input(on_run, run, self.load_outputs, **_TURN)
        told = gr.State(0)
        renewed.then(self._news, [seen, told, self.place, *chosen], [told, self.fresh], **_TURN)
        self._listen_to_groups(run, chosen)

    def _listen_to_groups(self, run: "gr.Dropdown", chosen: list[Any]) -> None:
        import gradio as gr

        def on_open(run: str | None, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
            key = (str(event.step), str(event.group))
            return self._show(run, key, request), key

        def on_previous(request: gr.Request, at: Any, place: Any, *chosen: Any) -> tuple[Any, ...]:
            return self._go(-1, at, place, chosen, request)

        def on_next(request: gr.Request, at: Any, place: Any, *chosen: Any) -> tuple[Any, ...]:
            return self._go(1, at, place, chosen, request)

        shown = [self.group, self.open]
        going: dict[str, Any] = {
            "inputs": [self.open, self.place, *chosen],
            "outputs": [*shown, *self.list_outputs],
            **_TURN,
        }
        self.listing.open(on_open, run, shown, **_TURN)
        self.previous.click(on_previous, **going)
        self.next.click(on_next, **going)

    def _news(
        self, seen: int, told: int, place: dict[str, Any], run: str | None, *chosen: Any
    ) -> tuple[Any, Any]:
        """What the button says that renews the list; hidden while nothing has come in."""
        import gradio as gr

        if seen == told:
            return gr.skip(), gr.skip()
        *filters, order, size = chosen
        try:
            total = self.review.listing(filter_of(run, *filters), order, 0, size).total
        except UserError:
            return seen, gr.skip()
        more = total - place["total"]
        if not more:
            return seen, gr.update(visible=False)
        words = (
            f"{more:,} new group{'s' if more != 1 else ''}: show"
            if more > 0
            else "The list has changed: show"
        )
        return seen, gr.update(visible=True, value=words)

    def _list(
        self, run: str | None, filters: list[Any], order: str, offset: int, size: int
    ) -> tuple[Any, ...]:
        try:
            found = self.review.listing(filter_of(run, *filters), order, offset, size)
        except UserError as error:
            found = Listing(page_of(note(error, "warning")))
        return self._listed(found, size)

    def _listed(self, found: Listing, size: int) -> tuple[Any, ...]:
        import gradio as gr

        place = {"offset": found.offset, "keys": found.keys, "total": found.total}
        return (
            found.page,
            page_of(note(found.words)),
            gr.update(interactive=found.offset > 0),
            gr.update(interactive=found.offset + len(found.keys) < found.total),
            place,
            gr.update(visible=False),
        )

    def _first_page(self, run: str | None, *chosen: Any) -> tuple[Any, ...]:
        *filters, order, size = chosen
        return self._list(run, filters, order, 0, size)

    def _page_before(self, place: dict[str, Any], run: str | None, *chosen: Any) -> tuple[Any, ...]:
        *filters, order, size = chosen
        return self._list(run, filters, order, place["offset"] - size, size)

    def _page_after(self, place: dict[str, Any], run: str | None, *chosen: Any) -> tuple[Any, ...]:
        *filters, order, size = chosen
        return self._list(run, filters, order, place["offset"] + size, size)

    def _show(self, run: str | None, key: tuple[str, str], request: "gr.Request") -> Html:
        step, group_id = key
        if run and group_id:
            try:
                self.context.audit.record(user_of(request), "view group", f"{run}/{step}/{group_id}")
            except UserError as error:
                return page_of(note(error, "warning"))
        return self.review.group(run, step, group_id)

    def _go(
        self,
        by: int,
        at: tuple[str, str],
        place: dict[str, Any],
        chosen: tuple[Any, ...],
        request: "gr.Request",
    ) -> tuple[Any, ...]:
        import gradio as gr

        run, *filters, order, size = chosen
        still = (gr.skip(),) * (2 + len(self.list_outputs))
        keys = [(int(step), str(name)) for step, name in place["keys"]]
        key = (int(at[0]), at[1]) if at[0].isdecimal() else (-1, "")
        try:
            found = self.review.neighbour(
                filter_of(run, *filters), order, size, place["offset"], keys, key, by
            )
            if found is None:
                return still
            (step, name), offset = found
            moved = offset != place["offset"]
            listed = self._list(run, filters, order, offset, size) if moved else still[2:]
        except UserError:
            return still
        opened = (str(step), name)
        return (self._show(run, opened, request), opened, *listed)


def _known(value: str, choices: list[tuple[str, str]]) -> str:
    """The value if it can be chosen, else none."""
    return value if value in {choice for _, choice in choices} else ""


def _number(text: str) -> float | None:
    """What a field for numbers shows of a link; a text that is none is left to the filter to refuse."""
    try:
        return float(text)
    except ValueError:
        return None
