"""The measurement for GPUs, run at a tiny size where there may be none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_training
from benchmarks.gpu_group import SAMPLERS, UPDATES

SIDES = [side for side in (*UPDATES, *SAMPLERS) if torch.cuda.is_available() or side != "flex"]


def test_the_same_code_runs_at_a_tiny_size_and_all_sides_agree(tmp_path: Path) -> None:
    out = tmp_path / "gpu_training.json"
    out.write_text(json.dumps({"measured": {"another": {"sides": {"packed": {"mfu": 0.5, "hfu": 0.6}}}}}))
    options = ["--scenes", "tiny", "--group", "4", "--runs", "1", "--tflops", "1", "--out", str(out)]
    assert gpu_training.main(options) == 0
    told = json.loads(out.read_text())
    sides = told["measured"]["tiny"]["sides"]
    assert set(sides) == set(SIDES)
    for side in sides.values():
        assert side["tokens_per_second"] > 0
        assert 0 < side["mfu"] < 1
    assert sides["packed"]["hfu"] > sides["packed"]["mfu"]
    assert sides["packed"]["planned_gb"] < sides["rows"]["planned_gb"]
    assert sides["TRL"]["gradient_norm"] == pytest.approx(sides["packed"]["gradient_norm"], rel=1e-4)
    assert sides["TRL"]["logps_apart"] < 1e-5
    names = [entry["name"] for entry in told["results"]]
    assert {"tiny: update", "tiny: sampling eight answers", "tiny: update, MFU"} < set(names)
    assert names[0] == "another: update, MFU"  # what was measured before stays


def test_sides_that_are_named_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "gpu_training.json"
    options = ["--scenes", "tiny", "--sides", "rows", "--group", "2", "--runs", "1", "--out", str(out)]
    assert gpu_training.main(options) == 0
    assert set(json.loads(out.read_text())["measured"]["tiny"]["sides"]) == {"rows"}


def test_no_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_training.main([]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["gpu_training: there is no CUDA GPU here; --scenes tiny runs on a CPU"]
