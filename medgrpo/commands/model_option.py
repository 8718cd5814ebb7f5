"""The model that ``--model`` names: a directory, or a YAML file of one behind a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.evaluation.api_model import ApiModel

__all__ = ["api_model", "is_api_model"]


def is_api_model(model: Path) -> bool:
    """Whether it is a YAML file and not a directory."""
    return model.suffix in (".yaml", ".yml")


def api_model(path: Path) -> ApiModel:
    """Build a model behind a server.

    Args:
        path: YAML with ``class_path`` and ``init_args``, as in ``configs/baseline``.

    Raises:
        UserError: Naming the file and the key that is wrong.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from medgrpo.compose import compose
    from medgrpo.evaluation.api_model import ApiModel
    from medgrpo.parse_errors import useful_line

    node: dict[str, Any] = compose([path], base=None)
    if set(node) - {"class_path", "init_args"} or not isinstance(node.get("class_path"), str):
        raise UserError(f"{path}: a model behind a server has class_path and init_args, and nothing else")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=ApiModel)
    try:
        built: ApiModel = parser.instantiate(parser.parse_object({"model": node})).model
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (ArgumentError, TypeError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        line = useful_line(str(error)).replace("model.init_args", "init_args")
        raise UserError(f"{path}: {line if cause is None else cause}") from error
    return built
