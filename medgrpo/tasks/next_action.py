"""Next action prediction (``next_action``): which step of a closed list comes next?

Question (paraphrased): persona and domain, the possible steps, "which step comes next?".
Answer: the bare label, spelled as in the list::

    tying

Metric ``nap_exact@1``: 1 if the answer is the true label (ignoring case, hyphens, underscores and final
punctuation) or holds exactly one label of the closed list, as whole words and not negated, and that is
the true one; else 0. The list comes from the question when it can be read there, else from the benchmark's
inventory of the source; an answer outside it is wrong, never rescued by its nearest neighbour.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, ClassVar

from medgrpo.tasks.agreement import balanced_accuracy, macro_f1, majority_rate
from medgrpo.tasks.base import Parsed, ScoredRow, Task
from medgrpo.tasks.quantities import Quantity, graded
from medgrpo.types import Sample

__all__ = ["NextAction", "closed_list", "inventory", "normalise"]

_LISTED = re.compile(
    r"\b(?:actions?|steps?|phases?|labels?|options?|choices?|candidates?|list|following|one of)\b"
    r"[^:\[\n.?!]{0,60}"
    r"(?:\[(?P<bracket>[^\]]{3,4000})\]|:\s*(?P<plain>[^\n.?!:]{3,4000}))",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"\s*[,;|]\s*(?:(?:and|or)\s+)?")
_NEGATED = re.compile(r"\b(?:not|no|never|without|isn t|rather than|instead of)(?: \w+){0,2} $")
_NOISE = re.compile(r"[\s\-_\u2010-\u2015]+")
_EDGES = " \t\r\n.,;:!?\"'`*()[]{}"


class NextAction(Task):
    """NAP; a structure is the label as a string."""

    name: ClassVar[str] = "next_action"
    qa_types: ClassVar[tuple[str, ...]] = ("next_action",)
    forms: ClassVar[tuple[str, ...]] = (
        "Which step comes next? Possible steps: {steps}.",
        "What is the next step? Possible steps: {steps}.",
        "The procedure is {procedure}. Which step comes next? Possible steps: {steps}.",
        "The procedure is {procedure}. What is the next step? Possible steps: {steps}.",
    )
    metric: ClassVar[str | None] = "nap_exact@1"
    max_new_tokens: ClassVar[int] = 48

    def truth(self, sample: Sample) -> str | None:
        """The reference answer, legacy names replaced."""
        label = (sample.answer or "").strip()
        return _renamed(label) if label else None

    def write(self, truth: Any) -> str:
        """The bare label."""
        return str(truth)

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """The label; with a sample it must be one of the closed list, without one it is the stripped text."""
        stripped = text.strip()
        if not normalise(stripped):
            return Parsed(None, "failed", ("empty answer",))
        labels = closed_list(sample) if sample is not None else ()
        if not labels:
            return Parsed(stripped, "ok")
        if stripped in labels:
            return Parsed(stripped, "ok")
        label, note = _find(stripped, labels)
        return Parsed(label, "failed" if label is None else "repaired", (note,))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Exact label, see the module's documentation."""
        if normalise(_renamed(value)) == normalise(truth):
            return 1.0
        label, _ = _find(value, closed_list(sample))
        return float(label is not None and normalise(label) == normalise(truth))

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """Macro-F1 and balanced accuracy over the true labels, the majority baseline, and what was scored.

        A right answer counts as its label however it was written, a wrong one as whatever label was read.
        """
        truth = [normalise(row.truth) for row in rows]
        codes = {label: k for k, label in enumerate(sorted(set(truth)))}
        answers = [
            codes[t] if row.score == 1.0 else codes.get(_read_label(row.parsed.value))
            for t, row in zip(truth, rows, strict=True)
        ]
        measures = {
            "macro_f1": macro_f1,
            "balanced_accuracy": balanced_accuracy,
            "majority": majority_rate,
        }
        grades = graded(measures, [[codes[t]] for t in truth], [[a] for a in answers], len(codes))
        return grades + super().quantities(rows)


def _read_label(value: Any) -> str:
    return normalise(value) if isinstance(value, str) else ""


def normalise(label: str) -> str:
    """A label without case, hyphens, underscores and surrounding punctuation."""
    return _NOISE.sub(" ", label).strip(_EDGES).lower()


@functools.cache
def inventory() -> Mapping[str, Any]:
    """The leaderboard's label lists: by source, NurViD by procedure, and the legacy names of CoPESD."""
    return json.loads(files("medgrpo.tasks").joinpath("nap_labels.json").read_text("utf-8"))


def closed_list(sample: Sample) -> tuple[str, ...]:
    """The labels a question allows; empty when neither question nor inventory has them.

    A list read from the question must hold the true label, where that is known: a sentence that only looks
    like a list ("three phases: before, during, after") must not make every answer wrong.
    """
    truth = (sample.answer or "").strip()
    return _closed_list(sample.question, sample.dataset, truth)


@functools.lru_cache(maxsize=8192)
def _closed_list(question: str, dataset: str, truth: str) -> tuple[str, ...]:
    wanted = normalise(_renamed(truth))
    for m in _LISTED.finditer(question):
        items = [part.strip(_EDGES) for part in _SPLIT.split(m["bracket"] or m["plain"])]
        labels = tuple(dict.fromkeys(item for item in items if item))
        if len(labels) >= 2 and (not wanted or wanted in {normalise(_renamed(label)) for label in labels}):
            return labels
    labels = _inventory_list(question, dataset)
    return labels if not wanted or wanted in {normalise(label) for label in labels} else ()


def _inventory_list(question: str, dataset: str) -> tuple[str, ...]:
    """The benchmark's own list for a source."""
    table = inventory()
    if dataset == "NurViD":
        procedures: Mapping[str, Sequence[str]] = table["NurViD_by_procedure_in_match_order"]
        lowered = question.lower()
        # The longest name wins, so that "Subcutaneous Injection" does not catch "... Insulin".
        for name in sorted(procedures, key=len, reverse=True):
            if name.lower() in lowered:
                return tuple(procedures[name])
        return tuple(dict.fromkeys(label for labels in procedures.values() for label in labels))
    return tuple(table[dataset]) if dataset in ("AVOS", "CholecT50", "CoPESD") else ()


def _renamed(label: str) -> str:
    """A legacy CoPESD label as it is called today, any other label as it is."""
    return inventory()["CoPESD_legacy_to_new"].get(label.strip(), label)


def _find(text: str, labels: Sequence[str]) -> tuple[str | None, str]:
    """The one label that a text names, and what was done to find it."""
    wanted = normalise(_renamed(text))
    for label in labels:
        if normalise(label) == wanted:
            return label, "spelling normalised"
    plain = " ".join(re.findall(r"\w+", wanted))
    hits = []
    for label in labels:
        words = " ".join(re.findall(r"\w+", normalise(label)))
        for m in re.finditer(rf"\b{re.escape(words)}\b", plain) if words else ():
            if not _NEGATED.search(plain, 0, m.start()):
                hits.append((m.start(), m.end(), label))
    # "cutting" inside "clipping and cutting" is not a second label.
    outer = {
        h[2]
        for h in hits
        if not any(o[0] <= h[0] and h[1] <= o[1] and o[1] - o[0] > h[1] - h[0] for o in hits)
    }
    if len(outer) == 1:
        return outer.pop(), "label found in a longer text"
    return None, "several labels" if outer else "no label of the list"
