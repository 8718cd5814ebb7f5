"""The agreement page: filters, tables, and the form that prepares a review. Not for reviewers: it names runs.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers, which name classes of a
package that is imported late.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.agreement.answers import Reviewed, ReviewedAnswers
from app.agreement.measures import compare
from app.agreement.prepare import CAPTION_TASKS, prepare
from app.agreement.remarks import remarks_view
from app.agreement.view import agreement_view, counts_view, nobody_view, unsure_view
from app.context import Context, user_of
from app.events import PRIVATE, acting, choosing
from app.review.desk import RUBRIC
from app.review.reviews import Reviews
from app.review.view import review_label
from app.show.frame import footer, header
from app.show.frame import page as page_of
from app.show.html import Html, el, join, note
from app.show.words import task_words
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.rewards.judges import load_rubric

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["Board", "build"]

_TITLE = "Agreement"
_INTRODUCTION = (
    "How far the people who reviewed answers agree with each other, and how far the judge, a program whose "
    "marks are part of the reward, agrees with them. Below you can prepare a review."
)
_FILTERS = ("run", "dataset", "task", "checkpoint")
_LABELS = ("Training run", "Dataset", "Task", "Checkpoint")


class Board:
    """What the page shows; independent of Gradio.

    Args:
        context: What pages share.

    Raises:
        UserError: If the files of the workspace cannot be opened.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.verdicts = VerdictStore(context.workspace.verdicts)
        self.reviews = Reviews(context.workspace.reviews)
        self.rubric = load_rubric(RUBRIC)
        self._answers = ReviewedAnswers(context.index)
        self._shown: dict[tuple[Any, ...], Html] = {}

    def choices(self) -> list[list[tuple[str, str]]]:
        """(label, value) of the filters run, dataset, task and checkpoint; an empty value passes all."""
        answers = [answer for _, answer in self._answers.of(self.verdicts.present())]
        found = []
        for name in _FILTERS:
            values = sorted({str(getattr(answer, name)) for answer in answers})
            labels = [task_words(value) if name == "task" else value for value in values]
            found.append([("All", ""), *zip(labels, values, strict=True)])
        return found

    def tables(self, filters: Sequence[str], blind_only: bool) -> Html:
        """The comparisons under the filters.

        Args:
            filters: Run, dataset, task and checkpoint, empty for all.
            blind_only: Whether verdicts after the judge was shown are left out.
        """
        # Numbers with intervals take a moment: the same question of the same verdicts is answered once.
        asked = (self.verdicts.version(), *filters, blind_only)
        if asked not in self._shown:
            self._shown = {asked: self._tables(filters, blind_only)}
        return self._shown[asked]

    def _tables(self, filters: Sequence[str], blind_only: bool) -> Html:
        present = self.verdicts.present()
        stored = self._answers.of(present)
        unsure, twins = self._answers.unsure(present)
        told = unsure_view(unsure, twins)
        pairs = [
            (verdict, answer)
            for verdict, answer in stored
            if _passes(answer, filters) and not (blind_only and verdict.blind is False)
        ]
        if not pairs:
            return join([told, nobody_view(bool(present))])
        others = sorted({answer.rubric for _, answer in pairs} - {"", self.rubric.name})
        lost = len(present) - len(stored) - unsure
        counts = counts_view([verdict for verdict, _ in pairs], lost, others)
        return join(
            [told, counts, agreement_view(compare(pairs, self.rubric), self.rubric), remarks_view(pairs)]
        )

    def listing(self) -> Html:
        """The reviews that there are, with what they were drawn from."""
        told = [
            el(
                "li",
                f"{review_label(review)}: run {review.plan.run}, "
                f"{', '.join(task_words(task) for task in review.plan.tasks)}; {review.plan.shared} for all "
                f"of {review.plan.reviewers} reviewers, seed {review.plan.seed}",
            )
            for review in self.reviews.all()
        ]
        return page_of(el("h3", "Reviews so far"), el("ul", *told)) if told else Html("")


