"""The comparison's part of the page.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers.
"""

from collections.abc import Sequence
from typing import Any

from app.context import Context, user_of
from app.events import choosing
from app.index import MEASURES
from app.show.frame import page as page_of
from app.show.html import Html, note
from app.training.compare_view import Comparison
from medgrpo.errors import UserError

__all__ = ["CompareTab"]

_HELP = (
    "Choose what to compare: two runs, or the first rounds of a run with its last ones. Each round is the "
    "model as its checkpoint was then. Rounds are written as all, 7, 0-10, first 5 or last 5."
)


class CompareTab:
    """Two sides, their curves, differences and answers.

    Built inside a tab.

    Args:
        context: What pages share.
        comparison: What is shown.
    """

    def __init__(self, context: Context, comparison: Comparison) -> None:
        import gradio as gr

        self.context, self.comparison = context, comparison
        gr.HTML(page_of(note(_HELP)))
        with gr.Row():
            self.run_a = gr.Dropdown(label="A: run", choices=[], interactive=True, elem_id="run-a")
            rounds_a = gr.Textbox(label="A: rounds", value="first 5", max_lines=1)
            self.run_b = gr.Dropdown(label="B: run", choices=[], interactive=True, elem_id="run-b")
            rounds_b = gr.Textbox(label="B: rounds", value="last 5", max_lines=1)
            measures = [(measure.title, name) for name, measure in MEASURES.items()]
            self.measure = gr.Dropdown(label="Curves of", choices=measures, value="reward")
        self.button = gr.Button("Compare", variant="primary", elem_id="compare")
        self.found = gr.HTML(elem_id="compared")
        self.question = gr.Dropdown(
            label="Answers of both to the same question (largest difference first)",
            choices=[],
            interactive=True,
            elem_id="question",
            visible=False,
        )
        self.answers = gr.HTML(elem_id="both")
        self.sides = [self.run_a, rounds_a, self.run_b, rounds_b]
        self.outputs = [self.run_a, self.run_b]

    def filled(self, runs: Sequence[str], a: str | None = None, b: str | None = None) -> tuple[Any, ...]:
        """Choices of runs for each output; what was chosen stays if it is still there."""
        import gradio as gr

        first = runs[0] if runs else None
        # A value that is still right is not written: someone may be choosing another one.
        return tuple(
            gr.update(choices=list(runs)) if chosen in runs else gr.update(choices=list(runs), value=first)
            for chosen in (a, b)
        )

    def listen(self) -> None:
        """Events that stay within the tab."""
        import gradio as gr

        def on_compare(*chosen: Any) -> tuple[Any, ...]:
            found = self.comparison.compare(*chosen)
            questions = gr.update(choices=found.questions, value=None, visible=bool(found.questions))
            return found.page, questions, page_of()

        def on_question(request: gr.Request, *chosen: Any) -> Html:
            run_a, rounds_a, run_b, rounds_b, key = chosen
            if key:
                try:
                    target = f"{run_a} {rounds_a} / {run_b} {rounds_b} / {key}"
                    self.context.audit.record(user_of(request), "compare answers", target)
                except UserError as error:
                    return page_of(note(error, "warning"))
            return self.comparison.answers(run_a, rounds_a, run_b, rounds_b, key)

        turn = choosing("comparison")
        rounds = [self.sides[1].submit, self.sides[3].submit]
        compared = [self.found, self.question, self.answers]
        triggers = [self.button.click, self.measure.input, *rounds]
        gr.on(triggers, on_compare, [*self.sides, self.measure], compared, **turn)
        self.question.input(on_question, [*self.sides, self.question], self.answers, **turn)
