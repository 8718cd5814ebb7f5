"""Events that write the same place take turns, on every page; a test in a browser would be a race itself."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from app.context import Context
from app.index import RolloutIndex
from app.pages import PAGES, Page
from app.site.audit import AuditLog
from app.workspace import open_workspace

OUTSIDE = ("load", "then")
"""Of a page that opens, before anything is chosen, and behind an event that had its turn."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("runs")
    workspace = open_workspace(None, folder)
    return Context(RolloutIndex(folder), folder, workspace, AuditLog(workspace.audit))


def events(context: Context, page: Page) -> list[Any]:
    blocks = page.build(context, [(one.path, one.title) for one in PAGES])
    return [one for one in blocks.fns.values() if not {name for _, name in one.targets} & {*OUTSIDE}]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_events_that_write_the_same_take_turns(page: Page, context: Context) -> None:
    for one, other in combinations(events(context, page), 2):
        shared = {output._id for output in one.outputs} & {output._id for output in other.outputs}
        if shared:
            assert one.concurrency_id == other.concurrency_id, f"{one.name} and {other.name}"
            assert one.concurrency_limit == other.concurrency_limit == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_nothing_that_is_chosen_is_lost(page: Page, context: Context) -> None:
    for event in events(context, page):
        if {"input", "submit", "change"} & {name for _, name in event.targets}:
            assert event.trigger_mode == "always_last", event.name
