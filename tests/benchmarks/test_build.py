"""The measurement of the build, over few and small frames."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import build


def test_both_sides_make_the_same_and_the_second_run_finds_it(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    build.main(["--videos", "2", "--size", "214", "120", "--work", str(tmp_path), "--out", str(out)])
    told = json.loads(out.read_text())
    sides = told["measured"]
    for count in ("videos", "clips", "frames", "pictures"):
        made = {sides[side][count] for side in ("plain", "one_worker", "two_workers", "again")}
        assert len(made) == 1, count
        assert made != {0}, count
    assert sides["quarter"]["videos"] == 2
    assert sides["two_workers"]["videos"] == 4
    assert len(told["results"]) == 7
    assert all(entry["ratio"] > 0 for entry in told["results"])
    assert list(tmp_path.iterdir()) == [out]
