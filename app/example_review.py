"""A review with made-up marks, so that pictures of the clinicians' pages show them in use."""

from __future__ import annotations

from pathlib import Path
from random import Random

from app.agreement.prepare import CAPTION_TASKS, prepare
from app.context import Context
from app.index import RolloutIndex
from app.review.desk import RUBRIC, Desk, Draft, Place
from app.site.audit import AuditLog
from app.workspace import open_workspace
from medgrpo.evaluation.verdicts import answer_hash
from medgrpo.rewards.judges import Rubric

__all__ = ["REVIEWERS", "add_example_review"]

REVIEWERS = ("Example A", "Example B")
"""The first has judged all, the second is at work."""

_ANSWERS, _SHARE, _LEFT = 40, 80, 3
_COMMENTS = ("", "", "", "Names the structure, not the side.", "Nothing is said about what is done next.")


def add_example_review(runs: Path, workspace: Path) -> bool:
    """Prepare a review of the newest run and give verdicts as two reviewers would.

    Args:
        runs: Folder that training wrote to.
        workspace: Folder for what is written; nobody else's verdicts may be in it.

    Returns:
        Whether there was an answer to review.

    Raises:
        UserError: If the runs cannot be read or the workspace cannot be written.
    """
    index = RolloutIndex(runs)
    index.refresh()
    summaries = index.runs()
    if not summaries:
        return False
    run = summaries[0]
    tasks = sorted({pair[1] for pair in index.pairs(run.run)})
    opened = open_workspace(workspace, runs)
    context = Context(index, Path.cwd(), opened, AuditLog(opened.audit))
    desk = Desk(context)
    review = prepare(
        context,
        desk.reviews,
        "example",
        run=run.run,
        rounds=(run.first, run.last),
        tasks=[task for task in tasks if task in CAPTION_TASKS] or tasks,
        size=_ANSWERS,
        share=_SHARE,
        reviewers=len(REVIEWERS),
        seed=0,
        rubric=RUBRIC,
    )
    for reviewer, left in zip(REVIEWERS, (0, _LEFT), strict=True):
        items = review.items_of(desk.reviews.sit(review, reviewer))
        for item in items[: len(items) - left]:
            step, group_id, sample = item.drawn.place
            rows = index.group(run.run, step, group_id)
            row = next(row for row in rows if row["sample_index"] == sample)
            shown = answer_hash(row["question"], row["reference_text"], row["completion_text"])
            place = Place(reviewer, review.number, item.token, shown)
            desk.save(place, _draft(reviewer, str(item.drawn.place), desk.rubric))
    return True


def _draft(reviewer: str, answer_name: str, rubric: Rubric) -> Draft:
    """Marks that differ between answers more than between reviewers."""
    answer, own = Random(answer_name), Random(reviewer + answer_name)
    scores = {}
    for dimension in rubric.dimensions:
        mark = answer.randint(1, 5) + own.choice((-1, 0, 0, 0, 0, 1))
        scores[dimension.name] = min(5, max(1, mark))
    accepted = sum(scores.values()) >= 3 * len(scores)
    remarks = ("wrong_reference",) if answer.random() < 0.1 else ()
    return Draft(scores, accepted, remarks, own.choice(_COMMENTS))
