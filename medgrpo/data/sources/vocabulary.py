"""Closed lists of labels, and how a source spells each of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from medgrpo.data.sources.csv_rows import CellError

__all__ = ["Vocabulary", "nearest_word"]

MOST_LISTED = 12
"""Labels that a message lists; of a longer list it names the nearest alone."""


class Vocabulary:
    """The labels that may stand in one field, to what the benchmark calls each.

    A word is what it says: nothing is lowered, cut or guessed. What is written in two ways in the files of a
    source has two entries. For a word outside the list the nearest one is suggested, and never taken.

    Args:
        kind: What the labels are, in the singular, for messages: ``phase``.
        spellings: Every spelling of the source to the benchmark's label. Several may have one label.
    """

    def __init__(self, kind: str, spellings: Mapping[str, str]) -> None:
        self.kind = kind
        self.spellings = dict(spellings)

    @classmethod
    def of(cls, kind: str, labels: Iterable[str]) -> Vocabulary:
        """Labels that the source and the benchmark spell alike."""
        return cls(kind, {label: label for label in labels})

    @property
    def labels(self) -> tuple[str, ...]:
        """The benchmark's labels, each once, in the order of the spellings."""
        return tuple(dict.fromkeys(self.spellings.values()))

    def read(self, word: object, field: str) -> str:
        """The benchmark's label of a word.

        Args:
            word: As it stands in the file.
            field: Column or key in which it stands.

        Raises:
            CellError: If it is outside the list; the message names the word and the nearest spelling.
        """
        if isinstance(word, str) and word in self.spellings:
            return self.spellings[word]
        raise CellError(field, self._unknown(word))

    def _unknown(self, word: object) -> str:
        shown = repr(word) if len(repr(word)) <= 80 else repr(word)[:77] + "..."
        near = nearest_word(word, self.spellings) if isinstance(word, str) else None
        hint = f"; the nearest is {near!r}" if near is not None else ""
        listed = "" if len(self.spellings) > MOST_LISTED else f"; known are: {', '.join(self.spellings)}"
        return f"{shown} is not a known {self.kind}{hint}{listed}"


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """The known word that a word most likely was meant to be; None if none is near.

    Args:
        word: As somebody wrote it. Case, hyphens and underscores count for little.
        known: The closed list.
    """
    plain: dict[str, str] = {}
    for candidate in known:
        plain.setdefault(_plain(candidate), candidate)
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[near[0]] if near else None


def _plain(word: str) -> str:
    return " ".join(word.lower().replace("-", " ").replace("_", " ").split())
