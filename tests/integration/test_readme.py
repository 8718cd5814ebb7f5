"""Every command of the README runs, at a smoke size."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from medgrpo.demo.stages import base_model
from tests.integration.conftest import REPOSITORY, run_medgrpo

README = (REPOSITORY / "README.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.strip()
]
SMALL = {
    "configs/sft.yaml": ["--config", "configs/demo/sft.yaml", "--trainer.max_steps=2"],
    "configs/grpo.yaml": [
        *(
            "--config",
            "configs/demo/grpo.yaml",
            "--trainer.max_epochs=1",
            "--data.init_args.prompts_per_round=4",
        ),
        *("--model.init_args.max_new_tokens=8", "--model.init_args.replay_weight=0"),
    ],
}


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
        line = shlex.join(arguments)
        for name, place in places.items():
            line = line.replace(name, place)
        command = shlex.split(line)
        if command[0] == "synthesize" and "--layouts" in command:
            command += ["--videos", "1"]
        elif command[0] == "synthesize":
            command = ["synthesize", str(tmp_path / "world"), "--videos", "24", "--mp4", "1"]
        elif command[0] == "fit":
            command += [f"--paths.root={tmp_path / 'runs'}", "--data.init_args.sampling.max_frames=8"]
            command += next(extra for name, extra in SMALL.items() if name in arguments)
            if "--paths.run=built" in command:
                command += ["--data.init_args.clips_per_batch=2"]
        elif command[0] == "baseline":
            command += ["--prompts-per-pair", "2", "--samples", "2", "--max-new-tokens", "8"]
        elif command[0] == "evaluate" and "--model" in command:
            command += ["--max-new-tokens", "8"]
        done = run_medgrpo(*command)
        expected = 1 if "--validate" in command else 0  # drawn annotations have mistakes
        told = f"{shlex.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.returncode == expected, told
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
