"""The argument of every command that reads several score files: which ones, and what they are called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.evaluation import Scores

__all__ = ["add_score_files", "named_scores"]


def add_score_files(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument(
        "scores",
        type=Path,
        nargs="+",
        metavar="[NAME=]SCORES",
        help="score files; differences are to the first",
    )


def named_scores(arguments: list[Path]) -> dict[str, Scores]:
    """Score files by name: ``NAME=FILE``, or the file's stem, with its folder where stems collide.

    Raises:
        UserError: If a file cannot be read or a name is used twice.
    """
    from medgrpo.evaluation import read_scores

    split = [str(argument).partition("=") for argument in arguments]
    pairs = [(name, Path(file)) if mark else ("", Path(name)) for name, mark, file in split]
    stems = [file.stem for _, file in pairs]
    sets: dict[str, Scores] = {}
    for given, file in pairs:
        name = given or (file.stem if stems.count(file.stem) == 1 else f"{file.parent.name}/{file.stem}")
        if name in sets:
            raise UserError(f"two score files are called {name!r}; name them: NAME={file}")
        sets[name] = read_scores(file)
    return sets
