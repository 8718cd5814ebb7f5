"""The SLURM scripts run with a stand-in for ``srun``: one process, no signal, no real requeue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medgrpo.data.synthetic.writer import write_world
from medgrpo.demo.stages import base_model
from tests.docs.pages import ROOT

SRUN = """#!/bin/bash
echo "$@" >> srun.log
while [[ "$1" == -* ]]; do shift; done
exec "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to submit from, with ``srun`` on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text(SRUN)
    (tmp_path / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("SLURM_SUBMIT_DIR", str(tmp_path))
    return tmp_path


def submitted(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(ROOT / "scripts" / "slurm" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_requeued_job_goes_on_behind_its_last_checkpoint(cluster: Path) -> None:
    write_world(cluster / "world", videos=4, seed=0)
    job = [
        "--config",
        "configs/sft.yaml",
        "--config",
        "configs/demo/sft.yaml",
        f"--paths.model={base_model()}",
    ]
    job += ["--paths.records=world/train.json", "--paths.run=job", "--data.init_args.num_workers=0"]
    job += ["--trainer.callbacks.checkpoint.init_args.every_n_train_steps=1"]
    first = submitted("fit.sbatch", *job, "--trainer.max_steps=1")
    assert first.returncode == 0, first.stderr[-2000:]
    again = submitted("fit.sbatch", *job, "--trainer.max_steps=2")
    assert again.returncode == 0, again.stderr[-2000:]
    assert "Restored all states from the checkpoint" in again.stderr + again.stdout
    assert "max_steps: 2" in (cluster / "slurm-config-local.yaml").read_text()
    assert len((cluster / "srun.log").read_text().splitlines()) == 2


def test_a_mistake_ends_a_job_before_it_asks_for_gpus(cluster: Path) -> None:
    ended = submitted(
        "fit.sbatch", "--config", "configs/sft.yaml", "--paths.model=M", "--paths.record=r.json"
    )
    assert ended.returncode == 2
    assert "paths.records has no value" in ended.stderr
    assert not (cluster / "srun.log").exists()
    assert submitted("fit.sbatch").returncode == submitted("command.sbatch").returncode == 2


def test_any_other_command_runs_as_a_job(cluster: Path) -> None:
    ended = submitted("command.sbatch", "synthesize", "world", "--videos", "2")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (cluster / "world" / "train.json").is_file()
