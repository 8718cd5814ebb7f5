"""The words of the synthetic world: a few hundred in all, so that a tiny tokenizer covers them."""

from __future__ import annotations

from collections.abc import Sequence

from medgrpo.data.synthetic.sources import SourceSpec
from medgrpo.data.synthetic.timeline import Action

__all__ = ["event_sentence", "gerund", "overview", "region_sentence", "seconds", "third_person"]

_GERUNDS = {
    "cut": "cutting",
    "clip": "clipping",
    "inject": "injecting",
    "disinfect": "disinfecting",
    "dissect": "dissecting",
    "grasp": "grasping",
    "dry": "drying",
}
_THIRD = {"dry": "dries"}


def gerund(verb: str) -> str:
    """The label of an action: ``cut`` becomes ``cutting``."""
    return _GERUNDS.get(verb) or f"{verb.removesuffix('e')}ing"


def third_person(verb: str) -> str:
    """``cut`` becomes ``cuts``."""
    return _THIRD.get(verb) or f"{verb}s"


def seconds(time: float) -> str:
    """A time as the benchmark writes it, with one decimal."""
    return f"{time:.1f}"


def event_sentence(spec: SourceSpec, action: Action, writer: str) -> str:
    """One event of a dense caption, in the manner of one of the two writers."""
    if writer == "gpt":
        return f"the {spec.operator} {third_person(action.verb)} the {action.target} with the {action.tool}."
    return f"the {action.tool} {third_person(action.verb)} the {action.target}."


def region_sentence(action: Action, writer: str) -> str:
    """What the instrument in the box does, and whose hand holds it."""
    does = f"{third_person(action.verb)} the {action.target}"
    if writer == "gpt":
        return f"The {action.tool} held by the {action.hand} hand {does}."
    return f"The {action.hand} hand {does} with the {action.tool}."


def overview(spec: SourceSpec, actions: Sequence[Action], writer: str) -> str:
    """A summary of the clip: its actions in their order."""
    if writer == "gpt":
        steps = [f"{third_person(a.verb)} the {a.target} with the {a.tool}" for a in actions]
        return f"The {spec.operator} {', then '.join(steps)}."
    steps = [f"the {a.tool} {third_person(a.verb)} the {a.target}" for a in actions]
    return f"First {'; next '.join(steps)}."
