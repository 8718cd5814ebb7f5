"""Putting two sides next to each other: what was chosen, checked and looked up."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.index import MEASURES, RolloutIndex, curves
from app.index.questions import answers_to, question_scores
from app.show.frame import page
from app.show.html import Html, el, note, signed
from app.show.words import task_words
from app.training.compare_page import answers_page, changes_page, overlaid_page
from app.training.comparison import Side, changes, largest, parse_rounds
from medgrpo.errors import UserError

__all__ = ["Compared", "Comparison"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison.

    Attributes:
        page: What it looks like.
        questions: (label, key) of the questions asked on both sides, the largest difference first.
    """

    page: Html
    questions: list[tuple[str, str]] = field(default_factory=list)


class Comparison:
    """Compares two runs, or two parts of one; independent of Gradio.

    Args:
        index: The runs.
    """

    def __init__(self, index: RolloutIndex) -> None:
        self.index = index

    def side(self, run: str | None, rounds: str) -> Side:
        """What somebody chose.

        Raises:
            UserError: If there is no such run, or the rounds mean none.
        """
        if not run or run not in {one.run for one in self.index.runs()}:
            raise UserError("choose a run for both sides")
        words = rounds.strip() or "all"
        named = f"{words} rounds" if words[-1].isalpha() or words[0].isalpha() else f"rounds {words}"
        return Side(run, parse_rounds(rounds, self.index.steps(run)), f"{run}, {named}")

    def compare(
        self, run_a: str | None, rounds_a: str, run_b: str | None, rounds_b: str, measure: str
    ) -> Compared:
        """Curves and differences of two sides, or why there are none."""
        try:
            first, second = self.side(run_a, rounds_a), self.side(run_b, rounds_b)
            scores = [question_scores(self.index, side.run, side.rounds) for side in (first, second)]
        except UserError as error:
            return Compared(page(note(error, "warning")))
        measure = measure if measure in MEASURES else "reward"
        points = [curves(self.index, side.run, measure, side.rounds) for side in (first, second)]
        found = page(
            el("section", el("h3", "Differences"), changes_page(changes(scores[0], scores[1]))),
            el(
                "section",
                el("h3", f"Curves: {MEASURES[measure].title}"),
                overlaid_page((first, second), (points[0], points[1])),
            ),
        )
        questions = [
            (f"{score.dataset}, {task_words(score.task)}, clip {score.video_id}: {signed(gap)}", score.key)
            for score, gap in largest(scores[0], scores[1])
        ]
        return Compared(found, questions)

    def answers(
        self, run_a: str | None, rounds_a: str, run_b: str | None, rounds_b: str, key: str | None
    ) -> Html:
        """What both sides answered to a question."""
        if not key:
            return page(note("Choose a question to read what both sides answered."))
        try:
            sides = self.side(run_a, rounds_a), self.side(run_b, rounds_b)
            return page(
                answers_page(
                    sides, tuple(answers_to(self.index, side.run, side.rounds, key) for side in sides)
                )
            )
        except UserError as error:
            return page(note(error, "warning"))
