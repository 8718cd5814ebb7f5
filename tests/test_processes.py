"""Every way to start two processes: plain, torchrun, fabric run and lightning run, on the CPU with gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import TOY

ROOT = Path(__file__).resolve().parents[1]

STARTS = {
    "python": [sys.executable, "-m", "medgrpo", "fit"],
    "torchrun": [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv-backend=c10d"),
        *("--rdzv-endpoint=127.0.0.1:0", "-m", "medgrpo", "fit"),
    ],
    "fabric run": [
        *(
            sys.executable,
            "-c",
            "from lightning.fabric.cli import _main; _main()",
            "run",
            "--accelerator=cpu",
        ),
        *("--devices=2", "medgrpo/__main__.py", "fit"),
    ],
    "lightning run": [
        *(sys.executable, "-m", "medgrpo.lightning_run", "run", "model", "--devices=2", "--strategy=ddp"),
        *("-m", "medgrpo", "fit"),
    ],
}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    names = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("start", STARTS)
def test_two_processes_train_together(start: str, tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(TOY)
    arguments = [f"--config={config}", f"--paths.root={tmp_path}/runs", f"--model.ranks_to={tmp_path}"]
    more = ["--trainer.devices=2", "--trainer.strategy=ddp"] if start != "lightning run" else []
    done = run([*STARTS[start], *arguments, *more], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == ["rank-0-of-2", "rank-1-of-2"]
    assert (tmp_path / "runs" / "toy" / "config.yaml").is_file()


def test_a_mistake_in_a_process_of_its_own_is_one_line(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "medgrpo", "fit", "--config=none.yaml"], tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["medgrpo: error: config file none.yaml does not exist"]


def test_the_overview_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from medgrpo.cli import main; main(['--help']);"
        "print(sorted({'torch', 'lightning', 'transformers', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.stderr.strip() == "[]"
