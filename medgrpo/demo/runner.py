"""Runs stages, each a command that a user would type, and resumes between them.

The main lane runs one after the other. Stages marked ``beside`` only need what the main lane has made before
them; with two processes they run one at a time on a second core while the main lane goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["Stage", "StageRun", "StageTime", "available_cores", "recipe", "run_stages"]


@dataclass(frozen=True)
class Stage:
    """One command of the journey.

    Attributes:
        name: Short, unique; names the marker file.
        title: What it does, for people.
        arguments: Of ``python -m medgrpo``.
        produces: Files or folders that are there when it has succeeded.
        checkpoint: If this file exists when the stage starts, an interrupted run is continued from it.
        beside: No stage of the main lane needs it: it may run while they do.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    produces: tuple[Path, ...]
    checkpoint: Path | None = None
    beside: bool = False


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, all of its attempts together."""

    name: str
    title: str
    seconds: float
    reused: bool
    beside: bool = False


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_stages(stages: Sequence[Stage], root: Path, processes: int = 1) -> list[StageTime]:
    """Run what has not been run with the same commands yet.

    A finished stage leaves ``root/stages/<name>.json`` with a hash of its command and of the config files
    that it names; a stage is run again when its own, or that of a stage of the main lane before it, has
    changed. The output of a stage that runs beside goes to ``root/logs/<name>.log``.

    Args:
        stages: In order.
        root: Folder for markers and logs.
        processes: 2 or more let stages marked ``beside`` run next to the main lane.

    Returns:
        The time of each stage, in order.

    Raises:
        UserError: If a command fails; its own message has been printed.
    """
    (root / "stages").mkdir(parents=True, exist_ok=True)
    times: dict[str, StageTime] = {}
    chain = ""
    with _side_lane() as lane:
        for number, stage in enumerate(stages, start=1):
            own = hashlib.sha256(f"{chain}|{recipe(stage)}".encode()).hexdigest()
            chain = chain if stage.beside else own
            head = f"[{number}/{len(stages)}] {stage.title}"
            run = StageRun(stage, own, root, head)
            if (seconds := run.done_before()) is not None:
                print(f"{head}: done before ({seconds:.0f} s)", flush=True)
                times[stage.name] = StageTime(stage.name, stage.title, seconds, True, stage.beside)
            elif stage.beside and processes > 1:
                lane.start(run)
            else:
                times[stage.name] = run.execute()
                lane.collect(times)
        lane.finish(times)
    return [times[stage.name] for stage in stages]


@dataclass
class StageRun:
    """One stage with the hash of all that it depends on.

    Attributes:
        stage: What to run.
        chain: The hash.
        root: Folder for markers and logs.
        head: Title for people.
        process: Of a stage that runs beside.
    """

    stage: Stage
    chain: str
    root: Path
    head: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the output of a stage goes that runs beside."""
        return self.root / "logs" / f"{self.stage.name}.log"

    @property
    def _marker(self) -> Path:
        return self.root / "stages" / f"{self.stage.name}.json"

    @property
    def _attempt(self) -> Path:
        return self.root / "stages" / f"{self.stage.name}.started.json"

    def done_before(self) -> float | None:
        """The seconds that it took when it was run with the same commands; None if it was not."""
        done = json.loads(self._marker.read_text()) if self._marker.is_file() else {}
        made = done.get("chain") == self.chain and all(path.exists() for path in self.stage.produces)
        return float(done["seconds"]) if made else None

    def execute(self, *, beside: bool = False) -> StageTime:
        """Run the command to its end.

        Raises:
            UserError: If it fails or leaves out a file.
        """
        stage = self.stage
        started = json.loads(self._attempt.read_text()) if self._attempt.is_file() else {}
        resumed = started.get("chain") == self.chain
        arguments = list(stage.arguments)
        if stage.checkpoint is not None and not resumed:
            # Of other settings: if this attempt is stopped before its first one, it must not be continued.
            stage.checkpoint.unlink(missing_ok=True)
        if stage.checkpoint is not None and stage.checkpoint.exists():
            arguments.append(f"--ckpt_path={stage.checkpoint}")
        earlier = started.get("seconds", 0.0) if resumed else 0.0
        self._attempt.write_text(json.dumps({"chain": self.chain, "seconds": earlier}))
        where = f"\n(beside the next stages; its progress: {self.log})" if beside else ""
        print(f"\n{self.head}\n$ medgrpo {shlex.join(arguments)}{where}", flush=True)
        begin = time.monotonic()
        try:
            code = self._call([sys.executable, "-m", "medgrpo", *arguments], beside)
        finally:
            seconds = earlier + time.monotonic() - begin
            self._attempt.write_text(json.dumps({"chain": self.chain, "seconds": seconds}))
        if code != 0:
            said = f"; it said: {_last_line(self.log)} (all of it: {self.log})" if beside else ""
            raise UserError(
                f"stage '{stage.name}' stopped with exit status {code}{said}; "
                "start the same command again to continue it"
            )
        missing = [str(path) for path in stage.produces if not path.exists()]
        if missing:
            raise UserError(f"stage '{stage.name}' ended without writing {', '.join(missing)}")
        self._marker.write_text(
            json.dumps({"chain": self.chain, "seconds": round(seconds, 1), "command": arguments})
        )
        self._attempt.unlink()
        return StageTime(stage.name, stage.title, seconds, False, stage.beside)

    def _call(self, command: list[str], beside: bool) -> int:
        if not beside:
            return subprocess.call(command, env=_environment())
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=_environment(), stdout=log, stderr=log)
            return self.process.wait()


