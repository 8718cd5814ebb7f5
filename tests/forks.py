"""Processes for tests: forks of one that has imported the heavy packages and has done nothing else.

Importing them takes ten times as long as most of what tests do in a process of its own. How a user's own
commands start is tested in ``tests/test_processes.py``.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Ended", "run", "run_medgrpo"]

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ["medgrpo.trainer_cli", "tests.modules.sharded_scene", "tests.modules.sft_scene"]
DISTRIBUTED = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK")


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status (negative: the signal), and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(
    call: Callable[..., int | None], *arguments: Any, ranks: int = 1, seconds: float = 300
) -> list[Ended]:
    """Call a function of a module in new processes, and wait for all of them.

    Args:
        call: Its result is the exit status; None is 0.
        *arguments: Of the call, the same in every process.
        ranks: Processes, which find each other as Lightning's do.
        seconds: After which those that are left are killed.

    Returns:
        One entry a rank.
    """
    context = _context()
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(ranks)]
        processes = [
            context.Process(target=_child, args=(folder, place, call, arguments))
            for folder, place in zip(folders, _places(ranks), strict=True)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(seconds)
        late = [process.pid for process in processes if process.is_alive()]
        for process in processes:
            process.kill()
            process.join()
        told = [[(folder / name).read_text() for name in ("1", "2")] for folder in folders]
        assert not late, f"still alive: {late}\n{told}"
        return [Ended(p.exitcode, *texts) for p, texts in zip(processes, told, strict=True)]


def run_medgrpo(*arguments: str, ranks: int = 1) -> list[Ended]:
    """Run the program's command on these arguments; see :func:`run`."""
    return run(_command, arguments, ranks=ranks)


def _command(arguments: tuple[str, ...]) -> int:
    from medgrpo.cli import main

    sys.argv = ["medgrpo", *arguments]
    return main(arguments)


def _child(
    folder: Path, environment: Mapping[str, str], call: Callable[..., int | None], arguments: Any
) -> None:
    import torch

    os.chdir(ROOT)
    for name in DISTRIBUTED:
        os.environ.pop(name, None)
    os.environ.update(environment)
    for descriptor in (1, 2):
        os.dup2(os.open(folder / str(descriptor), os.O_WRONLY | os.O_CREAT), descriptor)
    torch.set_num_threads(1)
    # As in a program: a worker that is no child of its owner would not see that it was killed.
    multiprocessing.set_start_method("fork", force=True)
    sys.exit(call(*arguments) or 0)


def _places(ranks: int) -> list[dict[str, str]]:
    """What the environment tells each rank."""
    if ranks == 1:
        return [{}]
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    group = meeting | {"WORLD_SIZE": str(ranks), "NODE_RANK": "0"}
    return [group | {"LOCAL_RANK": str(rank)} for rank in range(ranks)]


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # Its server is started by the first process, and looks for what it imports where the environment says.
    os.environ["PYTHONPATH"] = str(ROOT)
    return context
