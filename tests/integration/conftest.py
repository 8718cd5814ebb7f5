"""One run of the smoke demo for all integration tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run_medgrpo(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run ``python -m medgrpo`` as a user would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "medgrpo", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo's folder at its smoke size, and how the command ended."""
    root = tmp_path_factory.mktemp("smoke") / "demo"
    return root, run_medgrpo("demo", "--config", "configs/demo/smoke.yaml", "--root", str(root))
