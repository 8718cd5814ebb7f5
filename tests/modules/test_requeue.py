"""SLURM takes a run's machine away and starts it again later."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from medgrpo.errors import UserError
from medgrpo.rollout.store import read_rollouts
from tests.modules import grpo_scene as scenes

ROUNDS = 3


class _Preempt(Callback):
    """What SLURM sends inside of the second round: the warning that was asked for, then the end."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of one task; what is asked of SLURM is written to ``asked``."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tools / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    values = {"NTASKS": 1, "JOB_NAME": "grpo", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0}
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    return tmp_path


def test_a_requeued_run_continues_from_its_last_round(job: Path) -> None:
    scene = scenes.make_scene(job / "scene")

    def fit(out: Path, last: bool = True, callbacks: list[Callback] | None = None) -> Any:
        options = {"default_root_dir": out, "plugins": [SLURMEnvironment()]}
        run, module, data = scenes.make_run(scene, out, rounds=ROUNDS, trainer=options, callbacks=callbacks)
        run.fit(module, data, ckpt_path="last" if last else None)
        return scenes.weights(module)

    whole = fit(job / "whole")
    with pytest.raises(SIGTERMException):
        fit(job / "out", callbacks=[_Preempt()])
    assert (job / "asked").read_text() == "requeue 7\n"
    # Lightning's own checkpoint is of the moment: no round can continue in its middle.
    with pytest.raises(UserError, match="--ckpt_path=last"):
        fit(job / "out", last=False)
    weights = fit(job / "out")
    assert all(torch.equal(weights[name], whole[name]) for name in whole)
    told = ["attempt", "wall_time"]
    answers = [read_rollouts(job / name, "t").drop_columns(told) for name in ("whole", "out")]
    assert answers[0].equals(answers[1])
