"""The ``lightning`` console script: ``lightning run`` starts medgrpo, the rest goes to lightning-sdk.

``lightning run [model] [options] -m medgrpo fit ...``, ``lightning run [options] medgrpo fit ...`` and
``lightning run [model] [options] medgrpo/__main__.py fit ...`` are ``medgrpo fit ...`` with the launcher's
options turned into trainer options, which Lightning's own launcher then acts on.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Sequence

from medgrpo.cli import guarded
from medgrpo.cli import main as medgrpo_main
from medgrpo.commands import TRAINER_COMMANDS
from medgrpo.errors import UserError

__all__ = ["main", "translate"]

_TRAINER_OPTIONS = {
    "--accelerator": "accelerator",
    "--devices": "devices",
    "--num-nodes": "num_nodes",
    "--precision": "precision",
    "--strategy": "strategy",
}
_ENVIRONMENT_OPTIONS = {
    "--main-address": "MASTER_ADDR",
    "--main-port": "MASTER_PORT",
    "--node-rank": "NODE_RANK",
}

_HELP = """\
usage: lightning run [model] [options] -m medgrpo COMMAND [arguments]
       lightning run [model] [options] medgrpo COMMAND [arguments]

Options, passed on to Lightning's trainer: --accelerator A --devices N --num-nodes N --strategy S
--precision P; on several machines also --node-rank R --main-address HOST --main-port PORT.
See medgrpo --help for the commands. Every other `lightning` command needs the lightning-sdk package.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lightning`` with the given arguments, by default those of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] != ["run"]:
        return guarded(lambda: _delegate(arguments))
    if arguments[1:] in ([], ["-h"], ["--help"], ["model"], ["model", "--help"]):
        sys.stdout.write(_HELP)
        return 0
    return guarded(lambda: _run(arguments))


def translate(argv: Sequence[str]) -> tuple[list[str], dict[str, str]] | None:
    """Turn what follows ``lightning run`` into medgrpo's arguments and the launcher's environment.

    Args:
        argv: E.g. ``["model", "--devices=2", "-m", "medgrpo", "fit", "--config", "x.yaml"]``.

    Returns:
        Arguments and environment variables; None where the program to run is not medgrpo.

    Raises:
        UserError: An option before the program has no value, or goes with no trainer command.
    """
    tokens = list(argv)
    if tokens[:1] == ["model"]:
        tokens.pop(0)
    trainer: list[str] = []
    environment: dict[str, str] = {}
    while tokens and tokens[0].startswith("--"):
        name, equals, value = tokens.pop(0).partition("=")
        name = name.replace("_", "-")
        if name not in _TRAINER_OPTIONS and name not in _ENVIRONMENT_OPTIONS:
            return None
        if not equals:
            if not tokens:
                raise UserError(f"lightning run {name} needs a value")
            value = tokens.pop(0)
        if name in _TRAINER_OPTIONS:
            trainer.append(f"--trainer.{_TRAINER_OPTIONS[name]}={value}")
        else:
            environment[_ENVIRONMENT_OPTIONS[name]] = value
    if tokens[:1] == ["-m"]:
        tokens.pop(0)
    if not tokens or not _is_medgrpo(tokens.pop(0)):
        return None
    if (trainer or environment) and tokens[:1] not in ([name] for name in TRAINER_COMMANDS):
        raise UserError(
            f"lightning run: {' '.join(TRAINER_COMMANDS)} take launcher options, no other command"
        )
    # Directly after the command, so that the user's own --trainer options, which follow, win.
    return [*tokens[:1], *trainer, *tokens[1:]], environment


def _is_medgrpo(program: str) -> bool:
    return program == "medgrpo" or program.replace("\\", "/").endswith("medgrpo/__main__.py")


def _run(arguments: list[str]) -> int:
    translated = translate(arguments[1:])
    if translated is None:
        return _delegate(arguments)
    command, environment = translated
    os.environ.update(environment)
    return medgrpo_main(command)


def _delegate(arguments: list[str]) -> int:
    """Hand the arguments to the ``lightning`` script that lightning-sdk declares."""
    try:
        distribution = importlib.metadata.distribution("lightning-sdk")
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"`lightning {' '.join(arguments[:1])}` needs lightning-sdk (pip install lightning-sdk); "
            "medgrpo itself provides `lightning run [model] -m medgrpo COMMAND`"
        ) from error
    for entry in distribution.entry_points:
        if entry.group == "console_scripts" and entry.name == "lightning":
            sys.argv = ["lightning", *arguments]
            return int(entry.load()() or 0)
    raise UserError("the installed lightning-sdk has no `lightning` command; update it")


if __name__ == "__main__":
    sys.exit(main())
