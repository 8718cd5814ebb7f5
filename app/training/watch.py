"""What the overview shows of a run, and whether that has changed."""

from __future__ import annotations

import time

from app.index import MEASURES, CurvePoint, RolloutIndex, curves
from app.index.progress import home_of, progress
from app.index.quartiles import then_and_now
from app.index.rounds import recent_counts, round_numbers
from app.show.frame import page
from app.show.html import Html, el, note
from app.training.alarms import alarms_card, collapse_alarms, collapses, count_alarms
from app.training.drift import drift_page
from app.training.logged import LOGGED, logged_points
from app.training.overview import WINDOW, curves_page, empty_page, problems_note, table_page
from app.training.run_files import RunFiles, read_run_files
from app.training.run_state import runs_table, state_of

__all__ = ["CURVES", "Watch"]

CURVES = {name: (one.title, one.help) for name, one in MEASURES.items()} | {
    name: (one.title, one.help) for name, one in LOGGED.items()
}
"""Title and help of everything that can be drawn, by its name in links."""


class Watch:
    """Looks at the runs; independent of Gradio.

    Args:
        index: The runs.
    """

    def __init__(self, index: RolloutIndex) -> None:
        self.index = index
        self._version = 1
        self._states: list[str] = []

    def refresh(self) -> int:
        """Take in new shards; the number rises whenever something changed, a run's state included."""
        changed = self.index.refresh()
        now = time.time()
        states = [state_of(run, self.files(run.run).planned, now).kind for run in progress(self.index)]
        if changed or states != self._states:
            self._states = states
            self._version += 1
        return self._version

    def runs(self) -> list[str]:
        """Names of the runs, the one that wrote last first."""
        return [run.run for run in self.index.runs()]

    def files(self, run: str) -> RunFiles:
        """What training left beside the store."""
        home = home_of(self.index, run)
        return RunFiles() if home is None else read_run_files(*home)

    def status(self, run: str | None) -> Html:
        """All runs with their state, and what could not be read."""
        problems = dict(self.index.problems)
        if run is None or run not in self.runs():
            return page(problems_note(problems), empty_page(str(self.index.folder)))
        found, now = progress(self.index), time.time()
        files = {one.run: self.files(one.run) for one in found}
        problems |= {text: text for one in files.values() for text in one.problems}
        states = [(one, files[one.run].planned, state_of(one, files[one.run].planned, now)) for one in found]
        return page(problems_note(problems), runs_table(self.index.runs(), states, run))

    def alarms(self, run: str | None) -> Html:
        """What should worry, in plain words."""
        if run is None or run not in self.runs():
            return page()
        files = self.files(run)
        fallen = collapses(round_numbers(self.index, run), files.metrics, files.rules())
        pairs = [(pair[0], pair[1]) for pair in self.index.pairs(run)]
        counts = recent_counts(self.index, run, WINDOW)
        return page(alarms_card([*collapse_alarms(fallen, run, pairs), *count_alarms(counts, run)]))

    def drift(self, run: str | None) -> Html:
        """Scores before training and now."""
        found = then_and_now(self.index, run, WINDOW) if run else []
        if not found:
            return page()
        return page(el("section", el("h3", "Before training and now"), drift_page(found, WINDOW)))

    def points(self, run: str, measure: str) -> list[CurvePoint]:
        """The curve of a run, from the stored answers or the trainer's log."""
        if measure in MEASURES:
            return curves(self.index, run, measure)
        pairs = [(pair[0], pair[1]) for pair in self.index.pairs(run)]
        return logged_points(self.files(run).metrics, pairs, measure)

    def curves(self, run: str | None, measure: str) -> Html:
        """Charts by dataset and task."""
        if run is None or run not in self.runs():
            return page()
        if measure not in CURVES:
            return page(note("There is no such curve. Choose one above.", "warning"))
        return page(curves_page(self.points(run, measure), *CURVES[measure]))

    def values(self, run: str | None) -> Html:
        """First and latest values in a table."""
        if run is None or run not in self.runs():
            return page()
        numbers = table_page(self.index.pairs(run), self.points(run, "reward"), self.points(run, "raw"))
        return page(
            el("details", el("summary", "All values in a table"), numbers, class_="card", data_keep="values")
        )
