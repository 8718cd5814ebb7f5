"""Every command of the README runs, at a smoke size."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from medgrpo.demo.stages import base_model
from tests.integration.conftest import REPOSITORY
from tests.integration.small import run_small

README = (REPOSITORY / "README.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.strip()
]


def _medgrpo() -> list[list[str]]:
    return [shlex.split(line)[1:] for line in COMMANDS if line.startswith("medgrpo ")]


def test_the_readme_shows_no_other_program() -> None:
    programs = {"make", "medgrpo", ".venv/bin/python"}
    tree = re.compile(r"[\w. /]+(/| {2,}).*")
    outside = [line for line in COMMANDS if line.split()[0] not in programs and not tree.fullmatch(line)]
    assert outside == []
    assert len(_medgrpo()) >= 7


def test_make_has_the_targets_that_the_readme_names() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "demo", "smoke", "test", "lint", "bench", "docs"):
        assert f"make {target}" in listed


def test_one_step_after_the_other_on_a_small_world(
    smoke: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    root, _ = smoke
    places = {
        "MODEL": str(base_model()),
        "runs/sft": str(root / "sft"),  # a model that a test has trained already
        "statistics.json": str(tmp_path / "statistics.json"),
        "predictions.json": str(root / "predictions" / "sft.json"),
        "before.json --records": f"{root / 'predictions' / 'sft.json'} --records",
        "after.json --records": f"{root / 'predictions' / 'grpo.json'} --records",
        "scores/": f"{tmp_path / 'scores'}/",
        "scores.json": str(tmp_path / "scores.json"),
        "splits": str(tmp_path / "splits"),
        "--cache frames": f"--cache {tmp_path / 'frames'}",
        "verify frames": f"verify {tmp_path / 'frames'}",
        "defects.json": str(tmp_path / "defects.json"),
        "report.html": str(tmp_path / "report.html"),
        "submission.json": str(tmp_path / "submission.json"),
        "runs/grpo": str(tmp_path / "runs" / "grpo"),
        "exported": str(tmp_path / "exported"),
        "synthesize sources": f"synthesize {tmp_path / 'sources'}",
        "paths.sources=sources": f"paths.sources={tmp_path / 'sources'}",
        "paths.out=built": f"paths.out={tmp_path / 'built'}",
        "check built": f"check {tmp_path / 'built'}",
        "records=built": f"records={tmp_path / 'built'}",
        "world/": f"{root}/world/",
    }
    for arguments in _medgrpo():
        if arguments[0] != "ablate":  # tests/ablation/test_trained.py runs it
            run_small(arguments, places, tmp_path)
    assert (tmp_path / "exported" / "config.json").is_file()
    for name in ("scores/before.json", "splits/train.val.json", "report.html", "submission.json"):
        assert (tmp_path / name).stat().st_size > 0, name


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["fit", "--config", "configs/sft.yaml", "--paths.records=x.json"], "paths.model"),
        (["fit", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (
            ["baseline", "--config", "configs/sft.yaml", "--model", "m", "--records", "r", "--out", "o"],
            "reward",
        ),
        (["evaluate", "--model", "nowhere", "--records", "none.json", "--out", "s.json"], "none.json"),
        (["export", "nowhere.ckpt", "out"], "nowhere.ckpt"),
        (["demo", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["demo", "rounds=many"], "rounds"),
        (["demo", "round=3"], "round"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(
    command: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from medgrpo.cli import main

    if command[0] == "demo":
        command = [*command[:1], "--root", str(tmp_path), *command[1:]]
    assert main(command) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert named in lines[0]
