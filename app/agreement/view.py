"""The numbers of agreement as tables, with what they mean in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.agreement.measures import Comparison
from app.review.words import mark_words
from app.show.frame import page
from app.show.html import Html, el, join, note, number, table
from medgrpo.evaluation.raters import LEAST, Agreement
from medgrpo.evaluation.ratings import JUDGE, OVERALL
from medgrpo.evaluation.verdicts import Verdict
from medgrpo.rewards.judges import Rubric

__all__ = ["agreement_view", "counts_view", "nobody_view", "unsure_view"]

_LEVELS = [(0.8, "very good"), (0.6, "good"), (0.4, "moderate"), (0.2, "weak")]
_ALPHA, _KAPPA, _SPEARMAN = "All together (alpha)", "Agreement (kappa)", "Same order (Spearman)"
_MEANING = [
    (
        _KAPPA,
        "How far two raters give the same marks, beyond what chance would give. 1 is full agreement, 0 is "
        "chance. A difference of two points counts four times as much as one of one point.",
    ),
    (
        _SPEARMAN,
        "Whether two raters put answers in the same order, even if one of them is always kinder. 1 is the "
        "same order, 0 no common order, −1 the opposite.",
    ),
    (
        _ALPHA,
        "The agreement of all reviewers at once, also where not everybody judged every answer. Read it as "
        "kappa.",
    ),
    (
        "In brackets",
        "Where the number would lie in 95 of 100 reviews of as many other videos. A wide range means that "
        "more answers are needed before the number says much.",
    ),
    (
        "Very good, good, moderate, weak",
        "From 0.8, 0.6, 0.4 and 0.2 on: a habit of speaking, not a law. What two clinicians reach among "
        "themselves is what a judge can be expected to reach with them.",
    ),
]


def agreement_view(comparisons: Sequence[Comparison], rubric: Rubric) -> Html:
    """Three tables: all together, reviewers with each other, reviewers with the judge."""
    titles = {one.name: mark_words(one.name, one.title)[0] for one in rubric.dimensions}
    titles[OVERALL] = "Overall"
    together = [one for one in comparisons if len(one.measures) == 1]
    others = [one for one in comparisons if len(one.measures) == 2]
    parts = [_meaning()]
    if not any(one.raters[-1] != JUDGE for one in comparisons):
        words = "Only one person has judged so far: reviewers cannot be compared with each other yet."
        parts.append(note(words))
    parts.append(_section("All together", together, titles, [_ALPHA]))
    for title, with_judge in (("Two reviewers", False), ("Reviewers and the judge", True)):
        found = [one for one in others if (one.raters[1] == JUDGE) == with_judge]
        if found:
            parts.append(_section(title, found, titles, [_KAPPA, _SPEARMAN]))
    return page(*parts)


def counts_view(verdicts: Sequence[Verdict], lost: int, other_rubrics: Sequence[str]) -> Html:
    """What there is to compare, and what was left out.

    Args:
        verdicts: That pass the filters.
        lost: Verdicts without their answer.
        other_rubrics: By which a judge scored some of the answers, and the reviewers did not.
    """
    reviewers = len({verdict.reviewer for verdict in verdicts})
    told = [
        f"{len(verdicts)} verdicts of {reviewers} reviewers",
        f"{sum(v.accepted is True for v in verdicts)} accept",
        f"{sum(v.accepted is False for v in verdicts)} reject",
        f"{sum(v.unsafe for v in verdicts)} say unsafe",
        f"{sum(v.wrong_reference for v in verdicts)} say that the reference is wrong",
        f"{sum(v.unjudgeable for v in verdicts)} say that the clip does not show enough",
    ]
    left = "Verdicts with one of the last two remarks are not compared: their marks mean nothing."
    gone = note(
        f"{lost} verdicts are about answers that are not stored any more, or not with the text that was "
        "read; they are not compared.",
        "warning",
    )
    other = note(
        f"The judge scored some of these answers by other rules ({', '.join(other_rubrics)}) than the "
        "reviewers; there it is not compared with them.",
        "warning",
    )
    return page(
        el("p", "; ".join(told), "."),
        el("p", left, class_="muted small"),
        gone if lost else None,
        other if other_rubrics else None,
    )


def unsure_view(count: int, runs: Sequence[str]) -> Html:
    """That verdicts could be about answers of several runs; nothing if there are none.

    Args:
        count: Verdicts.
        runs: Names of the runs.
    """
    told = (
        f"{count} verdicts could be about answers of several training runs with the same name and the same "
        f"texts ({', '.join(runs)}); they are not compared. Open the dashboard on the folder of one of them "
        "(--runs), with the folder that the verdicts are in (--workspace)."
    )
    return note(told, "warning") if count else Html("")


def nobody_view(any_verdict: bool) -> Html:
    """Nothing to compare, and what to do."""
    if any_verdict:
        return page(note("No verdict passes these filters. Choose “All” in one of them."))
    return page(
        note(
            "There are no verdicts yet. Prepare a review below, then ask at least two people to open the "
            f"page “Review”. Numbers are shown once two of them have judged {LEAST} of the same answers."
        )
    )


def _meaning() -> Html:
    parts = (el("p", el("strong", name), ": ", what) for name, what in _MEANING)
    return el("details", el("summary", "What do these numbers mean?"), *parts, class_="card meaning")


def _section(
    title: str, found: Sequence[Comparison], titles: dict[str, str], measures: Sequence[str]
) -> Html:
    """A table with the comparisons of the same raters together, and those without a number last."""
    of_raters: dict[tuple[str, ...], list[Comparison]] = {}
    for one in found:
        of_raters.setdefault(one.raters, []).append(one)
    known = sorted(of_raters.values(), key=lambda group: max(one.items for one in group) < LEAST)
    rows = [row for group in known for row in _rows(group, titles)]
    head = ["Who", "What", "Shared answers", *measures]
    return el("section", el("h3", title), table(head, rows), class_="card")


def _rows(group: Sequence[Comparison], titles: dict[str, str]) -> list[list[object]]:
    """One for each dimension, or one for all of them while none has a number."""
    most = max(group, key=lambda one: one.items)
    if most.items < LEAST:
        return [[_who(most), "All marks", most.items, *_cells(most)]]
    rows: list[list[object]] = [
        [titles.get(one.dimension, one.dimension), one.items, *_cells(one)] for one in group
    ]
    return [[el("td", _who(most), rowspan=len(rows)), *rows[0]], *rows[1:]]


def _who(one: Comparison) -> str:
    if len(one.measures) == 2:
        return " and ".join(one.raters)
    return "All reviewers and the judge" if one.raters[-1] == JUDGE else "All reviewers"


def _cells(comparison: Comparison) -> list[Html]:
    if comparison.items < LEAST:
        more = LEAST - comparison.items
        words = f"{more} more shared answer{'s are' if more > 1 else ' is'} needed"
        return [el("span", words, class_="muted")] * len(comparison.measures)
    return [_cell(measure) for measure in comparison.measures]


def _cell(measure: Agreement) -> Html:
    if math.isnan(measure.value):
        return el("span", "not defined: one of them gave the same mark to all answers", class_="muted")
    word = next((word for least, word in _LEVELS if measure.value >= least), "none to speak of")
    known = not (math.isnan(measure.low) or math.isnan(measure.high))
    interval = f" ({number(measure.low)} to {number(measure.high)})"
    value = el("strong", number(measure.value))
    return join([value, interval if known else None, el("span", f" {word}", class_="muted")])
