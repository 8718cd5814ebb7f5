"""Whether a text names an instrument, a phase or a finding that is not annotated in its clip.

The words are data (``terms.yaml``): concepts, their synonyms and kinds, and what each source annotates.
Only what a source annotates throughout a clip is held against a text. A word that is negated
("no bleeding", "without the clipper", "the clipper is not used") contradicts nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from medgrpo.data.build.items import Draft, WrittenText
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.findings import Finding
from medgrpo.errors import UserError
from medgrpo.services.files import read_text

__all__ = ["CATEGORIES", "Mention", "Terminology", "terminology_findings"]

CATEGORIES = ("instrument", "phase", "finding")

_TOKEN = re.compile(r"[a-z0-9]+|[.;:!?,()\n]")
_STOP = frozenset(".;:!?()\n")
_AFTER = 3
_LISTS = (
    "phase_words", "also_verbs", "negation", "negation_after", "elsewhere", "clause_end",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """A concept that a text names.

    Attributes:
        category: One of :data:`CATEGORIES`.
        concept: Name in the terms.
        words: As they stand in the text.
        negated: Whether the text says that it is not there.
        elsewhere: Whether the text tells it of another time than that of the clip.
    """

    category: str
    concept: str
    words: str
    negated: bool = False
    elsewhere: bool = False


class Terminology:
    """The terms, ready to read texts.

    Args:
        path: A file like ``terms.yaml``; None is that one.

    Raises:
        UserError: If the file cannot be read or lacks a part.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        where = resources.files("medgrpo.data.build.verify") / "terms.yaml" if path is None else Path(path)
        data = _read(Path(str(where)))
        self.version = int(data["version"])
        self.broader: dict[str, tuple[str, ...]] = {name: tuple(k) for name, k in data["broader"].items()}
        self.lists = {name: frozenset(data[name]) for name in _LISTS}
        self._surfaces: dict[tuple[str, ...], tuple[str, str]] = {}
        for category in CATEGORIES:
            for concept, synonyms in data[category].items():
                for form in (concept, *synonyms):
                    for surface in self._forms(category, tuple(_words(form))):
                        held = self._surfaces.setdefault(surface, (category, concept))
                        if held != (category, concept):
                            raise UserError(f"{where}: {' '.join(surface)!r} is {held[1]!r} and {concept!r}")
        self._longest = max(len(surface) for surface in self._surfaces)
        self._labels = {
            _key(form): (category, concept)
            for category in CATEGORIES
            for concept, synonyms in data[category].items()
            for form in (concept, *synonyms)
        }
        self.annotated = {
            source: {c: self.concepts(parts.get(c, ()), c) for c in CATEGORIES}
            for source, parts in data["sources"].items()
        }
        self.silent = {
            source: frozenset(parts.get("silent", ())) for source, parts in data["sources"].items()
        }

    def concepts(self, labels: Iterable[str], category: str) -> frozenset[str]:
        """The concepts of a source's labels; one that the terms do not know stands for itself."""
        found = set()
        for label in labels:
            known = self._labels.get(_key(label)) or self._labels.get(_key(label.removesuffix("s")))
            found.add(known[1] if known and known[0] == category else _key(label))
        return frozenset(found)

    def find(self, text: str) -> list[Mention]:
        """What a text names, the longest words first at each place, in the order of the text."""
        tokens = _tokens(text)
        found: list[Mention] = []
        i = 0
        while i < len(tokens):
            for length in range(min(self._longest, len(tokens) - i), 0, -1):
                surface = tuple(tokens[i : i + length])
                if surface in self._surfaces and not self._is_verb(tokens, i, length):
                    category, concept = self._surfaces[surface]
                    before, after = _clause(tokens, i, i + length, self.lists["clause_end"])
                    negated = bool(self.lists["negation"] & before or self.lists["negation_after"] & after)
                    elsewhere = category == "phase" and bool(self.lists["elsewhere"] & before)
                    found.append(Mention(category, concept, " ".join(surface), negated, elsewhere))
                    i += length
                    break
            else:
                i += 1
        return found

    def contradictions(self, text: str, source: str, facts: ClipFacts) -> tuple[list[Mention], bool]:
        """Mentions that the annotation of a clip speaks against.

        Args:
            text: What was written.
            source: Dataset; of one that the terms do not list, every concept counts as annotated.
            facts: What is annotated.

        Returns:
            The mentions, and whether there are others of a category that is not annotated in the clip.
        """
        wrong: list[Mention] = []
        unchecked = False
        named = {mention.concept for event in facts.events for mention in self.find(event)}
        for mention in self.find(text):
            category = mention.category
            if mention.negated or mention.elsewhere:
                continue
            if category not in facts.present:
                unchecked = True
                continue
            present = self.concepts(facts.present[category], category) | named
            annotated = self.annotated.get(source, {}).get(category, frozenset())
            if mention.concept in self.silent.get(source, ()) or self._covered(mention, present, annotated):
                continue
            wrong.append(mention)
        return wrong, unchecked

    def kinds(self, concept: str) -> frozenset[str]:
        """What a concept is a kind of, directly or not."""
        found: set[str] = set()
        waiting = [concept]
        while waiting:
            for kind in self.broader.get(waiting.pop(), ()):
                if kind not in found:
                    found.add(kind)
                    waiting.append(kind)
        return frozenset(found)

    def _covered(self, mention: Mention, present: frozenset[str], annotated: frozenset[str]) -> bool:
        """Whether it is annotated, or as something narrower, or as something broader for want of a label."""
        said = mention.concept
        if said in present or any(said in self.kinds(one) for one in present):
            return True
        return said not in annotated and bool(self.kinds(said) & present)

    def _forms(self, category: str, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Spellings of a term in running text."""
        if category == "phase" and len(words) == 1:
            for phase in self.lists["phase_words"]:
                yield (*words, phase)
                yield (phase, "of", *words)
            return
        yield words
        if category == "instrument" and not words[-1].endswith("s"):
            yield (*words[:-1], words[-1] + "s")

    def _is_verb(self, tokens: list[str], i: int, length: int) -> bool:
        word = tokens[i]
        verbs = self.lists["also_verbs"]
        if length > 1:
            return False
        return word.removesuffix("s") in verbs and (word not in verbs or (i > 0 and tokens[i - 1] == "to"))


def terminology_findings(
    terminology: Terminology, draft: Draft, written: WrittenText, facts: ClipFacts
) -> tuple[list[Finding], bool]:
    """What a written text names and the annotation speaks against, and whether some of it was not checked."""
    text = "\n".join(written.captions) if draft.task == "dense_captioning" else written.text
    wrong, unchecked = terminology.contradictions(text, draft.clip.source, facts)
    found = []
    for mention in wrong:
        there = ", ".join(facts.present[mention.category]) or "none"
        told = f"{mention.category} {mention.words!r} is not annotated in the clip; there: {there}"
        found.append(Finding("terminology", told, written.writer))
    return found, unchecked


def _clause(tokens: list[str], start: int, end: int, ends: frozenset[str]) -> tuple[set[str], set[str]]:
    """The words of a mention's clause before it, and the next few after it.

    A comma ends a clause, unless it is one of a list: "no clipper, scissors or bipolar".
    """
    first = start
    while first and tokens[first - 1] not in _STOP and tokens[first - 1] not in ends:
        first -= 1
    last = end
    while last < len(tokens) and tokens[last] not in _STOP and tokens[last] not in ends:
        last += 1
    if not {"or", "nor"} & set(tokens[first:last]):
        commas = [k for k in range(first, start) if tokens[k] == ","]
        first = commas[-1] + 1 if commas else first
    after = tokens[end : min(last, end + _AFTER)]
    return set(tokens[first:start]), set(after[: after.index(",")] if "," in after else after)


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _TOKEN.findall(plain.replace("'", "").replace("-", " ").replace("_", " "))


def _words(text: str) -> list[str]:
    return [token for token in _tokens(text) if token.isalnum()]


def _key(label: str) -> str:
    return " ".join(_words(label))


def _read(where: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(read_text(where))
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected terms as an object")
    for name in ("version", *CATEGORIES, *_LISTS, "broader", "sources"):
        if name not in data:
            raise UserError(f"{where}: {name!r} is missing")
    if wrong := [name for name in _LISTS if not all(isinstance(word, str) for word in data[name])]:
        raise UserError(
            f"{where}: {wrong[0]!r} must list words; YAML reads a bare no or yes as a truth value"
        )
    return data
