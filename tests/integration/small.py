"""Documented commands at a size that a test can afford."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.conftest import run_medgrpo

__all__ = ["SMALL", "run_small"]

SMALL = {
    "configs/sft.yaml": ["--config", "configs/demo/sft.yaml", "--trainer.max_steps=2"],
    "configs/grpo.yaml": [
        *(
            "--config",
            "configs/demo/grpo.yaml",
            "--trainer.max_epochs=1",
            "--data.init_args.prompts_per_round=4",
        ),
        *("--model.init_args.max_new_tokens=8", "--model.init_args.replay_weight=0"),
    ],
}


def run_small(arguments: Sequence[str], places: Mapping[str, str], folder: Path) -> None:
    """Run a command as a user would, smaller.

    Args:
        arguments: Of ``medgrpo``.
        places: What stands in the document to where it is, replaced one after the other.
        folder: For what is made.

    Raises:
        AssertionError: If it does not end as it should.
    """
    line = shlex.join(arguments)
    for name, place in places.items():
        line = line.replace(name, place)
    command = shlex.split(line)
    if command[0] == "synthesize" and "--layouts" in command:
        command += ["--videos", "1"]
    elif command[0] == "synthesize":
        command = ["synthesize", str(folder / "world"), "--videos", "24", "--mp4", "1"]
    elif command[0] == "fit":
        command += [f"--paths.root={folder / 'runs'}", "--data.init_args.sampling.max_frames=8"]
        command += next(extra for name, extra in SMALL.items() if name in arguments)
        if "--paths.run=built" in command:
            command += ["--data.init_args.clips_per_batch=2"]
    elif command[0] == "baseline":
        command += ["--prompts-per-pair", "2", "--samples", "2", "--max-new-tokens", "8"]
    elif command[0] == "evaluate" and "--model" in command:
        command += ["--max-new-tokens", "8"]
    done = run_medgrpo(*command)
    expected = 1 if "--validate" in command else 0  # drawn annotations have mistakes
    told = f"{shlex.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.returncode == expected, told
