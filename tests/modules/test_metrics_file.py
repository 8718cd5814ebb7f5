"""Metrics of a run that is killed: no row is lost when a column is added."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from medgrpo.modules import MetricsCSV
from medgrpo.services import files


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_column_puts_no_row_at_risk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MetricsCSV(str(tmp_path), name="csv")
    path = tmp_path / "csv" / "version_0" / "metrics.csv"
    for step in range(3):
        logger.log_metrics({"loss": step / 3}, step)
        logger.save()
    before, replace = path.read_text(), os.replace
    replaced = []

    def look(source: Any, target: Any) -> None:
        assert path.read_text() == before
        replaced.append(target)
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", look)
    logger.log_metrics({"loss": 1.0, "reward, mean": 0.5}, 3)
    logger.save()
    assert [Path(target) for target in replaced] == [path]
    rows = _rows(path)
    assert [row["loss"] for row in rows] == ["0.0", str(1 / 3), str(2 / 3), "1.0"]
    assert [row["reward, mean"] for row in rows] == ["", "", "", "0.5"]
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_a_run_that_continues_has_a_file_of_its_own(tmp_path: Path) -> None:
    for step in (3, 4):
        logger = MetricsCSV(str(tmp_path), name="csv")
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()
    found = [_rows(tmp_path / "csv" / f"version_{start}" / "metrics.csv") for start in (0, 1)]
    assert found == [[{"loss": "1.0", "step": "3"}], [{"loss": "1.0", "step": "4"}]]
