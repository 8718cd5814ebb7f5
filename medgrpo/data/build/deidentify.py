"""Hides what identifies people in speech, before a word of it leaves the machine.

Patterns and a list of given names: ``Dr. Smith`` becomes ``Dr. [person]``, and how often that happened is
counted by kind. It is a first net. It does NOT find:

- names without a title, an introduction or an entry in the list, and surnames on their own,
- names that the recogniser wrote in small letters or misspelled,
- places, jobs, family relations, rare diseases and all else that tells who somebody is without a name,
- spoken numbers (``oh seven nine``), years alone, and anything in languages other than English.

Where that is not enough, plug in a :class:`Deidentifier` of your own, or keep the writers on this machine
(``allow_remote: false``).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medgrpo.errors import UserError
from medgrpo.services.files import read_text

__all__ = ["Deidentifier", "PatternDeidentifier"]

_NAME = r"[A-Z](?=[\w'’-]*[a-z])[\w'’-]+"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_HOUSE = (
    r"(?:Hospitals?|Clinics?|Infirmary|Hospice|Medical (?:Center|Centre|School)|Health (?:System|Center|"
    r"Centre|Trust)|University|(?:School|College) of (?:Nursing|Medicine))"
)
_NO_HOUSE_NAME = r"(?:The|A|An|This|That|Our|My|Your|In|At|From|To|Of|And|Your|Their|Its)\b"

PATTERNS: tuple[tuple[str, str], ...] = (
    ("email", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("email", r"\b[\w.+-]+ at [\w-]+ dot (?:com|org|net|edu|gov|[a-z]{2})\b"),
    ("address", r"(?:https?://|www\.)[^\s\[\]]+[^\s\[\].,;:!?]"),
    ("date", r"\b\d{4}-\d{1,2}-\d{1,2}\b"),
    ("date", r"\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"),
    ("date", rf"\b{_MONTH}\s+{_DAY}\b(?:,?\s+\d{{4}}\b)?"),
    ("date", rf"\b(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH}(?!\w)(?:,?\s+\d{{4}}\b)?"),
    ("number", r"\b(?i:MRN|(?:medical )?record(?: number)?|(?:patient|hospital|case) (?:id|number))"
               r"(?i:\s+is)?\W{0,3}([A-Z]{0,3}\d[\w-]*)"),
    ("phone", r"(?<![\w.])\+?\(?\d(?:[\s().-]{0,2}\d){6,}(?!\w)"),
    ("age", r"\b(?:9\d|1[01]\d)[- ]years?[- ]old\b"),
    ("hospital", rf"\b(?:(?!{_NO_HOUSE_NAME}){_NAME}\s+(?:(?:of|and|the)\s+){{0,2}}){{1,6}}{_HOUSE}\b"
                 rf"(?:\s+of\s+{_NAME})?"),
    ("hospital", rf"\b{_HOUSE}\s+of\s+{_NAME}(?:\s+{_NAME})*"),
    ("person", r"\b(?:Dr|Doctor|Prof|Professor|Mr|Mrs|Ms|Miss|Nurse|Sister)\b\.?\s+"
               rf"({_NAME}(?:\s+{_NAME})?)"),
    ("person", rf"\b(?i:my name is|my name's|I'm|I am)\s+({_NAME}(?:\s+{_NAME})?)"),
    ("person", rf"\b(?i:patient)(?i:,? named|'s name is)?\s+({_NAME}(?:\s+{_NAME})?)"),
)  # fmt: skip
"""Kind and expression, in the order in which they are applied. Of an expression with a group, the group is
hidden, else all of it."""

EPONYMS = (
    *("Adson", "Allis", "Babcock", "Calot", "Foley", "Hartmann", "Kelly", "Kocher", "Langenbeck", "Maryland"),
    *("Mayo", "Metzenbaum", "Rouviere", "Strasberg", "Trendelenburg", "Veress", "Yankauer"),
)
"""Names that mean an instrument, a place in the body or a position, never a person, when on their own."""


class Deidentifier(ABC):
    """Hides what identifies people in a text."""

    @abstractmethod
    def hide(self, text: str) -> tuple[str, Mapping[str, int]]:
        """Replace what identifies people by a word in brackets, e.g. ``[person]``.

        Hiding again changes nothing.

        Returns:
            The text, and how often something was replaced, by kind.
        """


class PatternDeidentifier(Deidentifier):
    """Patterns and a list of given names.

    Args:
        names: Text file with a name a line; None is a short list of names that are no English words.
        more: Further patterns, kind to regular expression, e.g. ``{"ward": "Ward [0-9]+"}``. Of an
            expression with a group, the group is hidden.
        keep: Names that are never hidden for being in the list.

    Raises:
        UserError: If the list cannot be read or an expression is wrong.
    """

    def __init__(
        self,
        names: str | Path | None = None,
        more: Mapping[str, str] | None = None,
        keep: Sequence[str] = EPONYMS,
    ) -> None:
        path = Path(__file__).with_name("given_names.txt") if names is None else Path(names)
        self.names = sorted(set(_lines(path)))  # not the path: a build starts anew when the list changes
        self.more = dict(more or {})
        self.keep = tuple(keep)
        listed = [name for name in self.names if name not in self.keep]
        known = [("person", rf"\b(?:{'|'.join(map(re.escape, listed))})\b(?:\s+{_NAME})?")] if listed else []
        self._rules = [_rule(*pair) for pair in (*self.more.items(), *PATTERNS, *known)]

    def hide(self, text: str) -> tuple[str, Mapping[str, int]]:
        """As :meth:`Deidentifier.hide`; repeated until nothing is found, so that it is final."""
        counts: Counter[str] = Counter()
        while True:
            before = counts.total()
            for kind, rule in self._rules:
                text, found = _replaced(text, kind, rule)
                counts[kind] += found
            if counts.total() == before:
                return text, {kind: count for kind, count in sorted(counts.items()) if count}


def _lines(path: Path) -> Iterator[str]:
    for line in read_text(path).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def _rule(kind: str, expression: str) -> tuple[str, re.Pattern[str]]:
    if not re.fullmatch(r"[a-z_]+", kind):
        raise UserError(f"more: the kind {kind!r} must be a word in small letters")
    try:
        rule = re.compile(expression)
    except re.error as error:
        raise UserError(f"more: the expression of {kind!r} is wrong: {error}") from None
    if rule.match(""):
        raise UserError(f"more: the expression of {kind!r} matches an empty text")
    return kind, rule


def _replaced(text: str, kind: str, rule: re.Pattern[str]) -> tuple[str, int]:
    """A text with all that a rule finds replaced, except within what was replaced before."""
    pieces: list[str] = []
    count = end = 0
    hidden = [found.span() for found in re.finditer(r"\[[a-z_]+\]", text)]
    for found in rule.finditer(text):
        first, last = found.span(1 if rule.groups else 0)
        if first < 0 or first == last or any(a < last and first < b for a, b in hidden):
            continue
        pieces += [text[end:first], f"[{kind}]"]
        count, end = count + 1, last
    return "".join([*pieces, text[end:]]), count
