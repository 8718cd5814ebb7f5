"""What a judge model replied, read into scores: the leaderboard's lines, and JSON under a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HIGHEST", "LOWEST", "parse_json", "parse_lines"]

LOWEST, HIGHEST = 1, 5

_FENCED = re.compile(r"\s*```(?:json)?\s*(\{.*\})\s*```\s*", re.DOTALL)


def parse_lines(text: str, names: Sequence[str]) -> dict[str, float] | None:
    """Read ``R2: 4`` and the like as the leaderboard's scorer does.

    Name and number may be apart by a colon, an equals sign or white space; the name may be bold; of ``4/5``
    and ``4.5`` the 4 counts; the first readable occurrence of a name wins. As on the leaderboard there is no
    range check: a 9 passes. Whoever needs 1 to 5 checks it.

    Args:
        text: The reply.
        names: Aspects that must all be there.

    Returns:
        Aspect to score, or None if one is missing: then the whole reply is unreadable.
    """
    scores = {}
    for name in names:
        found = re.search(rf"{re.escape(name)}(?:\*\*)?(?:\s*[:=]\s*|\s+)([0-9]+)", text)
        if found is None:
            return None
        scores[name] = float(found[1][:9])
    return scores


def parse_json(text: str, names: Sequence[str]) -> tuple[dict[str, float], dict[str, str]] | None:
    """Read ``{"R2": {"rationale": "...", "score": 4}, ...}``, alone or in a code fence.

    Args:
        text: The reply.
        names: Aspects that must all be there, and no others.

    Returns:
        Aspect to score and aspect to rationale, or None if the reply has another form or a score is not a
        whole number from 1 to 5.
    """
    fenced = _FENCED.fullmatch(text)
    try:
        content: Any = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, Mapping) or set(content) != set(names):
        return None
    scores, rationales = {}, {}
    for name in names:
        entry = content[name]
        if not isinstance(entry, Mapping) or set(entry) != {"rationale", "score"}:
            return None
        score, rationale = entry["score"], entry["rationale"]
        if type(score) is not int or not LOWEST <= score <= HIGHEST or not isinstance(rationale, str):
            return None
        scores[name], rationales[name] = float(score), rationale
    return scores, rationales
