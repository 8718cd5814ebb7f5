"""The judge that ``--judge`` names: one of ours by name, or any from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.rewards.judges import Judge

__all__ = ["judge_option", "parsed_judge"]

_PLACE = ("model", "init_args", "reward", "init_args", "components", "judge", "init_args", "judge")
"""Where a training config has its judge."""


def judge_option(value: str | None) -> Any:
    """Build a judge.

    Args:
        value: A name, or the path of a YAML file: an overlay on a training config, as in ``configs/judge``,
            or ``class_path`` and ``init_args`` alone; ``configs/...`` also finds the shipped files. None for
            no judge.

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

    from medgrpo.parse_errors import useful_line
    from medgrpo.rewards.judges import Judge

    tree = _judge_of(path)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--judge", type=Judge)
    try:
        return parser, parser.parse_object({"judge": tree})
    except ArgumentError as error:
        line = useful_line(str(error)).replace("judge.init_args", "init_args")
        raise UserError(f"{path}: {line}") from error


def _judge_of(path: str) -> dict[str, Any]:
    """The node of the judge in its file: an overlay on a training config, or the judge alone."""
    from medgrpo.compose import compose

    run = [("paths.run", "judge")]  # a training run has a name; its judge needs none
    try:
        tree = compose([path], defaults=run)
    except UserError as error:
        raise error if path in str(error) else UserError(f"{path}: {error}") from error
    node: Any = tree
    if "model" in tree:
        for key in _PLACE:
            node = node.get(key) if isinstance(node, dict) else None
    else:
        node = {key: value for key, value in tree.items() if key not in compose([], defaults=run)}
    if not isinstance(node, dict) or not isinstance(node.get("class_path"), str):
        raise UserError(
            f"{path}: a judge needs class_path, and init_args if any, at the top level or under "
            f"{'.'.join(_PLACE)}"
        )
    if unknown := sorted(set(node) - {"class_path", "init_args"}):
        raise UserError(f"{path}: a judge has class_path and init_args, not {', '.join(unknown)}")
    return node
