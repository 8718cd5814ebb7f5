"""What a training config says about data, for commands that need no model and no records from it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.data.sampling import SamplingPolicy

__all__ = ["add_config_option", "data_arguments", "sampling_of"]

UNUSED = ("model", "records", "statistics", "val_records", "replay_records")
"""Values under ``paths`` that configs leave to the command line of training."""


def add_config_option(parser: argparse.ArgumentParser, required: bool, what: str) -> None:
    """Declare ``--config``."""
    parser.add_argument(
        "--config",
        "-c",
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help=f"config of fit, whose {what}; may be given several times, as for fit",
    )


def data_arguments(configs: Sequence[str]) -> dict[str, Any]:
    """The arguments of the DataModule of composed configs.

    Raises:
        UserError: If a file is wrong or there is no DataModule with arguments in them.
    """
    from medgrpo.compose import compose

    tree = compose(configs, [(f"paths.{name}", "unused") for name in UNUSED])
    data = tree.get("data")
    arguments = data.get("init_args") if isinstance(data, dict) else None
    if not isinstance(arguments, dict):
        raise UserError(f"{', '.join(configs)}: no data.init_args; is it a config of fit?")
    return arguments


def sampling_of(configs: Sequence[str], changes: Mapping[str, Any] | None = None) -> SamplingPolicy:
    """The sampling policy of composed configs, or the default one where there are none.

    Args:
        configs: Config files.
        changes: Constants to set over them.

    Raises:
        UserError: If they hold none, or its constants are wrong.
    """
    from medgrpo.data.sampling import SamplingPolicy

    constants: dict[str, Any] = {}
    if configs:
        told = data_arguments(configs).get("sampling")
        if not isinstance(told, dict):
            raise UserError(f"{', '.join(configs)}: no data.init_args.sampling")
        constants |= told.get("init_args", told) if "class_path" in told else told
    constants |= changes or {}
    names = [field.name for field in dataclasses.fields(SamplingPolicy)]
    for name in constants:
        if name not in names:
            raise UserError(f"sampling has no constant {name!r}; it has: {', '.join(names)}")
    try:
        return SamplingPolicy(**constants)
    except TypeError as error:
        raise UserError(f"sampling: a constant is not a number: {error}") from error
