"""Supervised fine-tuning on the tiny policy: it learns the answers, repeats itself, and resumes exactly."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

from medgrpo.data import SFTData, write_records
from medgrpo.errors import UserError
from medgrpo.modules import ExportHF, QwenVLPolicy, Schedule, SFTModule
from medgrpo.modules.sft import answer_nll
from medgrpo.modules.tiny import tiny_sampling
from tests.tiny_models import tiny_directory


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips of one colour each, with two questions a clip."""
    folder = tmp_path_factory.mktemp("records")
    rows = []
    for clip in range(10):
        names = []
        for index in range(4):
            pixels = np.full((56, 84, 3), (clip % 2) * 200, np.uint8)
            Image.fromarray(pixels).save(folder / f"{clip}_{index}.jpg")
            names.append(f"{clip}_{index}.jpg")
        for question in ("Which instrument?", "When?"):
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


def _fit(
    records: Path, folder: Path, steps: int, ckpt: Path | None = None, export: bool = False
) -> SFTModule:
    L.seed_everything(0, verbose=False)
    policy = QwenVLPolicy(str(tiny_directory("qwen2_5_vl")))
    module = SFTModule(
        policy,
        lambda parameters: torch.optim.AdamW(parameters, lr=5e-3),
        Schedule(warmup=2, total=max(steps, 12), decay="cosine"),
    )
    data = SFTData(str(records), tiny_sampling(), clips_per_batch=2, rows_per_clip=2, num_workers=0, seed=4)
    checkpoint = ModelCheckpoint(
        dirpath=folder / "ckpt", every_n_train_steps=1, save_top_k=-1, filename="{step}"
    )
    callbacks: list[L.Callback] = [checkpoint]
    if export:
        callbacks.append(ExportHF(str(folder / "hf")))
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic=True,
    )
    trainer.fit(module, data, ckpt_path=ckpt, weights_only=False if ckpt else None)
    return module


def test_only_answer_tokens_count() -> None:
    logps = torch.tensor([[0.0, -1.0, -2.0], [0.0, 0.0, -3.0]], requires_grad=True)
    mask = torch.tensor([[False, True, True], [False, False, True]])
    assert answer_nll(logps, mask).item() == pytest.approx(2.0)


@pytest.mark.parametrize("stop", [3, 7])
def test_an_interrupted_run_resumed_ends_with_the_same_weights(
    records: Path, tmp_path: Path, stop: int
) -> None:
    whole = _fit(records, tmp_path / "whole", 12)
    again = _fit(records, tmp_path / "again", 12)
    _fit(records, tmp_path / "part", stop)  # the schedule is that of twelve steps
    resumed = _fit(records, tmp_path / "part", 12, ckpt=tmp_path / "part" / "ckpt" / f"step={stop}.ckpt")
    for name, weight in whole.policy.state_dict().items():
        assert torch.equal(weight, again.policy.state_dict()[name]), name
        assert torch.equal(weight, resumed.policy.state_dict()[name]), name


def test_it_learns_what_is_seen_and_exports_what_it_learned(records: Path, tmp_path: Path) -> None:
    from medgrpo.data import read_records
    from medgrpo.evaluation.runner import predict

    _fit(records, tmp_path, 100, export=True)
    samples = read_records(records)
    answers = [group[0] for group in predict(tmp_path / "hf", samples, max_new_tokens=12)]
    assert answers == [sample.answer for sample in samples]


def test_rows_without_an_answer_are_refused(records: Path, tmp_path: Path) -> None:
    from medgrpo.data.records import read_rows

    rows = read_rows(records)
    rows[3]["conversations"] = rows[3]["conversations"][:1]
    for row in rows:
        row["video"] = [str(records.parent / name) for name in row["video"]]
    write_records(rows, tmp_path / "bad.json")
    with pytest.raises(UserError, match=r"row 3.*no reference answer"):
        _fit(tmp_path / "bad.json", tmp_path, 1)
