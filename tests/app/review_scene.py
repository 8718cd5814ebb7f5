"""A review of a small store, for the tests of the clinicians' pages."""

from __future__ import annotations

from pathlib import Path

from app.context import Context
from app.index import RolloutIndex
from app.review.candidates import candidates
from app.review.reviews import Plan, Review, Reviews
from app.review.sampler import draw
from app.site.audit import AuditLog
from app.workspace import open_workspace
from tests.app.scene import write_scene

__all__ = ["make_context", "make_review"]


def make_context(folder: Path, rounds: int = 8) -> Context:
    """A store of the run ``demo`` and an empty workspace beside it."""
    write_scene(folder, rounds=rounds)
    workspace = open_workspace(None, folder / "runs")
    index = RolloutIndex(folder / "runs")
    index.refresh()
    return Context(index, folder, workspace, AuditLog(workspace.audit))


def make_review(context: Context, size: int = 12, shared: int = 4, reviewers: int = 2) -> Review:
    """A review of the summaries of all rounds."""
    plan = Plan("demo", 0, 99, ("video_summary",), size, shared, reviewers, 7, "medgrpo-five@1")
    found = candidates(context.index, plan.run, (0, 99), plan.tasks, size, plan.seed)
    drawn = draw(found, size=size, shared=shared, reviewers=reviewers, seed=plan.seed)
    return Reviews(context.workspace.reviews).add("local", plan, drawn)
