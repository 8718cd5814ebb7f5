"""The pages of the site, each a Gradio app of its own: one sends nothing of another to the browser."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.agreement.page import build as build_agreement
from app.ask.page import build as build_ask
from app.context import Context
from app.records.page import build as build_records
from app.review.page import build as build_review
from app.training.page import build as build_training

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["PAGES", "Page"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        path: Where, without slashes.
        title: What links to it say.
        purpose: What one does there, in a sentence.
        build: Makes it, given what pages share and the (path, title) of all pages.
        for_reviewers: Whether reviewers, who must not see rewards, may open it.
    """

    path: str
    title: str
    purpose: str
    build: Callable[[Context, Sequence[tuple[str, str]]], "gr.Blocks"]
    for_reviewers: bool = False


PAGES = (
    Page(
        "training",
        "Training",
        "See how the rewards of a run develop, and read every answer with the reasons for its reward.",
        build_training,
    ),
    Page(
        "review",
        "Review",
        "Say how good answers are, one at a time, without knowing what the computer thinks of them.",
        build_review,
        for_reviewers=True,
    ),
    Page(
        "agreement",
        "Agreement",
        "See how far reviewers agree with each other and with the judge, and prepare reviews.",
        build_agreement,
    ),
    Page(
        "data",
        "Data",
        "Look at the questions, reference answers and frames that a model is trained on, and at what is "
        "wrong with them.",
        build_records,
    ),
    Page(
        "ask",
        "Try it",
        "Ask the model about a clip, and see how its answer compares with the reference.",
        build_ask,
    ),
)
