"""Where a command takes clinicians' verdicts from: an option, or ``paths.verdicts`` of a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["verdicts_of"]

_STAND_INS = [(f"paths.{name}", "unused") for name in ("run", "model", "records", "statistics")]
_ASKED = "verdicts"


def verdicts_of(option: Path | None, configs: Sequence[str]) -> Path | None:
    """The file of verdicts that count; None if neither names one.

    Args:
        option: ``--verdicts``, which goes before any config.
        configs: YAML files, later over earlier.

    Raises:
        UserError: If a config cannot be read.
    """
    if option is not None or not configs:
        return option
    from medgrpo.compose import compose

    tree = compose(
        configs, [*_STAND_INS, (_ASKED, "${paths.verdicts}")], defaults=[("paths.verdicts", "null")]
    )
    return None if tree[_ASKED] is None else Path(tree[_ASKED])
