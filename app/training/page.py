"""The page about training: its tabs, and the events between them.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.context import Context
from app.events import PRIVATE, acting
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import note
from app.show.scripts import script
from app.show.terms import glossary
from app.training.answers_tab import AnswersTab
from app.training.compare_tab import CompareTab
from app.training.compare_view import Comparison
from app.training.overview_tab import PLACE, OverviewTab
from app.training.review import Review
from app.training.watch import CURVES, Watch

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["build"]

_REFRESH_SECONDS = 5
_TITLE = "Training"
_INTRODUCTION = (
    "Each answer of the model gets a reward. Answers that are better than their group become more likely, "
    "the others less. Here you can see how the rewards develop (Overview), read every answer with the "
    "reasons for its reward (Answers), and put two runs or two parts of a run next to each other (Compare). "
    "Words that are underlined with dots explain themselves when you choose them."
)
_TABS = ("answers", "compare")


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Every value that goes to an ``HTML`` component is escaped.

    Args:
        context: What is shown.
        links: (path, title) of all pages.
    """
    import gradio as gr

    watch = Watch(context.index)

    def on_load(request: gr.Request) -> tuple[Any, ...]:
        version = watch.refresh()
        query = {str(name): str(value) for name, value in dict(request.query_params).items()}
        runs = watch.runs()
        wanted = query.get("run", "")
        run = wanted if wanted in runs else (runs[0] if runs else None)
        tab = query.get("tab", "answers" if query.get("group") else "overview")
        measure = query.get("show", "reward")
        measure = measure if measure in CURVES else "reward"
        missing = (
            f"There is no run named {wanted}; the latest one is shown." if wanted and wanted != run else ""
        )
        return (
            version,
            page_of(note(missing, "warning") if missing else None),
            gr.update(choices=runs, value=run),
            gr.update(selected=tab) if tab in _TABS else gr.skip(),  # who was faster has chosen another one
            measure,
            *overview.filled(run, measure),
            *answers.loaded(wanted or run, query, request),
            *compare.filled(runs),
        )

    def on_tick(seen: int, known: str | None, measure: str, a: Any, b: Any) -> tuple[Any, ...]:
        version = watch.refresh()
        if version == seen:
            return (gr.skip(),) * (2 + len(overview.outputs) + len(compare.outputs))
        runs = watch.runs()
        run = known if known in runs else (runs[0] if runs else None)
        return (
            version,
            # A value that is still right is not written: someone may be choosing another one.
            gr.update(choices=runs) if run == known else gr.update(choices=runs, value=run),
            *overview.filled(run, measure),
            *compare.filled(runs, a, b),
        )

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links), js_on_load=script("keep"))
        seen = gr.State(0)
        message = gr.HTML(elem_id="message")
        run = gr.Dropdown(label="Training run", choices=[], interactive=True, elem_id="run")
        with gr.Tabs(selected="overview") as tabs:
            with gr.Tab("Overview", id="overview"):
                overview = OverviewTab(watch)
            with gr.Tab("Answers", id="answers"):
                answers = AnswersTab(context, Review(context.index, context.base, context.workspace.media))
            with gr.Tab("Compare", id="compare"):
                compare = CompareTab(context, Comparison(context.index))
        gr.HTML(page_of(glossary()))
        gr.HTML(footer())

        everything = [*overview.outputs, *answers.load_outputs, *compare.outputs]
        page.load(on_load, None, [seen, message, run, tabs, overview.measure, *everything], **PRIVATE)
        renewed = gr.Timer(_REFRESH_SECONDS).tick(
            on_tick,
            [seen, run, overview.measure, compare.run_a, compare.run_b],
            [seen, run, *overview.outputs, *compare.outputs],
            **acting(PLACE),
        )
        overview.listen(run)
        answers.listen(run, seen, renewed)
        compare.listen()
    return page
