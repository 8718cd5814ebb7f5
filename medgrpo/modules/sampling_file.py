"""The sampling policy travels with the exported model, so that evaluation sees the frames training saw."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

__all__ = ["FILE_NAME", "read_sampling", "write_sampling"]

FILE_NAME = "medgrpo_sampling.json"


def write_sampling(directory: str | Path, sampling: SamplingPolicy) -> None:
    """Store a policy beside the weights."""
    text = json.dumps(dataclasses.asdict(sampling), indent=2)
    (Path(directory) / FILE_NAME).write_text(text + "\n")


def read_sampling(directory: str | Path) -> SamplingPolicy:
    """Read the policy of a model directory; a released checkpoint without one gets the defaults.

    Raises:
        UserError: If the file is there and is not a sampling policy.
    """
    path = Path(directory) / FILE_NAME
    if not path.is_file():
        return SamplingPolicy(factor=_factor(Path(directory)))
    try:
        return SamplingPolicy(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not a sampling policy: {error}") from error


def _factor(directory: Path) -> int:
    """Patch times merge of the model, which sizes are rounded to."""
    path = directory / "config.json"
    if not path.is_file():
        raise UserError(f"{directory} is not a model directory (no config.json in it)")
    vision = json.loads(path.read_text()).get("vision_config", {})
    return int(vision.get("patch_size", 14)) * int(vision.get("spatial_merge_size", 2))
