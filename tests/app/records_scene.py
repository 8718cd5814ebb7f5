"""Records for the tests of the pages Data and Try it: a synthetic world, a tiny model, a file of defects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.records.library import RecordsFile
from app.sources import Sources
from medgrpo.data.media import MediaPaths
from medgrpo.modules.sampling_file import write_sampling
from tests.app.scene import ATTACK
from tests.modules import grpo_scene

__all__ = ["ATTACK", "make_long", "make_records", "patient", "row_of", "sources_on", "wait_for"]


def make_records(folder: Path) -> Path:
    """``world/train.json`` without defects, ``world/bad.jsonl`` with some, and ``model``."""
    grpo_scene.make_scene(folder)
    write_sampling(folder / "model", grpo_scene.SAMPLING)
    rows = json.loads((folder / "world" / "train.json").read_text())
    del rows[2]["metadata"]["fps"]
    rows[0]["conversations"][1]["value"] = "no idea"  # a time span is asked for
    rows[5] = _hostile(rows[5])
    wrong = next(row for row in rows if row["qa_type"] == "tal" and row is not rows[0])
    wrong["conversations"][1]["value"] = "0.0-0.5 seconds."
    lines = [json.dumps(row) for row in [*rows, rows[7]]]
    path = folder / "world" / "bad.jsonl"
    path.write_text("\n".join([*lines, "{broken " + ATTACK, "[1]"]) + "\n", encoding="utf-8")
    return folder


def make_long(folder: Path, rows: int) -> Path:
    """``world/long.json``: the rows of the world again and again."""
    path = folder / "world" / "long.json"
    known = json.loads((folder / "world" / "train.json").read_text())
    path.write_text(json.dumps([known[k % 20] | {"id": f"row {k}"} for k in range(rows)]))
    return path


def _hostile(row: dict[str, Any]) -> dict[str, Any]:
    """The same row with markup in every text, names of files included."""

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: one if key in ("from", "metadata") else spoil(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoil(one) for one in value]
        return value + ATTACK if isinstance(value, str) else value

    metadata = row["metadata"] | {"video_id": ATTACK, "note": ATTACK}
    return spoil(row) | {"qa_type": "video_summary", "metadata": metadata}


def row_of(path: Path, qa_type: str) -> int:
    """The first row of a task."""
    rows = json.loads(path.read_text())
    return next(number for number, row in enumerate(rows) if row["qa_type"].startswith(qa_type))


def sources_on(folder: Path, *names: str, **others: Any) -> Sources:
    """Sources of some files of the world."""
    paths = [folder / "world" / name for name in names]
    return Sources(tuple((path, MediaPaths.beside(path)) for path in paths), **others)


def patient(file: RecordsFile) -> RecordsFile:
    """A file that was read and checked."""
    file.refresh()
    wait_for(lambda: file.state.done)
    return file


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait until something holds, for longer than any machine takes."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("it never came to hold")
        time.sleep(0.02)
