"""Links lead somewhere, examples run, commands parse, tables name what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from medgrpo.commands import COMMANDS, TRAINER_COMMANDS
from tests.integration.conftest import REPOSITORY

DOCS = sorted((REPOSITORY / "docs").glob("*.md"))
PAGES = [REPOSITORY / "README.md", *DOCS]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_and_pictures_resolve(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), target


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in DOCS:
        for block in re.findall(r"^```(?:bash)?\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.name, line.strip()) for line in lines if line.strip().startswith("medgrpo ")]
    return found


COMMAND_LINES = _commands()


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES, ids=[f"{p}: {c[:60]}" for p, c in COMMAND_LINES])
def test_commands_have_options_that_exist(page: str, line: str) -> None:
    """As far as can be told without the files that they name."""
    import argparse
    from importlib import import_module

    words = shlex.split(line, comments=True)[1:]
    assert words[0] in COMMANDS or words[0] in TRAINER_COMMANDS, words[0]
    for config in [words[k + 1] for k, word in enumerate(words[:-1]) if word in ("--config", "-c")]:
        if config.startswith("configs/"):
            assert (REPOSITORY / config).is_file(), config
    if words[0] in TRAINER_COMMANDS:
        return  # tests/integration/test_readme.py and test_presets.py run such
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(COMMANDS[words[0]]).add_arguments(parser)
    try:
        _, unknown = parser.parse_known_args(words[1:])
    except SystemExit:
        pytest.fail(f"{page}: {line}")
    assert not [word for word in unknown if word.startswith("--")], unknown


def _examples() -> list[tuple[str, str]]:
    text = (REPOSITORY / "docs" / "extending.md").read_text()
    parts = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return [
        (title, code)
        for title, part in parts
        for code in re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    ]


EXAMPLES = _examples()


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_an_example_of_extending_runs(title: str, code: str) -> None:
    assert "assert " in code
    exec(compile(code, f"extending.md: {title}", "exec"), {"__name__": "example"})


def test_the_examples_are_all_there() -> None:
    assert [title for title, _ in EXAMPLES] == ["A reward component", "A judge", "A task", "A dataset"]


def test_the_table_of_overlays_names_every_folder() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    named = set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    assert named == {path.name for path in (REPOSITORY / "configs").iterdir() if path.is_dir()}


def test_the_slurm_script_is_sound_and_its_config_parses() -> None:
    script = REPOSITORY / "scripts" / "slurm" / "grpo.sbatch"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    from medgrpo.compose import compose

    files = re.findall(r"--config (\S+)", script.read_text())
    paths = [(f"paths.{name}", "x") for name in ("model", "records", "statistics")]
    trainer = compose([REPOSITORY / name for name in files], paths)["trainer"]
    asked = dict(re.findall(r"#SBATCH --(nodes|ntasks-per-node)=(\d+)", script.read_text()))
    assert (trainer["num_nodes"], trainer["devices"]) == (int(asked["nodes"]), int(asked["ntasks-per-node"]))


def test_the_citation_is_valid_yaml_with_the_version() -> None:
    import medgrpo

    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == medgrpo.__version__
    assert citation["license"] == "Apache-2.0"
