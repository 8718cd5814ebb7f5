"""Settings of the ablations, read from YAML and checked by the constructor of their class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from medgrpo.errors import UserError

__all__ = ["read_typed"]

T = TypeVar("T")


def read_typed(kind: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """Build a class from a YAML file and ``key=value`` overrides.

    Raises:
        UserError: Naming the file and the key that is wrong.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from medgrpo.compose import compose
    from medgrpo.parse_errors import useful_line

    pairs = [(key, value) for key, _, value in (text.partition("=") for text in overrides)]
    tree: dict[str, Any] = compose([path], pairs, base=None)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    try:
        built: T = parser.instantiate(parser.parse_object({"settings": tree})).settings
    except (ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {useful_line(str(error)).replace('settings.', '')}") from error
    return built
