"""Runs stages one after the other, each a command that a user would type, and resumes between them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medgrpo.errors import UserError

__all__ = ["Stage", "StageTime", "run_stages"]


@dataclass(frozen=True)
class Stage:
    """One command of the journey.

    Attributes:
        name: Short, unique; names the marker file.
        title: What it does, for people.
        arguments: Of ``python -m medgrpo``.
        produces: Files or folders that are there when it has succeeded.
        checkpoint: If this file exists when the stage starts, an interrupted run is continued from it.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    produces: tuple[Path, ...]
    checkpoint: Path | None = None


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, all of its attempts together."""

    name: str
    title: str
    seconds: float
    reused: bool


def run_stages(stages: Sequence[Stage], root: Path) -> list[StageTime]:
    """Run what has not been run with the same commands yet.

    A finished stage leaves ``root/stages/<name>.json`` with a hash of its command and of the config files
    that it names; a stage is run again when its own, or that of a stage before it, has changed.

    Returns:
        The time of each stage.

    Raises:
        UserError: If a command fails; its own message has been printed.
    """
    folder = root / "stages"
    folder.mkdir(parents=True, exist_ok=True)
    times: list[StageTime] = []
    chain = ""
    for number, stage in enumerate(stages, start=1):
        chain = hashlib.sha256(f"{chain}|{_recipe(stage)}".encode()).hexdigest()
        marker = folder / f"{stage.name}.json"
        attempt = folder / f"{stage.name}.started.json"
        done = json.loads(marker.read_text()) if marker.is_file() else {}
        head = f"[{number}/{len(stages)}] {stage.title}"
        if done.get("chain") == chain and all(path.exists() for path in stage.produces):
            print(f"{head}: done before ({done['seconds']:.0f} s)", flush=True)
            times.append(StageTime(stage.name, stage.title, done["seconds"], reused=True))
            continue
        started = json.loads(attempt.read_text()) if attempt.is_file() else {}
        resumed = started.get("chain") == chain
        arguments = list(stage.arguments)
        if resumed and stage.checkpoint is not None and stage.checkpoint.exists():
            arguments.append(f"--ckpt_path={stage.checkpoint}")
        earlier = started.get("seconds", 0.0) if resumed else 0.0
        attempt.write_text(json.dumps({"chain": chain, "seconds": earlier}))
        print(f"\n{head}\n$ medgrpo {shlex.join(arguments)}", flush=True)
        begin = time.monotonic()
        try:
            code = subprocess.call([sys.executable, "-m", "medgrpo", *arguments], env=_environment())
        finally:
            seconds = earlier + time.monotonic() - begin
            attempt.write_text(json.dumps({"chain": chain, "seconds": seconds}))
        if code != 0:
            raise UserError(
                f"stage '{stage.name}' stopped with exit status {code}; start the demo again to continue it"
            )
        missing = [str(path) for path in stage.produces if not path.exists()]
        if missing:
            raise UserError(f"stage '{stage.name}' ended without writing {', '.join(missing)}")
        marker.write_text(json.dumps({"chain": chain, "seconds": round(seconds, 1), "command": arguments}))
        attempt.unlink()
        times.append(StageTime(stage.name, stage.title, seconds, reused=False))
    return times


def _recipe(stage: Stage) -> str:
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
