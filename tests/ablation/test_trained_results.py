"""What is read of a trained row's own files: its rounds after stops and changes, and its gradient shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.ablation.trained.results import _rounds, _training
from medgrpo.errors import UserError

SHARE = "train/grad_share/"


def attempt(run: Path, number: int, *rows: dict[str, float]) -> None:
    """The file of one attempt, with a line for the learning rate before each round's, as Lightning has it."""
    names = sorted({"epoch", "lr-AdamW", *(name for row in rows for name in row)})
    lines = [",".join(names)]
    for row in rows:
        for values in ({"lr-AdamW": 1e-4}, row):
            lines.append(",".join(str(values.get(name, "")) for name in names))
    path = run / "csv" / f"version_{number}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


def entropies(run: Path) -> list[float]:
    return [row["train/entropy"] for row in _rounds(run)]


def test_an_attempt_that_went_on_replaces_the_rounds_that_it_repeats(tmp_path: Path) -> None:
    attempt(tmp_path, 0, *({"epoch": k, "train/entropy": 1.0} for k in range(3)))
    attempt(tmp_path, 1, *({"epoch": k, "train/entropy": 2.0} for k in range(2, 5)))
    assert entropies(tmp_path) == [1.0, 1.0, 2.0, 2.0, 2.0]


def test_an_attempt_from_the_first_round_leaves_nothing_of_those_before(tmp_path: Path) -> None:
    attempt(tmp_path, 9, *({"epoch": k, "train/entropy": 1.0} for k in range(40)))
    attempt(tmp_path, 10, *({"epoch": k, "train/entropy": 2.0} for k in range(2)))
    assert entropies(tmp_path) == [2.0, 2.0]


def test_shares_add_up_to_1_where_a_dataset_misses_a_measured_step(tmp_path: Path) -> None:
    attempt(
        tmp_path,
        0,
        {"epoch": 0, f"{SHARE}CoPESD": 1.0, "train/entropy": 3.0},
        {"epoch": 1, "train/entropy": 2.0},
        {
            "epoch": 2,
            f"{SHARE}CoPESD": 0.5,
            f"{SHARE}NurViD": 0.75,
            f"{SHARE}AVOS": -0.25,
            "train/entropy": 1.0,
        },
    )
    found = _training(tmp_path)
    assert found["gradient_share"] == {"AVOS": -0.125, "CoPESD": 0.75, "NurViD": 0.375}
    assert found["entropy"] == {"first": 3.0, "last": 1.0}


def test_a_run_without_numbers_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no csv/version_0"):
        _rounds(tmp_path)
