"""What WhisperX writes: its JSON file, read with care, and what it says about the language in its log.

Two facts of the program (3.8) decide how. Words that the aligner could not place (numbers, foreign letters)
have no ``start`` and ``end``; scores may be NaN. And ``language`` in the file is what the program was told,
or ``en``, never what it detected: that stands in its log alone, ``Detected language: de (0.97)``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.data.build.items import Speech
from medgrpo.errors import UserError

__all__ = ["Spoken", "detected_language", "read_speech"]

_DETECTED = re.compile(r"Detected language: ([a-z]{2,3})\b")


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was recognised.

    Attributes:
        speeches: Sentences by start; seconds of the WAV file.
        words: Spans of the words, or of whole sentences where words have no times.
        count: How many words there are, with or without times.
        unplaced: Sentences without any time, which are left out.
    """

    speeches: tuple[Speech, ...]
    words: tuple[tuple[float, float], ...]
    count: int
    unplaced: int = 0


def detected_language(log: str) -> str:
    """The language that the program's log says it detected; empty if it says nothing."""
    found = _DETECTED.search(log)
    return found.group(1) if found else ""


def read_speech(path: Path) -> Spoken:
    """Read the program's JSON file.

    Raises:
        UserError: If it is missing, no JSON, or of another form; the field is named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.name}: not valid JSON: {str(error).splitlines()[0]}") from None
    segments = content.get("segments") if isinstance(content, dict) else None
    if not isinstance(segments, list):
        raise UserError(f"{path.name}: field 'segments': expected a list")
    speeches: list[Speech] = []
    spans: list[tuple[float, float]] = []
    count = unplaced = 0
    for number, segment in enumerate(segments):
        where = f"{path.name}: field 'segments[{number}]"
        if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
            raise UserError(f"{where}.text': expected a text")
        text = " ".join(segment["text"].split())
        words = segment.get("words", [])
        if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
            raise UserError(f"{where}.words': expected a list of words")
        timed = [
            span for k, word in enumerate(words) if (span := _span(word, f"{where}.words[{k}]")) is not None
        ]
        span = _span(segment, where)
        if span is None and timed:
            span = min(start for start, _ in timed), max(end for _, end in timed)
        if not text:
            continue
        if span is None:
            unplaced += 1
            continue
        count += len(text.split())
        spans += timed or [span]
        speeches.append(Speech(*span, text))
    speeches.sort(key=lambda speech: (speech.start, speech.end))
    return Spoken(tuple(speeches), tuple(spans), count, unplaced)


def _span(item: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    """Start and end; None where one is missing or NaN."""
    bounds = []
    for name in ("start", "end"):
        value = item.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise UserError(f"{where}.{name}': {value!r} is not a number of seconds")
        bounds.append(math.nan if value is None else float(value))
    start, end = bounds
    if not (math.isfinite(start) and math.isfinite(end)):
        return None
    if start < 0 or end < start:
        raise UserError(f"{where}.end': the span {start:g}-{end:g} is none")
    return start, end
