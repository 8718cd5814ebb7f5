"""Supervised fine-tuning on the tiny policy: it learns the answers, repeats itself, and resumes exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medgrpo.data import write_records
from medgrpo.errors import UserError
from medgrpo.modules import ExportHF
from medgrpo.modules.sft import answer_nll
from tests.modules.sft_scene import fit, make_records


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("records"))


def test_only_answer_tokens_count() -> None:
    logps = torch.tensor([[0.0, -1.0, -2.0], [0.0, 0.0, -3.0]], requires_grad=True)
    mask = torch.tensor([[False, True, True], [False, False, True]])
    assert answer_nll(logps, mask).item() == pytest.approx(2.0)


@pytest.mark.parametrize("stop", [3, 7])
def test_an_interrupted_run_resumed_ends_with_the_same_weights(
    records: Path, tmp_path: Path, stop: int
) -> None:
    whole = fit(records, tmp_path / "whole", 12)
    again = fit(records, tmp_path / "again", 12)
    fit(records, tmp_path / "part", stop)  # the schedule is that of twelve steps
    resumed = fit(records, tmp_path / "part", 12, ckpt=tmp_path / "part" / "ckpt" / f"step={stop}.ckpt")
    for name, weight in whole.policy.state_dict().items():
        assert torch.equal(weight, again.policy.state_dict()[name]), name
        assert torch.equal(weight, resumed.policy.state_dict()[name]), name


def test_it_learns_what_is_seen_and_exports_what_it_learned(records: Path, tmp_path: Path) -> None:
    from medgrpo.data import read_records
    from medgrpo.evaluation.runner import predict

    fit(records, tmp_path, 100, callbacks=[ExportHF(str(tmp_path / "hf"))])
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
        fit(tmp_path / "bad.json", tmp_path, 1)
