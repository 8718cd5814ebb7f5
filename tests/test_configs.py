"""Every YAML file under configs/ composes and passes the typed parser; overlays do so on their entry."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from medgrpo import cli
from medgrpo.commands.judge_option import judge_option, parsed_judge
from medgrpo.rewards import ChatJudge, LexiconJudge, TransformersJudge

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
TRAINER_ENTRIES = ("sft", "grpo")

ENTRY_OF_FOLDER = {
    "ablation": "grpo",
    "advantage": "grpo",
    "alarm": "grpo",
    "judge": "grpo",
    "metrics": "grpo",
    "normalizer": "grpo",
    "objective": "grpo",
    "reward": "grpo",
    "rollout": "grpo",
}
"""Overlays of these folders refine one entry; a file whose name begins with an entry's refines that one; all
others refine every entry."""

OTHER_COMMANDS = {"baseline", "build"}
"""Folders read by other commands, which test their own files; so do files that set no key of a trainer."""

STAND_INS = {
    "paths.model": "base",
    "paths.records": "records.json",
    "paths.statistics": "statistics.json",
    "paths.val_records": "val.json",
}
"""Values for the variables that a user must give; parsing opens none of them."""


def cases() -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []
    entries = [name for name in TRAINER_ENTRIES if (CONFIGS / f"{name}.yaml").is_file()]
    for path in sorted(CONFIGS.rglob("*.yaml")):
        name = path.relative_to(CONFIGS)
        is_training = bool({"model", "data", "trainer"} & set(yaml.safe_load(path.read_text()) or {}))
        if name.parts[0] in OTHER_COMMANDS or name.name == "base.yaml" or not is_training:
            continue
        own = next((entry for entry in entries if path.stem.startswith(entry)), None)
        entry = own or ENTRY_OF_FOLDER.get(name.parts[0])
        for base in entries if entry is None else [entry]:
            files = (
                (f"{base}.yaml",) if name.as_posix() == f"{base}.yaml" else (f"{base}.yaml", name.as_posix())
            )
            found.append((f"{base}: {name}", files))
    return found


CASES = cases()


@pytest.mark.parametrize(("title", "files"), CASES, ids=[title for title, _ in CASES])
def test_config_composes_and_parses(
    title: str, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    for name in ("JUDGE_MODEL", "JUDGE_PATH"):
        monkeypatch.setenv(name, "some/model")
    arguments = [f"--config={CONFIGS / file}" for file in files]
    texts = "".join((CONFIGS / file).read_text() for file in files)
    variables = {key: value for key, value in STAND_INS.items() if f"${{{key}}}" in texts}
    arguments += [f"--{key}={value}" for key, value in variables.items()]
    try:
        status = cli.main(["fit", *arguments, "--print_config"])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 0, captured.err
    config = yaml.safe_load(captured.out)
    assert config["model"]["class_path"].startswith("medgrpo.modules.")
    assert isinstance(config["trainer"]["callbacks"], list)


JUDGES = sorted((CONFIGS / "judge").glob("*.yaml"))


@pytest.mark.parametrize("path", JUDGES, ids=[path.stem for path in JUDGES])
def test_judge_config_is_one_judge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "some/model")
    monkeypatch.setenv("JUDGE_PATH", "models/judge")
    monkeypatch.delenv("JUDGE_URL", raising=False)
    for key in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(key, "sk-secret-123")
    parser, tree = parsed_judge(str(path))
    judge = judge_option(f"configs/judge/{path.name}")
    assert isinstance(judge, LexiconJudge | ChatJudge | TransformersJudge)
    assert "sk-secret-123" not in parser.dump(tree)
    if path.stem.endswith("-official"):
        assert (judge.rubric.name, judge.form) == ("medvidbench-best5@1", "lines")
    remote = "allow_remote: true" in path.read_text()
    assert remote == path.stem.startswith(("gpt", "gemini"))
    if isinstance(judge, ChatJudge):
        assert judge.model == ("gpt-4.1" if path.stem.startswith("gpt") else "some/model")


def test_every_file_says_what_it_is() -> None:
    silent = [path.name for path in CONFIGS.rglob("*.yaml") if not path.read_text().startswith("# ")]
    assert silent == []
