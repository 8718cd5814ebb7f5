"""A further task is one class and one entry of the registry: records, scoring and tables take it as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from medgrpo import tasks
from medgrpo.data.records import read_records
from medgrpo.evaluation import evaluate
from medgrpo.evaluation.tables import detail_table
from medgrpo.tasks.base import Parsed, Task
from medgrpo.types import Sample
from tests.evaluation.test_strict import BagOfLetters


class ToolCount(Task):
    """How many instruments are in view?"""

    name: ClassVar[str] = "tool_count"
    qa_types: ClassVar[tuple[str, ...]] = ("tool_count_gpt",)
    forms: ClassVar[tuple[str, ...]] = ("How many instruments are seen at {time} seconds?",)
    metric: ClassVar[str | None] = "count_exact@1"

    def truth(self, sample: Sample) -> int | None:
        return self.parse(sample.answer or "").value

    def write(self, truth: Any) -> str:
        return str(truth)

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        stripped = text.strip()
        if stripped.isdecimal() and len(stripped) < 4:
            return Parsed(int(stripped), "ok")
        return Parsed(None, "failed", ("no number",))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        return float(value == truth)


def test_a_ninth_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task = ToolCount()
    monkeypatch.setitem(tasks.TASKS, task.name, task)
    for name in (task.name, *task.qa_types):
        monkeypatch.setitem(tasks._BY_QA_TYPE, name, task)
    rows = [
        {
            "id": f"v{k}&&0&&9&&1.0",
            "qa_type": "tool_count_gpt",
            "conversations": [
                {"from": "human", "value": f"<video>\n{task.question(time='3.0')}"},
                {"from": "gpt", "value": str(k)},
            ],
            "video": ["a.jpg"],
            "metadata": {"fps": "1.0", "video_id": f"v{k}"},
            "data_source": "AVOS",
        }
        for k in range(4)
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    samples = read_records(tmp_path / "r.json")
    scores = evaluate(samples, ["0", "1", "3", "three"], "strict", encoder=BagOfLetters())
    table = scores.by_dataset["AVOS"]["tool_count"]
    assert (table["score"], table["parsed"], scores.per_record) == (0.5, 0.75, [1.0, 1.0, 0.0, 0.0])
    assert table["by_origin"]["gpt"]["n"] == 4
    assert "tool_count" in detail_table(scores)
