"""What training leaves beside the rollout store: its configuration and its metrics; both may be absent."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from medgrpo.rollout.collapse import CollapseRules

__all__ = ["RunFiles", "read_run_files"]

_RULES = ("min_entropy", "min_parse_rate", "min_canary_auc", "max_reward_drop", "patience")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What is known of a run besides its answers.

    Attributes:
        planned: Rounds that it shall have; None if that is not known.
        metrics: Round to its logged metrics, by their names in the trainer's log.
        problems: Files that cannot be read, with the reason.
        limits: Arguments of the run's collapse alarm; empty if it has none.
    """

    planned: int | None = None
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)

    def rules(self) -> CollapseRules:
        """The alarm's own rules, with the limits that the run was started with."""
        return CollapseRules(**self.limits)


def read_run_files(store: Path, run: str) -> RunFiles:
    """Look where the configurations of this project put them.

    Args:
        store: Folder that holds ``rollouts/``.
        run: Run id.
    """
    folder = next(
        (f for f in (store / run, store) if (f / "config.yaml").is_file() or (f / "csv").is_dir()), None
    )
    if folder is None:
        return RunFiles()
    files = [folder / "config.yaml", *_logs(folder)]
    return _read(folder, tuple(version for file in files for version in _version(file)))


def _logs(folder: Path) -> list[Path]:
    """One a start of the run, the latest last."""
    found = folder.glob("csv/version_*/metrics.csv")
    return sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))


def _version(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=32)
def _read(folder: Path, versions: tuple[int, ...]) -> RunFiles:
    del versions  # the files are read again when they have changed
    problems: list[str] = []
    planned: int | None = None
    limits: dict[str, Any] = {}
    try:
        planned, limits = _settings(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
        CollapseRules(**limits)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        limits = {}
        problems.append(f"{folder / 'config.yaml'}: this is no configuration of a training run")
    metrics: dict[int, dict[str, float]] = {}
    for file in _logs(folder):
        try:
            for epoch, numbers in _rounds(file):
                metrics.setdefault(epoch, {}).update(numbers)  # a later start repeats rounds
        except (OSError, ValueError, csv.Error) as error:
            problems.append(f"{file}: cannot be read ({error})")
    return RunFiles(planned, metrics, tuple(problems), limits)


def _settings(config: Any) -> tuple[int | None, dict[str, Any]]:
    """Planned rounds, and what the collapse alarm was told."""
    if not isinstance(config, dict):
        raise ValueError("no mapping")
    trainer = config.get("trainer") or {}
    planned = trainer.get("max_epochs")
    callbacks = trainer.get("callbacks") or []
    for callback in callbacks.values() if isinstance(callbacks, dict) else callbacks:
        if callback and str(callback.get("class_path", "")).endswith(".CollapseAlarm"):
            given = callback.get("init_args") or {}
            return planned, {name: given[name] for name in _RULES if name in given}
    return planned, {}


def _rounds(file: Path) -> list[tuple[int, dict[str, float]]]:
    found = []
    with file.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            epoch = row.pop("epoch", "")
            numbers = {name: float(text) for name, text in row.items() if name and text}
            if epoch:
                found.append(
                    (int(epoch), {name: value for name, value in numbers.items() if math.isfinite(value)})
                )
    return found
