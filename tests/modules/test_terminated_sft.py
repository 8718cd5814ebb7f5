"""SIGTERM ends supervised fine-tuning behind an optimizer step, with a checkpoint of it, on all ranks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from medgrpo.modules.tiny import tiny_sampling
from tests.integration.conftest import run_medgrpo
from tests.modules.sft_scene import Terminate, fit, make_records
from tests.tiny_models import tiny_directory


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("records"))


def test_a_run_told_inside_of_a_step_ends_behind_it_and_continues_there(
    records: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"trainer": {"accumulate_grad_batches": 2}}

    def last() -> ModelCheckpoint:
        return ModelCheckpoint(dirpath=tmp_path, save_last=True, every_n_train_steps=100)

    handler = signal.getsignal(signal.SIGTERM)
    whole = fit(records, tmp_path / "whole", 6, **options)
    with pytest.raises(SIGTERMException):
        fit(records, tmp_path / "part", 6, callbacks=[last(), Terminate(batch=2)], **options)
    assert signal.getsignal(signal.SIGTERM) is handler
    saved = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert saved["global_step"] == 2
    resumed = fit(records, tmp_path / "part", 6, ckpt=tmp_path / "last.ckpt", callbacks=[last()], **options)
    for name, weight in whole.policy.state_dict().items():
        assert torch.equal(weight, resumed.policy.state_dict()[name]), name


def test_a_run_told_in_its_last_step_ends_as_it_would(records: Path, tmp_path: Path) -> None:
    ended: list[bool] = []

    class End(L.Callback):
        def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            ended.append(trainer.interrupted)

    fit(records, tmp_path, 3, callbacks=[Terminate(batch=2), End()])
    assert ended == [False]


@pytest.mark.slow
def test_two_processes_save_and_leave_when_one_is_told(records: Path, tmp_path: Path) -> None:
    policy = {
        "class_path": "medgrpo.modules.QwenVLPolicy",
        "init_args": {"path": str(tiny_directory("qwen2_5_vl"))},
    }
    sampling = {name: getattr(tiny_sampling(), name) for name in tiny_sampling().__dataclass_fields__}
    data = {"records": str(records), "sampling": sampling, "clips_per_batch": 1, "num_workers": 0}
    stop = {"class_path": "tests.modules.sft_scene.Terminate", "init_args": {"batch": 1, "rank": 1}}
    config = {
        "paths": {"root": str(tmp_path), "run": "run"},
        "model": {"class_path": "medgrpo.modules.SFTModule", "init_args": {"policy": policy}},
        "data": {"class_path": "medgrpo.data.SFTData", "init_args": data},
        "trainer": {
            "accelerator": "cpu",
            "devices": 2,
            "strategy": "ddp",
            "max_steps": 4,
            "enable_model_summary": False,
            "logger": {"tensorboard": None},
            "callbacks": {"stop": stop},
        },
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    done = run_medgrpo("fit", f"--config={tmp_path / 'run.yaml'}")
    assert done.returncode == 128 + signal.SIGTERM, done.stderr[-3000:]
    assert done.stderr.count("stopped by SIGTERM; the same command with --ckpt_path=last continues") == 1
    assert "Traceback" not in done.stderr
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 2