def build(context: Context, links: Sequence[tuple[str, str]]) -> "gr.Blocks":
    """The page with its events. Every value that goes to an ``HTML`` component is escaped :class:`Html`.

    Args:
        context: What is shown.
        links: (path, title) of all pages.
    """
    import gradio as gr

    board = Board(context)

    def tables(*chosen: Any) -> Html:
        *filters, blind_only = chosen
        try:
            return board.tables([value or "" for value in filters], bool(blind_only))
        except UserError as error:
            return page_of(note(error, "warning"))

    def on_load(request: gr.Request) -> tuple[Any, ...]:
        context.index.refresh()
        runs = [summary.run for summary in context.index.runs()]
        run = runs[0] if runs else None
        try:
            context.audit.record(user_of(request), "view agreement", "all verdicts")
            updates = [gr.update(choices=choices, value="") for choices in board.choices()]
            shown = (*updates, tables("", "", "", "", True), board.listing())
        except UserError as error:
            shown = (*(gr.skip() for _ in _FILTERS), page_of(note(error, "warning")), "")
        return (*shown, gr.update(choices=runs, value=run), *on_run(run))

    def on_run(run: str | None) -> tuple[Any, ...]:
        steps = context.index.steps(run) if run else [0]
        tasks = sorted({pair[1] for pair in context.index.pairs(run)}) if run else []
        captions = [task for task in tasks if task in CAPTION_TASKS]
        kinds = gr.update(choices=[(task_words(task), task) for task in tasks], value=captions or tasks)
        return kinds, min(steps), max(steps)

    def on_prepare(
        run: str | None,
        kinds: list[str],
        first: float,
        last: float,
        size: float,
        share: float,
        reviewers: float,
        seed: float,
        request: gr.Request,
    ) -> tuple[Html, Html]:
        try:
            made = prepare(
                context,
                board.reviews,
                user_of(request),
                run=run,
                rounds=(first, last),
                tasks=kinds or (),
                size=size,
                share=share,
                reviewers=reviewers,
                seed=seed,
                rubric=board.rubric.name,
            )
        except UserError as error:
            return page_of(note(error, "warning")), gr.skip()
        few = "There are no more such answers. " if len(made.items) < made.plan.size else ""
        words = f"{review_label(made)} is ready. {few}Ask your reviewers to open the page “Review”."
        return page_of(note(words)), board.listing()

    with gr.Blocks(title=f"{_TITLE} - medgrpo", analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.HTML(header(_TITLE, _INTRODUCTION, links))
        with gr.Row():
            filters = [
                gr.Dropdown(label=label, choices=[("All", "")], value="", elem_id=f"agreement-{name}")
                for label, name in zip(_LABELS, _FILTERS, strict=True)
            ]
        blind = gr.Checkbox(
            label="Only verdicts that were given before the judge's opinion was shown",
            value=True,
            elem_id="agreement-blind",
        )
        shown = gr.HTML(elem_id="agreement-tables")
        gr.HTML(_downloads())
        with gr.Accordion("Prepare a review", open=True, elem_id="prepare"):
            with gr.Row():
                run = gr.Dropdown(label="Training run", choices=[], interactive=True, elem_id="prepare-run")
                kinds = gr.CheckboxGroup(label="Kinds of questions", choices=[], elem_id="prepare-tasks")
            with gr.Row():
                first = gr.Number(label="From round", info="of training", value=0, precision=0)
                last = gr.Number(label="To round", info="included", value=0, precision=0)
                size = gr.Number(label="Answers", info="of all kinds alike", value=60, precision=0)
                share = gr.Number(
                    label="For everybody (%)",
                    info="20 answers at least, to compare reviewers",
                    value=40,
                    precision=0,
                )
                reviewers = gr.Number(label="Reviewers", info="the rest is divided", value=2, precision=0)
                seed = gr.Number(label="Seed", info="draws the same again", value=0, precision=0)
            button = gr.Button("Prepare the review", variant="primary", elem_id="prepare-go")
            said = gr.HTML(elem_id="prepare-said")
            listing = gr.HTML(elem_id="prepare-list")
        gr.HTML(footer())

        page.load(on_load, None, [*filters, shown, listing, run, kinds, first, last], **PRIVATE)
        chosen = [*filters, blind]
        gr.on([choice.input for choice in chosen], tables, chosen, shown, **choosing("agreement"))
        run.input(on_run, run, [kinds, first, last], **choosing("prepare"))
        asked = [run, kinds, first, last, size, share, reviewers, seed]
        button.click(on_prepare, asked, [said, listing], **acting("reviews"))
    return page


def _passes(answer: Reviewed, filters: Sequence[str]) -> bool:
    return all(
        not wanted or getattr(answer, name) == wanted for name, wanted in zip(_FILTERS, filters, strict=True)
    )


def _downloads() -> Html:
    links = [
        el("a", label, href=f"/verdicts/{form}", download=f"verdicts.{form}")
        for form, label in (("csv", "spreadsheet (CSV)"), ("jsonl", "JSON lines"), ("parquet", "Parquet"))
    ]
    return page_of(
        el("p", "Download all verdicts: ", links[0], ", ", links[1], ", ", links[2], class_="muted small")
    )
