"""The guide to configuration names every overlay, and says what a mistake says."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from medgrpo import cli
from medgrpo.compose import compose
from tests.docs.pages import ROOT, blocks
from tests.test_configs import STAND_INS

PAGE = ROOT / "docs" / "configuration.md"
ELSEWHERE = {"build", "demo", "ablation", "baseline"}
MISTAKES = re.findall(r"^\| `(medgrpo [^`]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)


def test_every_overlay_is_named() -> None:
    text = PAGE.read_text()
    files = [path.relative_to(ROOT) for path in sorted((ROOT / "configs").rglob("*.yaml"))]
    silent = [
        name.as_posix()
        for name in files
        if name.parts[1] not in ELSEWHERE and f"`{name.as_posix()}`" not in text
    ]
    assert silent == []
    assert all(f"`configs/{folder}/`" in text for folder in ELSEWHERE)


@pytest.mark.parametrize(("typed", "said"), MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_says_what_the_guide_says(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    monkeypatch.delenv("MEDGRPO_TRACEBACK", raising=False)
    monkeypatch.chdir(ROOT)
    paths = [f"--{key}={value}" for key, value in STAND_INS.items()]
    words = [path for word in shlex.split(typed)[1:] for path in (paths if word == "…" else [word])]
    assert cli.main(words) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("medgrpo: error: ")]
    assert line == f"medgrpo: error: {said}"


def test_there_are_mistakes() -> None:
    assert len(MISTAKES) >= 10


def test_the_swap_that_is_shown_composes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [text] = [block.text for block in blocks(PAGE) if block.language == "yaml"]
    overlay = tmp_path / "my.yaml"
    overlay.write_text(text)
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    paths = [f"--{key}={value}" for key, value in STAND_INS.items()]
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", "--config=configs/grpo.yaml", f"--config={overlay}", *paths, "--print_config"])
    assert stop.value.code == 0
    reward = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["reward"]["init_args"]
    assert reward["normalizer"]["class_path"] == "medgrpo.rewards.RankNormalizer"
    assert "k" not in (reward["normalizer"].get("init_args") or {})
    judge = reward["components"]["judge"]["init_args"]
    assert judge["judge"]["init_args"]["allow_hosts"] == ["judge.hospital"]
    assert judge["canaries"]["references"] == 4


def test_the_order_of_folding_is_the_one_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("paths: {run: x}\ntrainer: {max_steps: 2, log_every_n_steps: 2, max_epochs: 2}\n")
    two.write_text("trainer: {log_every_n_steps: 3, max_epochs: 3}\n")
    environment = [(f"trainer.{name}", "1") for name in ("min_steps", "max_steps")]
    trainer = compose([one, two], [("trainer.max_epochs", "4")], defaults=environment)["trainer"]
    found = [trainer[name] for name in ("min_steps", "max_steps", "log_every_n_steps", "max_epochs")]
    assert found == [1, 2, 3, 4]
    assert trainer["default_root_dir"] == "runs/x"
