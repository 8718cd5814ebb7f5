"""What is on the page: the choices, what they show, and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from app.context import Context, user_of
from app.index import MEASURES, RolloutIndex
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import Html, el, note
from app.show.words import task_words
from app.training.group import GROUP_COLUMNS, group_cells, group_page
from app.training.overview import curves_page, empty_page, problems_note, run_line, table_page
from medgrpo.errors import UserError

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["Dashboard", "build"]

_ORDERS = [
    ("Newest round first", "newest"),
    ("Oldest round first", "oldest"),
    ("Best average first", "best"),
    ("Worst average first", "worst"),
    ("Largest differences first", "spread"),
]
_LIMIT = 200
_REFRESH_SECONDS = 5
_TITLE = "Training"
_INTRODUCTION = (
    "Each answer of the model gets a reward. Answers that are better than their group become more likely, "
    "the others less. Here you can see how the rewards develop (Overview), and read every answer with the "
    "reasons for its reward (Answers)."
)


class Dashboard:
    """What the page shows for a choice; independent of Gradio.

    Args:
        index: The runs.
        base: Folder that relative frame paths in the store start from.
    """

    def __init__(self, index: RolloutIndex, base: Path) -> None:
        self.index = index
        self.base = base
        self.version = 0
        self.refresh()

    def refresh(self) -> int:
        """Take in new shards; the number rises whenever something changed."""
        if self.index.refresh():
            self.version += 1
        return self.version

    def overview(self, run: str | None, measure: str) -> Html:
        """Curves and table of a run."""
        problems = problems_note(self.index.problems)
        summary = next((r for r in self.index.runs() if r.run == run), None)
        if summary is None:
            return page_of(problems, empty_page(str(self.index.folder)))
        rewards, raws = self.index.curves(summary.run, "reward"), self.index.curves(summary.run, "raw")
        chosen = {"reward": rewards, "raw": raws}.get(measure)
        points = self.index.curves(summary.run, measure) if chosen is None else chosen
        values = el(
            "section", el("h3", "All values"), table_page(self.index.pairs(summary.run), rewards, raws)
        )
        return page_of(problems, run_line(summary), curves_page(points, measure), values)

    def groups(self, run: str | None, dataset: str, task: str, step: str, order: str) -> list[list[str]]:
        """The list of groups under the filters; an empty filter passes all."""
        if not run:
            return []
        found = self.index.groups(
            run,
            dataset=dataset or None,
            task=task or None,
            step=int(step) if step else None,
            order=order,
            limit=_LIMIT,
        )
        return [group_cells(group) for group in found]

    def group(self, run: str | None, step: str, group_id: str) -> Html:
        """One group, or why it cannot be shown."""
        if not run or not group_id or not step.isdecimal():
            return page_of(note("Choose a group in the list above to read its answers."))
        try:
            rows = self.index.group(run, int(step), group_id)
        except UserError as error:
            return page_of(note(error, "warning"))
        if not rows:
            return page_of(
                note("There is no such group in this run. Choose one in the list above.", "warning")
            )
        link = "?" + urlencode({"run": run, "step": step, "group": group_id})
        return page_of(
            el("p", el("a", "Link to this group", href=link), class_="small"), group_page(rows, self.base)
        )

    def choices(self, run: str | None) -> tuple[list[tuple[str, str]], ...]:
        """(label, value) choices of the dataset, task and round filters."""
        pairs = self.index.pairs(run) if run else []
        steps = self.index.steps(run) if run else []
        datasets = sorted({pair[0] for pair in pairs})
        tasks = sorted({pair[1] for pair in pairs}, key=task_words)
        return (
            [("All datasets", ""), *((name, name) for name in datasets)],
            [("All tasks", ""), *((task_words(name), name) for name in tasks)],
            [("All rounds", ""), *((f"Round {step}", str(step)) for step in steps)],
        )


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Every value that goes to an ``HTML`` component is escaped :class:`Html`.

    Args:
        context: What is shown.
        links: (path, title) of all pages.
    """
    import gradio as gr

    dashboard = Dashboard(context.index, context.base)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def run_update(run: str | None) -> Any:
        runs = [r.run for r in dashboard.index.runs()]
        return gr.update(choices=runs, value=run if run in runs else (runs[0] if runs else None))

    def on_run(run: str | None, measure: str) -> tuple[Any, ...]:
        filters = [gr.update(choices=choices, value="") for choices in dashboard.choices(run)]
        return (dashboard.overview(run, measure), *filters, dashboard.groups(run, "", "", "", "newest"))

    def show_group(run: str | None, step: str, group_id: str, request: gr.Request) -> Html:
        """One group, once it is logged who looks at it."""
        if run and group_id:
            try:
                context.audit.record(user_of(request), "view group", f"{run}/{step}/{group_id}")
            except UserError as error:
                return page_of(note(error, "warning"))
        return dashboard.group(run, step, group_id)

    def on_load(measure: str, request: gr.Request) -> tuple[Any, ...]:
        version = dashboard.refresh()
        query = dict(request.query_params)
        wanted, step, group_id = (str(query.get(key, "")) for key in ("run", "step", "group"))
        runs = [r.run for r in dashboard.index.runs()]
        run = wanted if wanted in runs else (runs[0] if runs else None)
        tab = gr.update(selected="answers") if group_id else gr.skip()
        opened = show_group(wanted or run, step, group_id, request)
        return (version, run_update(run), tab, opened, *on_run(run, measure))

    def on_tick(seen: int, run: str | None, measure: str) -> tuple[Any, ...]:
        version = dashboard.refresh()
        if version == seen:
            return gr.skip(), gr.skip(), gr.skip()
        shown = run_update(run)
        return version, shown, dashboard.overview(shown["value"], measure)

    def on_select(run: str | None, event: gr.SelectData, request: gr.Request) -> Html:
        group_id, step = (str(value) for value in event.row_value[:2])
        return show_group(run, step, group_id, request)

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        seen = gr.State(0)
        run = gr.Dropdown(label="Training run", choices=[], interactive=True, elem_id="run")
        with gr.Tabs(selected="overview") as tabs:
            with gr.Tab("Overview", id="overview"):
                measure = gr.Radio(
                    label="Show",
                    choices=[(found.title, name) for name, found in MEASURES.items()],
                    value="reward",
                    elem_id="measure",
                )
                overview = gr.HTML(elem_id="curves")
            with gr.Tab("Answers", id="answers"):
                with gr.Row():
                    dataset = gr.Dropdown(label="Dataset", choices=[("All datasets", "")], value="")
                    task = gr.Dropdown(label="Task", choices=[("All tasks", "")], value="")
                    step = gr.Dropdown(label="Round of training", choices=[("All rounds", "")], value="")
                    order = gr.Dropdown(label="Order", choices=_ORDERS, value="newest")
                groups = gr.Dataframe(
                    label=f"Groups of answers (at most {_LIMIT} are listed): choose one to read it",
                    headers=GROUP_COLUMNS,
                    datatype="str",
                    type="array",
                    interactive=False,
                    max_height=280,
                    buttons=[],
                    elem_id="groups",
                )
                group = gr.HTML(elem_id="group")
        gr.HTML(footer())

        filters = [dataset, task, step]
        listing: dict[str, Any] = {
            "fn": dashboard.groups,
            "inputs": [run, *filters, order],
            "outputs": groups,
            **private,
        }
        page.load(on_load, measure, [seen, run, tabs, group, overview, *filters, groups], **private)
        run.input(on_run, [run, measure], [overview, *filters, groups], **private)
        measure.input(dashboard.overview, [run, measure], overview, **private)
        for choice in (*filters, order):
            choice.input(**listing)
        groups.select(on_select, run, group, **private)
        timer = gr.Timer(_REFRESH_SECONDS)
        timer.tick(on_tick, [seen, run, measure], [seen, run, overview], **private)
    return page
