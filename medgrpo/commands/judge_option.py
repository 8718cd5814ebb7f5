"""The judge that ``--judge`` names: one of ours by name, or any from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.rewards.judges import Judge

__all__ = ["judge_option", "parsed_judge"]


def judge_option(value: str | None) -> Any:
    """Build a judge.

    Args:
        value: A name, or the path of a YAML file with ``class_path`` and ``init_args``; ``configs/...`` also
            finds the shipped files. None for no judge.

    Raises:
        UserError: If there is none of that name, or the file describes none.
    """
    if value is None:
        return None
    if Path(value).suffix not in (".yaml", ".yml"):
        from medgrpo.evaluation.judging import named_judge

        return named_judge(value)
    parser, tree = parsed_judge(value)
    try:
        judge: Judge = parser.instantiate(tree).judge
    except (TypeError, ValueError) as error:
        raise UserError(f"{value}: {error}") from error
    return judge


def parsed_judge(path: str) -> tuple[Any, Any]:
    """A typed parser and what it makes of a judge's file; nothing is built.

    Raises:
        UserError: Naming the file and the key that is wrong.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from medgrpo.compose import compose
    from medgrpo.parse_errors import useful_line
    from medgrpo.rewards.judges import Judge

    try:
        tree = compose([path], base=None)
    except UserError as error:
        raise error if path in str(error) else UserError(f"{path}: {error}") from error
    if not isinstance(tree.get("class_path"), str) or not set(tree) <= {"class_path", "init_args"}:
        raise UserError(f"{path}: a judge needs class_path, and init_args if any, at the top level")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--judge", type=Judge)
    try:
        return parser, parser.parse_object({"judge": tree})
    except ArgumentError as error:
        line = useful_line(str(error)).replace("judge.init_args", "init_args")
        raise UserError(f"{path}: {line}") from error
