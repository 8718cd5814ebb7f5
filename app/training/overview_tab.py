"""The overview's part of the page.

Annotations are evaluated here, not deferred: Gradio reads those of event handlers.
"""

from typing import TYPE_CHECKING, Any

from app.events import choosing
from app.training.watch import CURVES, Watch

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["PLACE", "OverviewTab"]

PLACE = "overview"
"""Of all events that write the overview (:mod:`app.events`)."""


class OverviewTab:
    """State of the runs, alarms, then and now, curves, values.

    Built inside a tab.

    Args:
        watch: What is shown.
    """

    def __init__(self, watch: Watch) -> None:
        import gradio as gr

        self.watch = watch
        self.status = gr.HTML(elem_id="runs")
        self.alarms = gr.HTML(elem_id="alarms")
        self.measure = gr.Radio(
            label="Show",
            choices=[(title, name) for name, (title, _) in CURVES.items()],
            value="reward",
            elem_id="measure",
        )
        self.curves = gr.HTML(elem_id="curves")
        self.drift = gr.HTML(elem_id="drift")
        self.values = gr.HTML(elem_id="values")
        self.outputs = [self.status, self.alarms, self.curves, self.drift, self.values]

    def filled(self, run: str | None, measure: str) -> tuple[Any, ...]:
        """A value for each output."""
        watch = self.watch
        return (
            watch.status(run),
            watch.alarms(run),
            watch.curves(run, measure),
            watch.drift(run),
            watch.values(run),
        )

    def listen(self, run: "gr.Dropdown") -> None:
        """Events that stay within the tab, and another run."""
        chosen = [run, self.measure]
        self.measure.input(self.watch.curves, chosen, self.curves, **choosing(PLACE))
        run.input(self.filled, chosen, self.outputs, **choosing(PLACE))
