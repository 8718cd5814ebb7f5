"""Reading a caption with the surgical lexicon: which instruments, structures and actions, in which order.

The lexicon is a data file (``surgical_lexicon.json``): categories of concepts with their synonyms, a few
"is a kind of" relations, vague words, and the marks of text that is aimed at a judge instead of describing a
video. Inflections are derived here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

__all__ = ["Reading", "Vocabulary", "load_vocabulary", "normalise_text"]

_TOKEN = re.compile(r"[a-z]+|\d+|[.,;:!?\n]")
_PUNCTUATION = frozenset(".,;:!?\n")
_IRREGULAR = {
    "hold": ("held",),
    "draw": ("drew", "drawn"),
    "sew": ("sewn",),
    "take": ("took", "taken"),
    "tie": ("tying",),
    "tear": ("tore", "torn"),
    "free": ("freeing",),
    "make": ("made",),
    "let": ("letting",),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a caption says, in the words of the lexicon.

    Attributes:
        concepts: Category to the concepts that occur; a negated action is ``not <action>``.
        actions: Actions in order.
        things: Instruments and structures in the order of the clauses, sorted inside a clause.
        bonds: (action, instrument or structure) of the same clause.
        words: Stems of the content words that are no concept.
        vague: Vague words.
    """

    concepts: Mapping[str, frozenset[str]]
    actions: tuple[str, ...]
    things: tuple[str, ...]
    bonds: frozenset[tuple[str, str]]
    words: frozenset[str]
    vague: tuple[str, ...]

    def of(self, *categories: str) -> frozenset[str]:
        """The concepts of some categories together."""
        return frozenset().union(*(self.concepts.get(c, frozenset()) for c in categories))


class Vocabulary:
    """The lexicon, ready for reading.

    Args:
        data: The content of a lexicon file.
    """

    categories = ("instrument", "anatomy", "action", "context", "state", "detail")

    def __init__(self, data: Mapping[str, object]) -> None:
        self.version = int(str(data["version"]))
        self.vague = frozenset(_strings(data["vague"]))
        self._stop = frozenset(_strings(data["stop"]))
        self._negations = frozenset(_strings(data["negation"]))
        self._breaks = _PUNCTUATION | frozenset(_strings(data["clause"]))
        self._before_noun = frozenset(_strings(data["before_noun"]))
        broader = data["broader"]
        assert isinstance(broader, dict)
        self.broader: dict[str, str] = broader
        self.injection = re.compile("|".join(f"(?:{p})" for p in _strings(data["injection"])), re.IGNORECASE)
        self._surfaces: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for category in self.categories:
            concepts = data[category]
            assert isinstance(concepts, dict)
            for concept, synonyms in concepts.items():
                for form in (concept, *synonyms):
                    for surface in _inflections(_tokens(form), category == "action"):
                        known = self._surfaces.setdefault(surface, [])
                        if all(c != category for c, _ in known):
                            known.append((category, concept))
        self._longest: dict[str, int] = {}
        for surface in self._surfaces:
            self._longest[surface[0]] = max(len(surface), self._longest.get(surface[0], 0))

    def kinds(self, concept: str) -> tuple[str, ...]:
        """What a concept is a kind of, nearest first."""
        chain: list[str] = []
        while concept in self.broader and len(chain) < 8:
            concept = self.broader[concept]
            chain.append(concept)
        return tuple(chain)

    def related(self, concept: str, others: Set[str]) -> bool:
        """Whether others hold a concept, or a broader or narrower one."""
        if concept in others or any(kind in others for kind in self.kinds(concept)):
            return True
        return any(concept in self.kinds(other) for other in others)

    def agreement(self, reference: Reading, candidate: Reading) -> float:
        """F1 of what two captions say, concepts and other content words; a related concept counts half.

        Synonyms and inflections meet, as in METEOR, with the words of surgery. 0 if one of the two says
        nothing, 1 if both do.
        """
        a, b = (reading.of(*self.categories) | reading.words for reading in (reference, candidate))
        if not a or not b:
            return float(not a and not b)
        r = sum(1.0 if term in b else 0.5 * self.related(term, b) for term in a) / len(a)
        p = sum(1.0 if term in a else 0.5 * self.related(term, a) for term in b) / len(b)
        return 2 * r * p / (r + p) if r + p else 0.0

    def read(self, text: str) -> Reading:
        """Find the concepts of a text."""
        tokens = _tokens(text)
        concepts: dict[str, set[str]] = {}
        words: set[str] = set()
        vague: list[str] = []
        clauses: list[tuple[list[str], set[str]]] = [([], set())]
        actions: list[str] = []
        negated_until = -1
        i = 0
        while i < len(tokens):
            token = tokens[i]
            found = self._match(tokens, i)
            if found is None:
                if token in self._breaks:
                    clauses.append(([], set()))
                    negated_until = -1
                elif token in self._negations:
                    words.add("not")
                    negated_until = i + 4
                elif token in self.vague:
                    vague.append(token)
                elif token not in self._stop:
                    words.add(_stem(token))
                i += 1
                continue
            category, concept, length = found
            if category == "action":
                if i <= negated_until:
                    concept = f"not {concept}"
                if not actions or actions[-1] != concept or not clauses[-1][0]:
                    actions.append(concept)
                clauses[-1][0].append(concept)
            elif category in ("instrument", "anatomy"):
                clauses[-1][1].add(concept)
            concepts.setdefault(category, set()).add(concept)
            i += length
        things: list[str] = []
        bonds: set[tuple[str, str]] = set()
        for verbs, nouns in _merge(clauses):
            things.extend(sorted(nouns))
            bonds.update((verb, noun) for verb in verbs for noun in nouns)
        return Reading(
            {category: frozenset(found) for category, found in concepts.items()},
            tuple(actions),
            tuple(things),
            frozenset(bonds),
            frozenset(words),
            tuple(vague),
        )

    def _match(self, tokens: list[str], i: int) -> tuple[str, str, int] | None:
        """The longest concept that starts at a token."""
        for length in range(min(self._longest.get(tokens[i], 0), len(tokens) - i), 0, -1):
            readings = self._surfaces.get(tuple(tokens[i : i + length]))
            if readings is None:
                continue
            if len(readings) > 1:
                # "clips", "sutures", "dressing": a noun after an article or a number, else a verb.
                noun = i > 0 and tokens[i - 1] in self._before_noun
                readings = [r for r in readings if (r[0] == "action") != noun] or readings
            return (*readings[0], length)
        return None


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """The shipped lexicon."""
    file = resources.files("medgrpo.rewards.judges") / "surgical_lexicon.json"
    return Vocabulary(json.loads(file.read_text(encoding="utf-8")))


