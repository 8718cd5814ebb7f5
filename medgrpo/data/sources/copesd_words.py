"""What the texts of CoPESD say: which instrument is where, and which of the benchmark's actions goes on.

A question is an instruction in one of about five wordings, an answer tells what each instrument does. The
published test file knows 24 wordings of five actions; the benchmark has eight, with older names for seven.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.square_boxes import Quad
from medgrpo.data.sources.vocabulary import Vocabulary, nearest_word
from medgrpo.tasks.next_action import inventory, normalise

__all__ = ["INSTRUCTIONS", "INSTRUMENTS", "ActionWords", "brackets_in", "read_bracket", "without_boxes"]

INSTRUMENTS = Vocabulary("instrument", {"Forceps": "forceps", "Knife": "knife"})

INSTRUCTIONS: Mapping[str, tuple[str, ...]] = {
    "dissect flap with knife": (
        "Utilize the Knife to dissect the mucosa flap.",
        "With the Knife, commence the dissection of the mucosa flap.",
        "Operate the Knife to dissect the mucosa flap.",
        "Employ the Knife to dissect through the mucosa flap.",
        "Apply the Knife to dissect along the mucosa flap.",
    ),
    "retract flap with forceps": (
        "Use the Forceps to pull back the mucosa flap.",
        "Manipulate the Forceps to lift the tissue of the mucosal flap.",
        "With the Forceps, lift the mucosa flap to expose the area beneath.",
        "Utilize the Forceps to pull the mucosa flap in the opposite direction.",
        "Employ the Forceps to retract the mucosa flap backwards.",
    ),
    "retract flap with forceps and knife": (
        "Use the Forceps in conjunction with the Knife to pull back the mucosa flap.",
        "Utilize the Forceps and Knife together to move the mucosa flap in a backward direction.",
        "With the assistance of the Knife, lift the mucosa flap using the Forceps.",
        "Coordinately use the Forceps and Knife to lift and expose the underlying area of the mucosa flap.",
        "Employ both the Forceps and Knife to carefully retract the mucosa flap.",
    ),
    "hold flap with forceps": (
        "With the Forceps, achieve a secure hold on the mucosal flap.",
        "Handle the Forceps to maintain a steady grip on the mucosal flap.",
        "Utilize the Forceps to clamp the mucosal flap during the procedure.",
        "Use the Forceps to grasp the mucosal flap.",
        "Employ the Forceps to hold the mucosal flap in place.",
    ),
    "adjust camera": (
        "Refine the camera angle.",
        "Position the camera.",
        "Manipulate the camera settings.",
        "Adjust the camera's zoom and focus.",
    ),
}
"""Wordings of the test file by action; their shares show that each group is one action."""

_BOX = re.compile(r"(?P<before>[^\W\d_]*)\s*\[(?P<numbers>[^\[\]]*)\]")
_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d*)?|\.\d+)")


class ActionWords:
    """Finds the benchmark's action in a question and its answer.

    Args:
        instructions: Further wordings of questions, to an action in an old or new name.

    Raises:
        CellError: If one of them names no action.
    """

    def __init__(self, instructions: Mapping[str, str]) -> None:
        new = {label: label for label in inventory()["CoPESD"]} | dict(inventory()["CoPESD_legacy_to_new"])
        names = Vocabulary("action", new)
        self._names = {normalise(name): label for name, label in new.items()}
        wordings = {text: action for action, texts in INSTRUCTIONS.items() for text in texts}
        self._wordings = {
            text: names.read(action, "instructions") for text, action in {**wordings, **instructions}.items()
        }
        self._instructions = {normalise(text): action for text, action in self._wordings.items()}

    def read(self, question: str, answer: str) -> str:
        """The action of an item, in the benchmark's spelling of today.

        The answer goes first if it is the name of an action, old or new; then the question.

        Raises:
            CellError: If neither is known.
        """
        told = normalise(without_boxes(answer))
        asked = normalise(question.replace("<image>", " "))
        for texts, text in ((self._names, told), (self._instructions, asked), (self._names, asked)):
            if text in texts:
                return texts[text]
        near = nearest_word(question, self._wordings)
        hint = f"; the nearest is {near!r}" if near else ""
        raise CellError("value", f"{question[:100]!r} is no known instruction or action{hint}")


def brackets_in(answer: str) -> list[tuple[str, str]]:
    """The word before, and what is in, every bracket of an answer, in its order."""
    return [(match["before"], match["numbers"]) for match in _BOX.finditer(answer)]


def read_bracket(word: str, numbers: str) -> tuple[str, Quad]:
    """Instrument and four numbers of a bracket.

    Raises:
        CellError: If it does not follow an instrument, or does not hold four numbers.
    """
    instrument = INSTRUMENTS.read(word, "value")
    parts = [part.strip() for part in numbers.split(",")]
    if len(parts) != 4 or not all(map(_NUMBER.fullmatch, parts)):
        raise CellError("value", f"'{word}[{numbers[:60]}]' does not hold four numbers")
    x1, y1, x2, y2 = map(float, parts)
    return instrument, (x1, y1, x2, y2)


def without_boxes(answer: str) -> str:
    """An answer without its brackets."""
    return re.sub(r"\s*\[[^\[\]]*\]", "", answer)
