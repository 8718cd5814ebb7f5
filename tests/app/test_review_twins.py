"""Two stores with a run of the same id: no verdict about one is taken for one about the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.agreement.answers import ReviewedAnswers
from app.agreement.page import Board
from app.agreement.prepare import prepare
from app.context import Context
from app.index import RolloutIndex
from app.review.reviews import Reviews
from app.site.audit import AuditLog
from app.workspace import open_workspace
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, answer_hash
from tests.app.scene import write_scene


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """The stores ``a`` and ``b``, both of a run ``demo``, with the same answers."""
    write_scene(tmp_path / "made", rounds=3)
    for store in ("a", "b"):
        shutil.copytree(tmp_path / "made/runs/rollouts", tmp_path / "runs" / store / "rollouts")
    workspace = open_workspace(None, tmp_path / "runs")
    index = RolloutIndex(tmp_path / "runs")
    index.refresh()
    return Context(index, tmp_path, workspace, AuditLog(workspace.audit))


def judge_in_a(context: Context) -> list[Verdict]:
    """What ada said of two answers of each round of ``a``, kept as the review page keeps it."""
    store = VerdictStore(context.workspace.verdicts)
    for step in range(3):
        for row in context.index.group("a/demo", step, f"summary-{step}")[:2]:
            content = answer_hash(row["question"], row["reference_text"], row["completion_text"])
            key = ("demo", step, row["group_id"], row["sample_index"])
            store.add(Verdict(key, "ada", {"action": 4.0}, content=content, blind=True))
    return store.present()


def test_a_verdict_that_could_be_about_either_counts_for_none_and_is_told(context: Context) -> None:
    given = judge_in_a(context)
    answers = ReviewedAnswers(context.index)
    assert answers.of(given) == []
    assert answers.unsure(given) == (6, ["a/demo", "b/demo"])
    shown = Board(context).tables(["", "", "", ""], False)
    assert "6 verdicts could be about answers of several training runs" in shown
    assert "a/demo, b/demo" in shown
    shutil.rmtree(context.index.folder / "b/rollouts/run=demo/step=000001")  # now one round is a's alone
    context.index.refresh()
    answers = ReviewedAnswers(context.index)
    assert [answer.key[:2] for _, answer in answers.of(given)] == [("a/demo", 1)] * 2
    assert answers.unsure(given) == (4, ["a/demo", "b/demo"])
    shown = Board(context).tables(["", "", "", ""], False)
    assert "4 verdicts could be about" in shown
    assert "2 verdicts of 1 reviewers" in shown
    assert "not stored any more" not in shown


def test_no_review_is_drawn_from_a_run_whose_verdicts_could_not_be_told_apart(context: Context) -> None:
    reviews = Reviews(context.workspace.reviews)
    wish = {"rounds": (0, 2), "tasks": ["video_summary"], "size": 4, "share": 50, "reviewers": 2, "seed": 1}
    with pytest.raises(UserError, match="a/demo, b/demo have the same name"):
        prepare(context, reviews, "ada", run="b/demo", rubric="medgrpo-five@1", **wish)
    assert reviews.all() == []
    shutil.rmtree(context.index.folder / "a")
    context.index.refresh()
    prepare(context, reviews, "ada", run="b/demo", rubric="medgrpo-five@1", **wish)
    assert len(reviews.all()) == 1
