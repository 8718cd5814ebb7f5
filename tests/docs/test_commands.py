"""Every command, option, file and name in the documents is one that there is; nothing is run."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medgrpo.commands import COMMANDS, TRAINER_COMMANDS
from tests.docs.pages import FOREIGN, PAGES, ROOT, Command, commands
from tests.test_configs import STAND_INS

ALL = [command for page in PAGES for command in commands(page)]
SAID = sorted({command.words: command for command in ALL}.values(), key=str)
MAINS = {
    "medgrpo": "medgrpo.cli",
    "app": "app.__main__",
    "app.users": "app.users",
    "app.screenshots": "app.screenshots",
    "benchmarks": "benchmarks.__main__",
}
FILE = re.compile(
    r"(?<![\w/.<{-])(?:app|benchmarks|configs|docs|medgrpo|scripts|tests)/[\w./-]*\w\.(?:py|yaml|sh|sbatch|json|md)"
)
NAME = re.compile(r"`((?:medgrpo|app)(?:\.\w+)+)`")


class _Parsed(BaseException):
    """The arguments were read, and nothing has begun."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs stop behind their parser."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", ["medgrpo"])
    for name in ("JUDGE_MODEL", "JUDGE_PATH"):
        monkeypatch.setenv(name, "some/model")


def check(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Parse one command line, by the program's own parser."""
    program, *rest = words
    if program in ("srun", "torchrun"):
        if program == "torchrun":
            from torch.distributed.run import get_args_parser

            known, rest = _before_module(rest)
            with pytest.raises(_Parsed):
                get_args_parser().parse_args([*known, "-m", rest[0]])
            rest = ["python", "-m", *rest]
        while rest[0].startswith("-"):
            rest.pop(0)
        check(rest, capsys)
    elif program.endswith("python"):
        if rest[0] == "-m":
            _run_main(rest[1], rest[2:], capsys)
        else:
            assert (ROOT / rest[0]).is_file(), rest[0]
    elif program == "make":
        targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines()}
        assert {word for word in rest if "=" not in word} <= targets
    elif program == "sbatch":
        assert (ROOT / next(word for word in rest if word.endswith(".sbatch"))).is_file()
    elif program == "lightning":
        from medgrpo.lightning_run import translate

        translated = translate(rest[1:])
        assert translated is not None
        check(["medgrpo", *translated[0]], capsys)
    else:
        _run_main(program, rest, capsys)


def _before_module(words: list[str]) -> tuple[list[str], list[str]]:
    # A shell variable stands for a number or an address.
    plain = [re.sub(r"\$\{?\w+\}?", "1", word) for word in words]
    at = plain.index("-m")
    return plain[:at], plain[at + 1 :]


def _run_main(module: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if module.startswith("benchmarks."):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        return
    main = importlib.import_module(MAINS[module]).main
    trains = module == "medgrpo" and arguments[0] in TRAINER_COMMANDS
    if trains and not any(word.partition("=")[0].endswith((".help", "--help")) for word in arguments):
        arguments = [*arguments, *_stand_ins(arguments), "--print_config"]
    try:
        status = main(arguments)
    except _Parsed:
        return
    except SystemExit as stop:
        status = stop.code
    assert trains, f"{module} took no arguments"
    assert status == 0, capsys.readouterr().err


def _stand_ins(arguments: list[str]) -> list[str]:
    """Values for what a shortened command leaves out."""
    files = [
        after if word == "--config" else word.partition("=")[2]
        for word, after in zip(arguments, [*arguments[1:], ""], strict=True)
        if word.partition("=")[0] == "--config"
    ]
    texts = "".join((ROOT / file).read_text() for file in files if (ROOT / file).is_file())
    wanted = {key: value for key, value in STAND_INS.items() if f"{key.partition('.')[2]}: ???" in texts}
    given = {word.partition("=")[0].removeprefix("--") for word in arguments}
    return [f"--{key}={value}" for key, value in wanted.items() if key not in given]


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize("command", [c for c in SAID if c.words[0] not in FOREIGN], ids=str)
def test_a_command_parses(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    check(list(command.words), capsys)


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize(
    "words",
    [
        ["medgrpo", "evaluate", "--record", "r.json", "--colour", "red"],
        ["medgrpo", "fit", "--config", "configs/grpo.yaml", "--model.init_args.group_sise=8"],
        ["torchrun", "--processes", "8", "-m", "medgrpo", "fit", "--config", "configs/grpo.yaml"],
        ["torchrun", "--nproc-per-node", "8", "-m", "medgrpo", "fit", "--config", "configs/nowhere.yaml"],
        ["python", "-m", "app", "--run"],
        ["make", "coffee"],
    ],
)
def test_a_wrong_command_would_be_found(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        check(words, capsys)


def test_documents_show_commands_of_every_kind() -> None:
    assert {word for command in ALL if command.words[0] == "medgrpo" for word in command.words[1:2]} >= {
        *("fit", "baseline", "evaluate", "compare", "submit", "build", "check", "split", "plan", "trust"),
    }
    assert {command.words[0] for command in ALL} >= {"torchrun", "make", "python"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_named_in_a_sentence_exist(page: Path) -> None:
    text = page.read_text().partition("\n## Mistakes")[0]  # test_configuration.py types the mistakes
    for span in re.findall(r"`medgrpo ([^`]+)`", text):
        name, *words = span.split()
        assert name in {*COMMANDS, *TRAINER_COMMANDS, "COMMAND", "--help"}, span
        if name not in COMMANDS or name == "cache":
            continue
        parser = argparse.ArgumentParser()
        importlib.import_module(COMMANDS[name]).add_arguments(parser)
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= set(parser._option_string_actions) | {"--help"}, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_in_the_text_exist(page: Path) -> None:
    text = page.read_text()
    made_by_the_reader = set(re.findall(r"^```\w+\n# ([\w/]+\.\w+)$", text, re.MULTILINE))
    missing = {name for name in FILE.findall(text) if not (ROOT / name).is_file()} - made_by_the_reader
    assert missing == set()
    for name in NAME.findall(text):
        parts = name.split(".")
        for size in range(len(parts), 0, -1):
            try:
                found: Any = importlib.import_module(".".join(parts[:size]))
            except ModuleNotFoundError:
                continue
            for part in parts[size:]:
                found = getattr(found, part)
            break


SCRIPTS = sorted((ROOT / "scripts").rglob("*.s[hb]*"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shell_scripts_are_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