@dataclass
class _SideLane:
    """Stages that run one at a time next to the main lane."""

    pool: ThreadPoolExecutor
    waiting: list[tuple[StageRun, Future[StageTime]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self, run: StageRun) -> None:
        """Queue a stage."""

        def execute() -> StageTime:
            if self.stopped.is_set():
                raise UserError(f"stage '{run.stage.name}' was not started, because another one stopped")
            return run.execute(beside=True)

        self.waiting.append((run, self.pool.submit(execute)))

    def collect(self, times: dict[str, StageTime]) -> None:
        """Take the results of what has ended, and the error of what has failed."""
        for run, future in [pair for pair in self.waiting if pair[1].done()]:
            self._take(run, future, times)

    def finish(self, times: dict[str, StageTime]) -> None:
        """Wait for the rest, showing its progress."""
        for run, future in list(self.waiting):
            shown = 0
            while not future.done():
                shown = _show(run.log, shown)
                time.sleep(0.2)
            self._take(run, future, times)

    def _take(self, run: StageRun, future: Future[StageTime], times: dict[str, StageTime]) -> None:
        self.waiting.remove((run, future))
        times[run.stage.name] = result = future.result()
        print(f"\n{run.head}: done beside ({result.seconds:.0f} s)", flush=True)

    def stop(self) -> None:
        """End what runs and start nothing more."""
        self.stopped.set()
        for run, _ in self.waiting:
            if run.process is not None and run.process.poll() is None:
                run.process.terminate()


@contextmanager
def _side_lane() -> Iterator[_SideLane]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        lane = _SideLane(pool)
        try:
            yield lane
        except BaseException:
            lane.stop()
            raise


def _show(log: Path, shown: int) -> int:
    """Print what a log has gained; how much of it has been shown."""
    if not log.is_file():
        return shown
    with log.open("rb") as file:
        file.seek(shown)
        text = file.read()
    sys.stdout.write(text.decode(errors="replace"))
    sys.stdout.flush()
    return shown + len(text)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "nothing")


def recipe(stage: Stage) -> str:
    """The command and the text of the config files in it."""
    files = [Path(argument) for argument in stage.arguments if argument.endswith(".yaml")]
    return "\n".join([shlex.join(stage.arguments), *(path.read_text() for path in files if path.is_file())])


def _environment() -> dict[str, str]:
    """One thread a process unless the user has asked for another number; two on two busy cores are slower."""
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("HF_HUB_OFFLINE", "1")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    return environment
