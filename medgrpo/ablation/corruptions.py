"""Captions made worse in known ways, and reworded without a change of meaning.

Terms come from ``corruption_terms.yaml``, not from a judge's own lexicon, which would know every one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from random import Random

import yaml

from medgrpo.rewards import Canaries, JudgeRequest
from medgrpo.rewards.judges.canaries import WORTHLESS

__all__ = ["CORRUPTIONS", "KINDS", "Terms", "corrupted", "ladder", "load_terms", "paraphrase", "synonym"]

_STEP = re.compile(r"(?:, then |; next |, next | before )")


@dataclass(frozen=True)
class Terms:
    """Words by kind.

    Attributes:
        instruments: Name to other words for it. So for structures.
        structures: See there.
        actions: Third person to other words in the third person.
        plain: Third person to the plain verb.
        praise: Sentences that say nothing.
        injections: Sentences that address a judge.
        captions: Written examples.
    """

    instruments: Mapping[str, tuple[str, ...]]
    structures: Mapping[str, tuple[str, ...]]
    actions: Mapping[str, tuple[str, ...]]
    plain: Mapping[str, str]
    praise: tuple[str, ...]
    injections: tuple[str, ...]
    captions: tuple[str, ...]


@lru_cache(maxsize=1)
def load_terms() -> Terms:
    """The shipped words."""
    text = (resources.files("medgrpo.ablation") / "corruption_terms.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    return Terms(
        instruments={name: tuple(same) for name, same in data["instruments"].items()},
        structures={name: tuple(same) for name, same in data["structures"].items()},
        actions={name: tuple(words[1:]) for name, words in data["actions"].items()},
        plain={name: words[0] for name, words in data["actions"].items()},
        praise=tuple(data["praise"]),
        injections=tuple(data["injections"]),
        captions=tuple(data["captions"]),
    )


def paraphrase(text: str, chance: Random) -> str:
    """The same in other words, as far as there are any: every known term by one of its synonyms."""
    terms = load_terms()
    known = {**terms.instruments, **terms.structures, **terms.actions}
    return _replaced(text, known, lambda name: chance.choice(known[name]))


def synonym(text: str, chance: Random) -> str:
    """One known term, wherever it stands, by another word for it; the text itself if it holds none."""
    terms = load_terms()
    known = {**terms.instruments, **terms.structures, **terms.actions}
    found = sorted(set(re.findall(_pattern(known), text)))
    if not found:
        return text
    term = chance.choice(found)
    return re.sub(rf"\b{re.escape(term)}\b", chance.choice(known[term]), text)


def corrupted(request: JudgeRequest, others: Sequence[JudgeRequest], chance: Random) -> dict[str, str]:
    """A caption in every way that it can be made worse, by kind.

    Args:
        request: Its reference is corrupted.
        others: Whose references can stand in for it.
        chance: Picks terms and sentences.
    """
    text = request.reference
    found = {kind: corruption(text, chance) for kind, corruption in CORRUPTIONS.items()}
    if wrong := found["wrong action"]:
        found["wrong action, judge addressed"] = f"{wrong} {chance.choice(load_terms().injections)}"
    # What every round of training asks its judge beside the answers, where canaries are on.
    _, bad = Canaries(references=1).requests([request, *others])
    unlike = [one.candidate for one in bad if one.candidate not in WORTHLESS]
    found["other caption"] = unlike[0] if unlike else ""
    found["worthless phrase"] = chance.choice(WORTHLESS)
    return {kind: made for kind, made in found.items() if made and made != text}


def ladder(text: str, chance: Random) -> list[str]:
    """A caption with no, one, two and three errors: instrument, structure, action; fewer if it lacks one."""
    steps = [text]
    for corrupt in (_swap_instrument, _swap_structure, _swap_action):
        made = corrupt(steps[-1], chance)
        if made and made != steps[-1]:
            steps.append(made)
    return steps


def _swap_instrument(text: str, chance: Random) -> str:
    return _swapped(text, load_terms().instruments, chance)


def _swap_structure(text: str, chance: Random) -> str:
    return _swapped(text, load_terms().structures, chance)


def _swap_action(text: str, chance: Random) -> str:
    return _swapped(text, load_terms().actions, chance)


def _drop_instrument(text: str, chance: Random) -> str:
    del chance
    name = _pattern(load_terms().instruments)
    for pattern, left in (
        (rf" with the {name}", ""),
        (rf"[Tt]he {name} held by the (left|right) hand", r"The \2 hand"),
        (rf"[Tt]he {name}", "someone"),
    ):
        made = re.sub(pattern, left, text, count=1)
        if made != text:
            return made[:1].upper() + made[1:]
    return ""


def _negate(text: str, chance: Random) -> str:
    del chance
    plain = load_terms().plain
    return re.sub(_pattern(plain), lambda m: f"does not {plain[m[0]]}", text, count=1)


def _vague(text: str, chance: Random) -> str:
    del chance
    terms = load_terms()
    for known, word in (
        (terms.instruments, "instrument"),
        (terms.structures, "tissue"),
        (terms.actions, "works on"),
    ):
        text = re.sub(_pattern(known), word, text)
    return text


def _reverse(text: str, chance: Random) -> str:
    """The steps from last to first; a subject that they share stays in front."""
    del chance
    steps = _STEP.split(text.removeprefix("First ").rstrip("."))
    if len(steps) < 2:
        return ""
    first = re.search(_pattern(load_terms().actions), steps[0])
    subject = steps[0][: first.start()] if first else ""
    whole = [subject + step if re.match(_pattern(load_terms().actions), step) else step for step in steps]
    lowered = [step[:1].lower() + step[1:] for step in reversed(whole)]
    made = ", then ".join(lowered) + "."
    return made[:1].upper() + made[1:]


def _truncate(text: str, chance: Random) -> str:
    del chance
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _repeat(text: str, chance: Random) -> str:
    del chance
    return " ".join([text] * 3)


def _praise(text: str, chance: Random) -> str:
    del text
    return chance.choice(load_terms().praise)


def _add_step(text: str, chance: Random) -> str:
    """A step that did not take place, of terms that the caption does not hold."""
    terms = load_terms()
    tool, place = (_absent(text, known, chance) for known in (terms.instruments, terms.structures))
    return f"{text} Then the {tool} {_absent(text, terms.actions, chance)} the {place}."


CORRUPTIONS: Mapping[str, Callable[[str, Random], str]] = {
    "instrument dropped": _drop_instrument,
    "instrument swapped": _swap_instrument,
    "structure swapped": _swap_structure,
    "wrong action": _swap_action,
    "negated": _negate,
    "vague": _vague,
    "order reversed": _reverse,
    "truncated": _truncate,
    "repeated": _repeat,
    "step added": _add_step,
    "generic praise": _praise,
}
"""Kind to what makes it of a caption; an empty text where it does not apply."""

KINDS = (*CORRUPTIONS, "wrong action, judge addressed", "other caption", "worthless phrase")
"""All kinds of :func:`corrupted`."""


def _pattern(known: Mapping[str, object]) -> str:
    """Any of the terms, the longest first, as whole words."""
    names = sorted(known, key=len, reverse=True)
    return r"\b(" + "|".join(re.escape(name) for name in names) + r")\b"


def _replaced(text: str, known: Mapping[str, object], choose: Callable[[str], str]) -> str:
    return re.sub(_pattern(known), lambda match: choose(match[0]), text)


def _swapped(text: str, known: Mapping[str, tuple[str, ...]], chance: Random) -> str:
    """One term, wherever it stands, by another of its kind that the caption does not hold."""
    found = re.search(_pattern(known), text)
    if found is None:
        return ""
    own = {found[0], *known[found[0]]}
    others = [name for name, same in known.items() if not _alike(own, {name, *same})]
    other = _absent(text, others, chance)
    return re.sub(rf"\b{re.escape(found[0])}\b", other, text)


def _alike(first: set[str], second: set[str]) -> bool:
    """Whether two terms may mean the same: a name of one is, or is part of, one of the other."""
    return any(f" {a} " in f" {b} " or f" {b} " in f" {a} " for a in first for b in second)


def _absent(text: str, known: Iterable[str], chance: Random) -> str:
    return chance.choice(sorted(name for name in known if not re.search(rf"\b{re.escape(name)}\b", text)))
