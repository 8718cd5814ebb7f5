"""What was left out of a build because it is wrong: one line a problem, with file, place and field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from medgrpo.data.build.prepare import Result
from medgrpo.data.sources.annotations import Problem
from medgrpo.services.files import write_whole

__all__ = ["write_quarantine"]


def write_quarantine(path: Path, results: Iterable[Result], loose: Iterable[tuple[str, Problem]]) -> Path:
    """Write the report.

    Args:
        path: JSON Lines.
        results: Of all videos.
        loose: Problems of no single video, each with the name of its source.

    Raises:
        UserError: If it cannot be written.
    """
    return write_whole(path, (json.dumps(line) + "\n" for line in _lines(results, loose)))


def _lines(results: Iterable[Result], loose: Iterable[tuple[str, Problem]]) -> Iterator[dict[str, Any]]:
    for source, problem in loose:
        yield _line(source, problem)
    for result in results:
        source, video_id = result.item
        yield from (_line(source, problem) for problem in result.reading.problems)
        for text in result.problems:
            yield {"source": source, "video_id": video_id, "field": "frames", "problem": text}


def _line(source: str, problem: Problem) -> dict[str, Any]:
    where = problem.provenance
    return {
        "source": source,
        "video_id": problem.video_id,
        "file": where.file,
        "line": where.line,
        "key": where.key,
        "field": problem.field,
        "problem": problem.problem,
    }
