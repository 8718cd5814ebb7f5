"""The measurement of the data view, run over few rows."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import records_view


def test_the_same_measurement_runs_over_few_rows(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    records_view.main(["--rows", "200", "--work", str(tmp_path), "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["rows"] == 200
    assert all(entry["ours"] > 0 for entry in told["results"])
    assert told["measured"][0]["checked"] >= told["measured"][0]["listed"]
    assert list(tmp_path.iterdir()) == [out]
