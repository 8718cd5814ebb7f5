"""What the words of the pages mean: a button beside a word opens its explanation."""

from __future__ import annotations

from app.show.html import Html, el

__all__ = ["TERMS", "glossary", "term"]

TERMS: dict[str, str] = {
    "round": (
        "Training goes in rounds. In each, the model answers some questions several times, the answers get "
        "rewards, and the model is changed a little towards the better ones."
    ),
    "group": "All answers of the model to one question in one round. They are compared with each other only.",
    "reference": "The answer that is taken as right: written or annotated by an expert.",
    "measured": (
        "The score of one part of the reward in its own unit, for example the overlap of two time spans "
        "from 0 to 1, or the judge's average mark from 1 to 5."
    ),
    "quartiles": (
        "How answers scored before this training: a quarter of them scored below the low quarter, half "
        "below the typical score, three quarters below the top quarter. They do not change while the model "
        "trains."
    ),
    "scaled": (
        "The score seen against those from before this training: a typical answer gets 0.5, a clearly "
        "better one up to 1, a clearly worse one down to 0. So easy and hard datasets count alike."
    ),
    "weight": "How much this part counts in the reward. The scaled parts times their weights are added up.",
    "reward": "One number for the whole answer. Training makes answers with a high reward more likely.",
    "advantage": (
        "How far the reward lies above or below the average of its group, measured in the usual differences "
        "of that group. Above 0 the answer becomes more likely, below 0 less likely."
    ),
    "judge": (
        "Another program that reads the answer and the reference and gives marks from 1 to 5 on five "
        "questions, each with a reason."
    ),
    "similarity": "How close the wording is to the reference, computed without a judge.",
    "disagreement": (
        "The judge and the similarity of the wording see this answer very differently. Such answers are "
        "worth a look: one of the two is probably wrong."
    ),
    "parse": (
        "Some questions ask for a fixed form, such as times in seconds. Readable means that the form was "
        "found in the answer."
    ),
    "spread": (
        "How far the rewards in a group lie apart (standard deviation). Without differences there is "
        "nothing to learn from."
    ),
    "entropy": "How undecided the model is while it writes. Near zero it always says the same.",
    "interval": (
        "The difference would lie in this range in 95 of 100 repetitions with other videos. If the range "
        "does not contain 0, the difference is probably not chance."
    ),
    "rejudged": (
        "Another judge has marked the same stored answer later. It does not change what the model learned."
    ),
}
"""Name to explanation, for readers who do not program."""


def term(words: object, name: str) -> Html:
    """A word that can be asked about, by mouse, touch or keyboard.

    Args:
        words: As shown.
        name: A key of :data:`TERMS`, whose explanation :func:`glossary` puts on the page.
    """
    if name not in TERMS:
        raise KeyError(name)
    said = f"What does {name} mean?"
    return el("button", words, type="button", popovertarget=f"term-{name}", class_="term", title=said)


def glossary() -> Html:
    """All explanations, hidden until one is asked for; once on each page."""
    notes = [
        el("div", text, id=f"term-{name}", popover="auto", class_="explained") for name, text in TERMS.items()
    ]
    return el("div", *notes, class_="glossary")
