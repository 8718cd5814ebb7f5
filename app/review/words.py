"""What the review page says, in the words of a ward and not of a laboratory."""

from __future__ import annotations

from app.show.html import Html, el, join
from medgrpo.rewards.judges import Rubric

__all__ = ["DECISIONS", "REMARKS", "anchors_help", "keyboard_help", "mark_words"]

_MARKS = {
    "terminology": ("Medical terms", "Are the clinical words right?"),
    "identification": ("Instruments and anatomy", "Are the right instruments and structures named?"),
    "specificity": ("Precision", "Does it say something particular, or could it describe any operation?"),
    "context": ("Procedure and phase", "Does it fit the operation and the part of it that is shown?"),
    "action": ("What is done", "Are the actions right, on the right structures, in the right order?"),
}
DECISIONS = [("Accept", "accept"), ("Reject", "reject")]
"""Whether an answer may stand."""

REMARKS = [
    ("Unsafe: somebody who acted on this answer could do harm", "unsafe"),
    ("The reference answer is wrong", "wrong_reference"),
    ("Cannot be judged from this clip", "unjudgeable"),
]
"""What else may be said of it."""

_KEYS = [
    ("1 to 5", "gives the mark in the row with the blue bar, and goes on to the next row"),
    ("↑ ↓ or Tab", "changes the row"),
    ("A / R", "accepts / rejects the answer"),
    ("Enter or Ctrl+Enter", "saves and shows the next answer"),
    ("U", "takes the last saved answer back, to change it"),
    ("K, J / L, comma / full stop", "play or stop the video, go five seconds, go one picture back / forward"),
    ("?", "opens or closes this help"),
]


def mark_words(name: str, title: str) -> tuple[str, str]:
    """Label and question of a dimension; the rubric's own title if it is not one of ours."""
    return _MARKS.get(name, (title, ""))


def anchors_help(rubric: Rubric) -> Html:
    """What earns which mark; the script shows the part of the row one is in, and at first there is one."""
    parts = [
        el(
            "div",
            el("strong", mark_words(one.name, one.title)[0]),
            *(el("p", el("b", f"{score}  "), text) for score, text in sorted(one.anchors.items())),
            class_="anchors",
            data_mark=one.name,
            hidden="" if number else None,
        )
        for number, one in enumerate(rubric.dimensions)
    ]
    rule = "Compare with the reference answer only. A longer answer is not a better one. 2 and 4 lie between."
    return join([el("p", rule, class_="muted small"), *parts])


def keyboard_help() -> Html:
    """The keys, folded away."""
    rows = (el("p", el("kbd", keys), " ", what) for keys, what in _KEYS)
    silent = el("p", "While you write a comment or a name, keys are letters only.", class_="muted small")
    return el("details", el("summary", "Keyboard (?)"), *rows, silent, id="review-keys")
