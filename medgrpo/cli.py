"""The program: ``medgrpo COMMAND ...``, the same as ``python -m medgrpo COMMAND ...``.

``fit``, ``validate``, ``test`` and ``predict`` are Lightning's, with composed configs; the other commands
are modules of :mod:`medgrpo.commands`. Nothing heavy is imported until a command is chosen. A user's
mistake is one line on stderr and exit status 2; an interruption is one line and 130, SIGTERM one line and
143; anything else keeps its traceback.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import errno
import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from medgrpo import __version__
from medgrpo.commands import COMMANDS, TRAINER_COMMANDS
from medgrpo.errors import UserError

__all__ = ["guarded", "main"]

_ENVIRONMENT = {
    # More threads than one were 10-20 times slower where several processes share few cores.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Nothing leaves the machine unasked.
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
}

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_FILE_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Command and its arguments; by default those of the process.

    Returns:
        The exit status: 0 on success, 2 for a user's mistake, 130 when interrupted, 143 after SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(arguments))


def guarded(call: Callable[[], int]) -> int:
    """Call a command and turn a user's mistake into one line on stderr and status 2.

    Set ``MEDGRPO_TRACEBACK=1`` to see tracebacks all the same.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        return call()
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as stop:
        # Lightning turns Ctrl+C into exit status 1 after a graceful shutdown.
        if isinstance(stop.__context__, KeyboardInterrupt):
            return _interrupted()
        if type(stop).__name__ == "SIGTERMException":  # Lightning's, with no exit status of its own
            return _terminated()
        raise
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; point stdout away so that the exit flush is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        message = _mistake(error)
        if message is None or os.environ.get("MEDGRPO_TRACEBACK") == "1":
            raise
        print(f"medgrpo: error: {message}", file=sys.stderr)
        return 2


def _interrupted() -> int:
    print("medgrpo: interrupted", file=sys.stderr)
    return 130


def _terminated() -> int:
    # One process of a node speaks for all. Lightning kills it at once if another one has failed before it.
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return 0
    print("medgrpo: stopped by SIGTERM; the same command with --ckpt_path=last continues", file=sys.stderr)
    return 128 + signal.SIGTERM


def _mistake(error: Exception) -> str | None:
    """What to tell the user, or None for a defect of ours."""
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, UserError):
            return " ".join(str(link).split())
    for link in chain:
        is_full = isinstance(link, OSError) and link.errno in _DISK_FULL
        if is_full or "No space left on device" in str(link):
            where = f" while writing {link.filename}" if isinstance(link, OSError) and link.filename else ""
            return f"no space left on the disk{where}; free some or write elsewhere with --paths.root=DIR"
    if isinstance(error, _FILE_ERRORS):
        return f"{error.strerror}: {error.filename}" if error.filename else " ".join(str(error).split())
    if type(error).__name__ == "MisconfigurationException":
        return " ".join(str(error).split())
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0
    if argv[0] == "--version":
        sys.stdout.write(f"medgrpo {__version__}\n")
        return 0
    command, rest = argv[0], argv[1:]
    if command in TRAINER_COMMANDS:
        from medgrpo.trainer_cli import run_trainer

        return run_trainer(command, rest)
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, [*TRAINER_COMMANDS, *COMMANDS], n=1)
        hint = f"did you mean {near[0]}?" if near else "see medgrpo --help for the commands"
        raise UserError(f"unknown command {command!r}; {hint}")
    module = importlib.import_module(COMMANDS[command])
    parser = _Parser(
        prog=f"medgrpo {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(rest)))


def _overview() -> str:
    width = max(map(len, [*TRAINER_COMMANDS, *COMMANDS])) + 2
    training = [f"  {name:<{width}}{text}" for name, text in TRAINER_COMMANDS.items()]
    others = [f"  {name:<{width}}{_summary(module)}" for name, module in COMMANDS.items()]
    return "\n".join(
        [
            "usage: medgrpo COMMAND [arguments]",
            "",
            "Training, evaluation and inspection of vision-language models on medical video.",
            "",
            "Training with Lightning (configs are YAML files; any key can be set as --key.sub=value):",
            *training,
            "",
            "Other commands:",
            *others,
            "",
            "Start with:",
            "  medgrpo demo             the whole journey on this machine, offline",
            "  medgrpo fit --help       what a training run can be told",
            "  medgrpo COMMAND --help   the arguments of one command",
            "",
        ]
    )


def _summary(module: str) -> str:
    """First line of a command module's docstring, read without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the command module {module} is missing from this installation")
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")
