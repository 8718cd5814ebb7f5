"""What the pages say, without a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.index import RolloutIndex
from app.show.words import component_words, task_words
from app.training.watch import Watch
from medgrpo.tasks import TASKS
from tests.app.test_html import Reader

ROOT = Path(__file__).parents[2]


def text_of(markup: str) -> str:
    return " ".join("".join(text for _, text in Reader(markup).texts).split())


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    watch = Watch(RolloutIndex(tmp_path))
    assert "No answers to look at yet" in watch.status(None)
    assert "make demo" in watch.status(None)
    bad = tmp_path / "rollouts" / "run=r" / "step=000000" / "rank=000-00.parquet"
    bad.parent.mkdir(parents=True)
    bad.write_text("foreign")
    watch.refresh()
    assert "One file could not be read" in text_of(watch.status(None))


def test_every_task_and_metric_has_plain_words() -> None:
    for name, task in TASKS.items():
        assert task_words(name)[0].isupper()
        assert "_" not in task_words(name)
        assert "_" not in component_words("some_part", task.metric or "")


def test_a_wrong_folder_is_one_line_and_status_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "--runs", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no such folder" in done.stderr


@pytest.mark.parametrize("package", ["gradio", "duckdb"])
def test_a_missing_package_names_the_extra(tmp_path: Path, package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; from app.__main__ import main; "
        f"sys.exit(main(['--runs', {str(tmp_path)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {package} is not installed; install it with: pip install 'medgrpo[app]'\n"
