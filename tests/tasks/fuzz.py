"""A fuzzer for the parsers: mutates real answers, and real parts of them, without end.

``python -m tests.tasks.fuzz --seconds 600`` runs it for long; the test suite runs a few thousand inputs.
Hypothesis finds small counterexamples; this finds long ones, and slow patterns: now and then it repeats a
text until it is very long, and watches how the time grows.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from medgrpo.evaluation.official import official_row, score_rows
from medgrpo.tasks import TASKS
from medgrpo.types import Sample
from tests.evaluation.golden import golden
from tests.evaluation.test_strict import BagOfLetters
from tests.tasks.growth import is_slow
from tests.tasks.samples import make_sample

__all__ = ["check", "check_time", "main", "pieces", "seeds", "texts"]

_LENGTHENED = 100
"""One text in so many is also made very long, which takes about as long as checking a hundred."""

_TOKENS = (
    *"-\u2013\u2212:,;.\n[](){}/09\u0663\uff11\x00\ud800\u202e",
    *("/5", "seconds", "s", "to", "between", "and", "12.5", "1e9", "nan", "inf", "00:10", "**", "- ", "not "),
    *("Two structures: ", "Respect for tissue: ", "action: ", " " * 50, "9" * 5000),
)


def seeds() -> list[str]:
    """Answers of the golden cases and one written answer of each task."""
    found = [text for case in golden()["cases"] for text in case["predictions"] if isinstance(text, str)]
    return sorted({*found, "", *_REFERENCES.values()})


_REFERENCES = {
    "tal": "1.1-3.0, 7.0-9.5 seconds.",
    "stg": "1.0 seconds: [235.08, 261.2, 561.58, 1005.62] 5.0 seconds: [240.0, 260.5, 566.1, 1001.3]",
    "dense_captioning": "36.0-49.0 seconds: a pad: it slides.\n50.0-61.5 seconds: disinfect: it is wiped.",
    "next_action": "preparation",
    "video_summary": "The grasper holds the gallbladder.",
    "region_caption": "The hook dissects the duct.",
    "skill_assessment": TASKS["skill_assessment"].write(dict.fromkeys(TASKS["skill_assessment"].names, 3)),  # type: ignore[attr-defined]
    "cvs_assessment": "Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 2",
}


def pieces() -> list[str]:
    """What long texts may be repetitions of: what mutations put in, parts of answers and whole ones."""
    parts = ("a", "1.", "1-", "1-2 ", ":1", "a:", "\n1. ", "not a ", "1 seconds: [", "1-2 seconds: a", "[1, ")
    return [*_TOKENS, *parts, *_REFERENCES.values()]


def texts(corpus: Sequence[str], seed: int) -> Iterator[str]:
    """Mutated texts without end."""
    chance = random.Random(seed)
    while True:
        text = chance.choice(corpus)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            text = _mutated(text, chance, corpus)
        yield text[:50_000]


def _mutated(text: str, chance: random.Random, corpus: Sequence[str]) -> str:
    at = chance.randrange(len(text) + 1)
    to = min(len(text), at + chance.choice((0, 1, 3, 20)))
    match chance.randrange(6):
        case 0:
            return text[:at] + text[to:]
        case 1:
            return text[:at] + chance.choice(_TOKENS) + text[to:]
        case 2:
            return (
                text[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0x11000)))) + text[to:]
            )
        case 3:
            return text[:at] + text[at:to] * chance.choice((2, 10, 300)) + text[to:]
        case 4:
            other = chance.choice(corpus)
            return text[:at] + other[chance.randrange(len(other) + 1) :]
        case _:
            return text[:at] + text[at:].translate(
                {ord(c): chance.choice(" \n-:,") for c in chance.sample(" -:,", 2)}
            )


def check(text: str) -> None:
    """What must hold for every text.

    Raises:
        AssertionError: If something does not; any other exception is a finding too.
    """
    for name, task in TASKS.items():
        sample = _sample(name)
        parsed = task.parse(text, sample)
        assert (parsed.value is None) == (parsed.status == "failed"), name
        json.dumps(parsed.value, allow_nan=False)
        if task.metric is not None:
            assert 0.0 <= task.score(parsed, sample) <= 1.0 + 1e-12, name
        if parsed.value is not None and _complete(name, parsed.value):
            once = task.parse(task.write(parsed.value), sample)
            if once.value is not None:
                twice = task.parse(task.write(once.value), sample)
                assert twice.value == once.value, f"{name}: the round trip is not stable"
        _official(text, sample)


def check_time(piece: str) -> None:
    """Whether every reader takes a text that repeats a piece in a time that grows with its length.

    Raises:
        AssertionError: If one takes much longer.
    """
    for name, task in TASKS.items():
        sample = _sample(name)
        assert not is_slow(partial(task.parse, sample=sample), piece), f"{name}: slow on many {piece!r}"
        official = partial(_official, sample=sample)
        assert not is_slow(official, piece), f"{name}: slow under the official protocol on many {piece!r}"


def _sample(name: str) -> Sample:
    return make_sample(TASKS[name].qa_types[0], _REFERENCES[name], dataset="CholecT50", fps=0.5)


def _official(text: str, sample: Sample) -> None:
    score_rows([official_row(sample, text, 0)], BagOfLetters())


def _complete(name: str, value: Any) -> bool:
    """Whether a structure can be written without loss: all grades, no caption that reads like an event."""
    if name == "dense_captioning":
        return all(TASKS[name].parse(f" {event['caption']}").status == "failed" for event in value)
    names = getattr(TASKS[name], "names", None)
    return names is None or set(value) == set(names)


def main() -> int:
    """Fuzz for a while; the first finding stops it with its text."""
    parser = argparse.ArgumentParser(prog="python -m tests.tasks.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end, count = time.monotonic() + args.seconds, 0
    for text in texts(seeds(), args.seed):
        try:
            check(text)
            if text and count % _LENGTHENED == 0:
                check_time(text)
        except Exception:
            print(f"input {count} of seed {args.seed}: {text!r}", file=sys.stderr)
            raise
        count += 1
        if time.monotonic() > end:
            break
    print(f"{count} texts, no finding")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
