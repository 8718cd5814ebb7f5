"""The measurement for GPUs, run at a tiny size where there may be none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_training


def test_the_same_code_runs_at_a_tiny_size(tmp_path: Path) -> None:
    out = tmp_path / "gpu_training.json"
    options = ["--size", "tiny", "--group", "4", "--runs", "1", "--tflops", "1", "--out", str(out)]
    assert gpu_training.main(options) == 0
    told = json.loads(out.read_text())
    for side in ("packed", "rows", "generation"):
        assert told["measured"][side]["tokens_per_second"] > 0
        assert 0 < told["measured"][side]["mfu"] < 1
    assert told["measured"]["packed"]["hfu"] > told["measured"]["packed"]["mfu"]
    assert told["measured"]["packed"]["planned_gb"] < told["measured"]["rows"]["planned_gb"]
    assert len(told["results"]) == 7


def test_no_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_training.main([]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["gpu_training: there is no CUDA GPU here; --size tiny runs on a CPU"]
