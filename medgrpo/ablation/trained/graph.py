"""Runs stages that wait for others, several at a time, and resumes between and inside them."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from medgrpo.demo.runner import Stage, StageRun, StageTime, recipe

__all__ = ["Node", "run_graph"]


@dataclass(frozen=True)
class Node:
    """A stage in a graph.

    Attributes:
        stage: What to run.
        after: Names of the stages whose results it needs, which come before it in the list.
        weight: About how long it takes beside the others, for the time that is left.
    """

    stage: Stage
    after: tuple[str, ...] = ()
    weight: float = 1.0


def run_graph(nodes: Sequence[Node], root: Path, processes: int = 1) -> list[StageTime]:
    """Run what has not been run with the same commands yet.

    Where several could begin, that goes first behind which the longest chain waits, so that no process is
    idle at the end for a chain that began late.

    Markers are those of :func:`medgrpo.demo.runner.run_stages`. All output goes to ``root/logs``.

    Args:
        nodes: Each behind those that it waits for.
        root: Folder for markers and logs.
        processes: Stages at a time.

    Returns:
        The time of each stage, in order.

    Raises:
        UserError: If a command fails; the others are stopped.
        SystemExit: At SIGTERM, when all of them are stopped, so that none writes where a later run does.
    """
    from tqdm import tqdm

    (root / "stages").mkdir(parents=True, exist_ok=True)
    runs = _runs(nodes, root)
    times: dict[str, StageTime] = {}
    running: dict[Future[StageTime], str] = {}
    chains = _chains(nodes)
    waiting = sorted(nodes, key=lambda node: -chains[node.stage.name])
    total = sum(node.weight for node in nodes)
    shown = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    with (
        tqdm(total=total, desc="train and measure", bar_format=shown) as bar,
        ThreadPoolExecutor(processes) as pool,
        _sigterm_raises(),
    ):

        def ended(node: Node, time: StageTime) -> None:
            times[node.stage.name] = time
            if time.reused:  # what was done before says nothing about the time that is left
                bar.total -= node.weight
            bar.update(0.0 if time.reused else node.weight)

        try:
            while waiting or running:
                for node in _ready(waiting, times)[: processes - len(running)]:
                    waiting.remove(node)
                    run = runs[node.stage.name]
                    if (seconds := run.done_before()) is not None:
                        stage = node.stage
                        ended(node, StageTime(stage.name, stage.title, seconds, True, True))
                        break  # more may be ready now
                    running[pool.submit(_execute, run)] = node.stage.name
                else:
                    bar.set_postfix_str(", ".join(sorted(running.values())))
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        name = running.pop(future)
                        ended(next(node for node in nodes if node.stage.name == name), future.result())
        except BaseException:
            for run in runs.values():
                if run.process is not None and run.process.poll() is None:
                    run.process.terminate()
            raise
    return [times[node.stage.name] for node in nodes]


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the block like an error, where the program's own thread runs it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _chains(nodes: Sequence[Node]) -> dict[str, float]:
    """Of each node the weight of the longest chain that begins with it."""
    behind: dict[str, float] = {}
    for node in reversed(nodes):
        name = node.stage.name
        behind[name] = node.weight + behind.get(name, 0.0)
        for before in node.after:
            behind[before] = max(behind.get(before, 0.0), behind[name])
    return behind


def _ready(waiting: Sequence[Node], done: dict[str, Any]) -> list[Node]:
    return [node for node in waiting if all(name in done for name in node.after)]


def _runs(nodes: Sequence[Node], root: Path) -> dict[str, StageRun]:
    """Each stage with a hash of its own command and of all that it waits for."""
    chains: dict[str, str] = {}
    runs: dict[str, StageRun] = {}
    for number, node in enumerate(nodes, start=1):
        before = "|".join(chains[name] for name in node.after)
        stage = node.stage
        chains[stage.name] = hashlib.sha256(f"{before}|{recipe(stage)}".encode()).hexdigest()
        runs[stage.name] = StageRun(stage, chains[stage.name], root, f"[{number}/{len(nodes)}] {stage.title}")
    return runs


def _execute(run: StageRun) -> StageTime:
    return run.execute(beside=True)
