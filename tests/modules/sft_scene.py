"""A tiny run of supervised fine-tuning: clips of one colour each, with two questions a clip, in seconds."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from medgrpo.data import SFTData, write_records
from medgrpo.modules import QwenVLPolicy, Schedule, SFTModule
from medgrpo.modules.tiny import tiny_sampling
from tests.tiny_models import tiny_directory

QUESTIONS = ("Which instrument?", "When?")


def make_records(folder: Path, clips: int = 10) -> Path:
    """Write clips, of which every other one is dark, and two questions about each."""
    rows = []
    for clip in range(clips):
        names = [f"{clip}_{index}.jpg" for index in range(4)]
        for name in names:
            # The colour also numbers the clip, so that a batch tells what it holds.
            Image.fromarray(np.full((56, 84, 3), (clip % 2) * 200 + clip, np.uint8)).save(folder / name)
        for question in QUESTIONS:
            rows.append(
                {
                    "id": f"v{clip}&&0&&3&&1.0",
                    "qa_type": "video_summary_gpt",
                    "conversations": [
                        {"from": "human", "value": f"<video>\n{question}"},
                        {"from": "gpt", "value": "The grasper." if clip % 2 else "1.0-3.0 seconds."},
                    ],
                    "video": names,
                    "sampled_video_frames": list(range(4)),
                    "metadata": {
                        "fps": "1.0",
                        "video_id": f"v{clip}",
                        "input_video_start_frame": "0",
                        "input_video_end_frame": "3",
                    },
                    "data_source": "CoPESD",
                    "struc_info": [],
                    "is_RC": False,
                    "RC_info": None,
                }
            )
    write_records(rows, folder / "train.json")
    return folder / "train.json"


def spoil(records: Path, *clips: int) -> None:
    """Cut an image of each of these clips short."""
    for clip in clips:
        path = records.with_name(f"{clip}_2.jpg")
        path.write_bytes(path.read_bytes()[:200])


class Terminate(Callback):
    """Sends SIGTERM to one process before a micro-batch, as a scheduler may in the middle of a step."""

    def __init__(self, batch: int, rank: int = 0) -> None:
        self.batch = batch
        self.rank = rank

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx, trainer.global_rank) == (self.batch, self.rank):
            os.kill(os.getpid(), signal.SIGTERM)


def fit(
    records: Path,
    folder: Path,
    steps: int,
    *,
    ckpt: Path | None = None,
    callbacks: list[L.Callback] | None = None,
    trainer: dict[str, Any] | None = None,
    policy: QwenVLPolicy | None = None,
    **data: Any,
) -> SFTModule:
    """Train into a folder, with a checkpoint after every step; the schedule is that of twelve at least."""
    L.seed_everything(0, verbose=False)
    module = SFTModule(
        policy or QwenVLPolicy(str(tiny_directory("qwen2_5_vl"))),
        lambda parameters: torch.optim.AdamW(parameters, lr=5e-3),
        Schedule(warmup=2, total=max(steps, 12), decay="cosine"),
    )
    options = {
        "sampling": tiny_sampling(),
        "clips_per_batch": 2,
        "rows_per_clip": 2,
        "num_workers": 0,
        "seed": 4,
    }
    checkpoint = ModelCheckpoint(
        dirpath=folder / "ckpt", every_n_train_steps=1, save_top_k=-1, filename="{step}"
    )
    run = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        default_root_dir=folder,
        logger=CSVLogger(folder, name="csv", flush_logs_every_n_steps=1),
        log_every_n_steps=1,
        callbacks=[checkpoint, *(callbacks or [])],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic=True,
        **({"devices": 1} | (trainer or {})),
    )
    run.fit(
        module,
        SFTData(str(records), **(options | data)),
        ckpt_path=ckpt,
        weights_only=False if ckpt else None,
    )
    return module


def train_on_two_ranks(records: Path, folder: Path, max_bad_clips: int) -> None:
    """Five steps; each rank leaves its weights."""
    ddp = {"devices": 2, "strategy": "ddp"}
    trained = fit(records, folder, 5, trainer=ddp, clips_per_batch=1, max_bad_clips=max_bad_clips)
    torch.save(trained.policy.state_dict(), folder / f"weights-{os.environ['LOCAL_RANK']}.pt")