def normalise_text(text: str) -> str:
    """Lower case without accents, apostrophes and chat-template marks; hyphens become spaces."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return plain.replace("'", "").replace("-", " ")


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(normalise_text(text))


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


def _merge(clauses: Iterable[tuple[list[str], set[str]]]) -> list[tuple[list[str], set[str]]]:
    """Join a clause without an action ("... and the artery") to its neighbour."""
    merged: list[tuple[list[str], set[str]]] = []
    waiting: set[str] = set()
    for verbs, nouns in clauses:
        if verbs:
            merged.append((verbs, nouns | waiting))
            waiting = set()
        elif merged:
            merged[-1][1].update(nouns)
        else:
            waiting |= nouns
    return merged or [([], waiting)]


def _inflections(words: list[str], verb: bool) -> set[tuple[str, ...]]:
    if not words:
        return set()
    if not verb:
        *head, last = words
        return {tuple(words), (*head, _with_s(last))}
    first, *rest = words
    return {(form, *rest) for form in (first, *_verb_forms(first))}


def _with_s(word: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _verb_forms(verb: str) -> tuple[str, ...]:
    if verb.endswith("e") and not verb.endswith("ee"):
        regular: tuple[str, ...] = (verb + "d", verb[:-1] + "ing")
    elif re.search(r"[^aeiou]y$", verb):
        regular = (verb[:-1] + "ied", verb + "ing")
    elif re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", verb):
        regular = (verb + verb[-1] + "ed", verb + verb[-1] + "ing")
    else:
        regular = (verb + "ed", verb + "ing")
    return (_with_s(verb), *regular, *_IRREGULAR.get(verb, ()))


def _stem(word: str) -> str:
    """A crude stem: enough to let "placing" and "places" meet."""
    for suffix in ("ing", "ed", "es", "s", "ly", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word
