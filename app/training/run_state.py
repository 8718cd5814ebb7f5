"""Whether a run is training, finished or stopped, as far as its files tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app.index import RunSummary
from app.index.progress import Progress
from app.show.html import Html, el, table

__all__ = ["RunState", "runs_table", "state_of"]

_LEAST = 180.0  # seconds without a round after which a fast run counts as stopped
_GAPS = 5.0  # usual times between rounds, likewise


@dataclass(frozen=True, slots=True)
class RunState:
    """A state in words: ``kind`` is training, finished or stopped."""

    kind: str
    words: str


def state_of(run: Progress, planned: int | None, now: float) -> RunState:
    """Judge from what was written when.

    Args:
        run: When it wrote.
        planned: Rounds that it shall have, if known.
        now: Seconds since the epoch.
    """
    if planned is not None and planned > 0 and run.last + 1 >= planned:
        return RunState("finished", "finished")
    if now - run.written < max(_LEAST, _GAPS * (run.gap or 0.0)):
        return RunState("training", "training now")
    return RunState("stopped", "stopped, or waiting" if planned is not None else "not writing any more")


def _when(seconds: float) -> str:
    if seconds == 0:  # samples of a build keep no time, so that equal builds are equal
        return "not kept"
    return time.strftime("%d %b %Y, %H:%M", time.localtime(seconds))


_SIGNS = {"training": "▶", "finished": "✔", "stopped": "■"}


def runs_table(
    runs: Sequence[RunSummary], states: Sequence[tuple[Progress, int | None, RunState]], chosen: str
) -> Html:
    """All runs with their state; the names are links.

    Args:
        runs: In any order.
        states: Progress, planned rounds and state of each, in the order of the table.
        chosen: The run that the page shows.
    """
    answers = {run.run: run.answers for run in runs}
    rows = []
    for run, planned, state in states:
        of = f"{run.rounds} of {planned}" if planned is not None and planned > 0 else str(run.rounds)
        name = el(
            "a",
            run.run,
            href="?" + urlencode({"run": run.run}),
            aria_current="true" if run.run == chosen else None,
        )
        rows.append(
            [
                el("td", name),
                el("td", f"{_SIGNS[state.kind]} {state.words}", class_=f"state {state.kind}"),
                of,
                f"{answers.get(run.run, 0):,}",
                _when(run.written),
            ]
        )
    head = ["Run", "State", "Rounds", "Answers", "Last written"]
    return table(head, rows, class_="runs")
