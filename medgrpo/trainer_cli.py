"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI behind composed configs.

:mod:`medgrpo.compose` folds files and overrides; the typed parser of LightningCLI then checks every key and
type and builds the objects. Optimizers are constructor arguments of the modules, because the automatic ones
are built before ``configure_model`` has run, which is wrong for sharded strategies.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import DefaultHelpFormatter, Namespace
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from medgrpo import __version__
from medgrpo.commands import TRAINER_COMMANDS
from medgrpo.compose import compose, environment_overrides, split_arguments
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.modules.sharding import refuse_unserved
from medgrpo.modules.whole_checkpoints import WholeCheckpointIO
from medgrpo.parse_errors import useful_line
from medgrpo.services.files import write_whole

__all__ = ["RunConfigCallback", "TrainerCLI", "TrainerParser", "mask_secrets", "run_trainer"]

_SECRET = re.compile(
    r"(^|_)(api_?key|(access|auth|bearer|hf)_token|secret(_key)?|password|authorization)$", re.I
)

_GUIDE = """\
Files and keys:
  --config FILE may be repeated, later files win; configs/base.yaml is always read first.
  Any key is set as --a.b=value or --a.b value; --trainer.callbacks+=... appends to a list.
  ${a.b} in a file takes the value of another key; keys under paths: and vars: exist only for that.
  MEDGRPO_FIT__TRAINER__MAX_EPOCHS=3 in the environment sets a key that no file and no option sets.

Examples:
  medgrpo fit --config configs/sft.yaml --config configs/trainer/cpu.yaml --trainer.max_steps=100
  medgrpo fit --config configs/sft.yaml --print_config        the complete configuration, nothing is run
  medgrpo fit --config configs/sft.yaml --ckpt_path=last      continue an interrupted run
  medgrpo fit --model.help medgrpo.modules.SFTModule          the arguments of one class
"""


def run_trainer(command: str, argv: Sequence[str]) -> int:
    """Parse the arguments of a trainer command and run it.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        argv: What follows the command.
    """
    # Lightning's advertisement for a logger that uploads.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    with warnings.catch_warnings():
        # Lightning 2.6 calls what jsonargparse 5 will remove; the dependency is held below 5.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        # Left as None on purpose by Lightning's own examples of map-style loaders on one process.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        TrainerCLI(args=[command, *argv])
    return 0


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage()


def mask_secrets(node: Any, key: str = "") -> Any:
    """A copy of a configuration in which API keys, tokens and passwords are None.

    Names of environment variables (``api_key_env``) are not secrets and stay.
    """
    if isinstance(node, Namespace):
        return Namespace(**{name: mask_secrets(value, name) for name, value in vars(node).items()})
    if isinstance(node, dict):
        return {name: mask_secrets(value, str(name)) for name, value in node.items()}
    if isinstance(node, list):
        return [mask_secrets(value, key) for value in node]
    return None if isinstance(node, str) and _SECRET.search(key) else node


class TrainerParser(LightningArgumentParser):
    """LightningCLI's parser with one-line errors."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a :class:`UserError`; parsers that jsonargparse uses to try a type keep their own way."""
        if not self.exit_on_error:
            super().error(message, ex)
        trainer = (f"trainer.{name}" for name in inspect.signature(Trainer).parameters)
        raise UserError(
            useful_line(message, ["ckpt_path", "data", "model", "seed_everything", *trainer])
        ) from ex


class RunConfigCallback(SaveConfigCallback):
    """Writes the complete configuration beside the run: on resume again, and never a secret."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        """Take what LightningCLI gives; ``overwrite`` is always on, because a resumed run writes it again."""
        super().__init__(parser, config, **{**kwargs, "overwrite": True, "save_to_log_dir": False})

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``config.yaml`` into the run's folder, on the first process only."""
        folder = Path(trainer.default_root_dir)
        text = self.parser.dump(self.config, skip_none=False, skip_validation=True, format="yaml")
        masked = mask_secrets(yaml.safe_load(text))
        content = yaml.safe_dump(masked, sort_keys=False, allow_unicode=True)
        write_whole(folder / self.config_filename, content)


class TrainerCLI(LightningCLI):
    """LightningCLI with composed configs, any model and data class, and no automatic optimizers."""

    def __init__(self, args: list[str]) -> None:
        """Parse, build and run.

        Args:
            args: The subcommand and what follows it.
        """
        super().__init__(
            LightningModule,
            LightningDataModule,
            save_config_callback=RunConfigCallback,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=42,
            parser_class=TrainerParser,
            parser_kwargs={
                "prog": "medgrpo",
                "formatter_class": _Formatter,
                **{name: _subparser(name) for name in TRAINER_COMMANDS},
            },
            args=args,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Compose first, then hand one plain file to the typed parser."""
        command, *argv = args
        given = split_arguments(argv)
        if any(
            token in ("-h", "--help") or token.partition("=")[0].endswith(".help") for token in given.rest
        ):
            self.config = parser.parse_args([command, *given.rest])
            return
        if not given.files and not any(key.startswith("model") for key, _ in given.overrides):
            raise UserError(f"{command} needs --config FILE, for example --config configs/sft.yaml")
        composed = compose(
            given.files, given.overrides, defaults=environment_overrides(f"MEDGRPO_{command.upper()}")
        )
        # A file of mode 0600, because values may be secrets; the parser reads it at once and it is gone.
        descriptor, name = tempfile.mkstemp(prefix="medgrpo-", suffix=".yaml")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                yaml.safe_dump(composed, stream, sort_keys=False, allow_unicode=True)
            self.config = parser.parse_args([command, f"--config={name}", *given.rest])
        finally:
            Path(name).unlink()
        self.config[command].pop("config", None)

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; a value that a constructor refuses is the user's mistake.

        Raises:
            MissingExtraError: If the strategy is DeepSpeed's, which is not installed.
            UserError: If the strategy is not served, or a constructor refuses a value.
        """
        strategy = self._get(self.config, "trainer", default={}).get("strategy")
        strategy = getattr(strategy, "class_path", strategy)
        # Before Lightning finds out what the strategy lacks here.
        refuse_unserved(str(strategy))
        if "deepspeed" in str(strategy).lower() and find_spec("deepspeed") is None:
            raise MissingExtraError("deepspeed", "deepspeed")
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise UserError(str(error)) from error
        if hasattr(self.model, "settings"):
            self.model.settings = self._settings()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer; checkpoints that are one file appear whole or not at all."""
        trainer = super().instantiate_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()
        return trainer

    def _settings(self) -> str:
        """Hash of everything that model and data were told, and of the program's version."""
        text = self.parser.dump(self.config, skip_none=False, skip_validation=True, format="yaml")
        composed = yaml.safe_load(text)
        composed = composed.get(self.subcommand, composed)
        told = {name: composed[name] for name in ("model", "data", "seed_everything")}
        text = json.dumps([__version__, mask_secrets(told)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as it was given: the checkpoint's hyperparameters must not win over it."""

    def _dump_config(self) -> None:
        super()._dump_config()
        self.config_dump = mask_secrets(self.config_dump)


class _Formatter(DefaultHelpFormatter):
    """Keeps the line breaks of the guide."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def _subparser(command: str) -> dict[str, Any]:
    return {
        "usage": f"medgrpo {command} --config FILE [--config FILE ...] [--key.sub=VALUE ...]",
        "description": f"medgrpo {command}: {TRAINER_COMMANDS[command]}.\n\n{_GUIDE}",
    }
