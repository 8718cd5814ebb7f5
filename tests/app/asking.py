"""Questions on the page Try it and its words about them, for tests without a browser."""

from __future__ import annotations

from pathlib import Path

from app.ask.session import Form, Session
from app.records.library import Library
from app.sources import Sources
from tests.app.records_scene import patient, wait_for
from tests.app.test_html import Reader

__all__ = ["OWN", "answered", "session_on", "text_of"]

OWN = Form("0", 0, True, "tal", 0, (), "", False, 1.0, 0)
"""The question of the first row itself."""


def text_of(markup: str) -> str:
    """What a reader reads."""
    return " ".join("".join(text for _, text in Reader(markup).texts).split())


def session_on(sources: Sources, runs: Path) -> Session:
    """A session whose files are read."""
    library = Library(sources.records, runs)
    for file in library.files:
        patient(file)
    return Session(library, sources)


def answered(session: Session, form: Form) -> str:
    """The page of an answer, or why there is none."""
    key = session.ask(session.question(form))
    wait_for(lambda: session.look(key)[1] is not None)
    answer = session.look(key)[1]
    assert answer is not None
    return answer
