"""Every command of the quickstart runs, one after the other, at a smoke size."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from medgrpo.demo.commands import base_model
from tests.integration.conftest import REPOSITORY
from tests.integration.small import run_small

TEXT = (REPOSITORY / "docs" / "quickstart.md").read_text()


@pytest.mark.slow
def test_from_records_to_a_compared_model(
    smoke: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    root, _ = smoke
    places = {
        "MODEL": str(base_model()),
        "--out-dir world": f"--out-dir {root}/world",
        "statistics.json": str(tmp_path / "statistics.json"),
        "runs/": f"{tmp_path / 'runs'}/",
        "before.json": str(tmp_path / "before.json"),
        "after.json": str(tmp_path / "after.json"),
        "world/": f"{root}/world/",
    }
    blocks = re.findall(r"^```\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("medgrpo ")]
    assert len(lines) == 8
    for line in lines:
        run_small(shlex.split(line)[1:], places, tmp_path)
    assert (tmp_path / "runs" / "grpo" / "hf" / "config.json").is_file()
    assert (tmp_path / "after.json").stat().st_size > 0
