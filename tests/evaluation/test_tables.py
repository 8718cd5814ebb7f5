"""Tables, and the check that training on some tasks cost no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from medgrpo.errors import UserError
from medgrpo.evaluation import Scores, evaluate, read_scores
from medgrpo.evaluation.paired import Difference, difference_table, paired_differences
from medgrpo.evaluation.tables import board_table, comparison_table, grid
from medgrpo.types import Sample
from tests.tasks.samples import make_sample

RIGHT = "Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 1"
WORSE = "Two structures: 1, Cystic plate: 1, Hepatocystic triangle: 1"


def _samples(videos: int = 12, rows: int = 4) -> list[Sample]:
    return [
        make_sample("cvs_assessment", RIGHT, video=f"v{v}", dataset="Cholec80_CVS", row=v * rows + k)
        for v in range(videos)
        for k in range(rows)
    ]


def _scores(answers: list[str], samples: list[Sample]) -> Scores:
    return evaluate(samples, answers, "strict")


def retention(
    before: Scores, after: Scores, trained: Sequence[str] = (), draws: int = 2000
) -> list[Difference]:
    return paired_differences(before, after, quantities=("score", "validity"), skip=trained, draws=draws)


def test_equal_answers_are_kept() -> None:
    samples = _samples()
    scores = _scores([RIGHT, WORSE, RIGHT, "?"] * 12, samples)
    rows = retention(scores, scores)
    assert [(r.quantity, r.verdict, r.low, r.high) for r in rows] == [
        ("score", "kept", 0, 0),
        ("validity", "kept", 0, 0),
    ]
    assert (rows[0].n, rows[0].videos) == (48, 12)
    assert rows[1].before == rows[1].after == 0.75


def test_a_loss_in_every_video_is_lost_and_its_reverse_gained() -> None:
    samples = _samples()
    good, bad = _scores([RIGHT] * 48, samples), _scores([RIGHT, RIGHT, WORSE, "?"] * 12, samples)
    assert [r.verdict for r in retention(good, bad)] == ["lost", "lost"]
    assert [r.verdict for r in retention(bad, good)] == ["gained", "gained"]
    score = retention(good, bad)[0]
    assert score.after - score.before == pytest.approx((0 + 0 - 1 / 3 - 1) / 4)
    assert (score.low, score.high) == (pytest.approx(-1 / 3), pytest.approx(-1 / 3))  # all videos lose alike


def test_one_bad_video_is_noise_however_many_rows_it_has() -> None:
    samples = _samples(videos=6, rows=8)
    bad = _scores(["?"] * 8 + [RIGHT] * 40, samples)
    assert [r.verdict for r in retention(_scores([RIGHT] * 48, samples), bad)] == ["kept", "kept"]


def test_the_interval_is_that_of_a_bootstrap_over_videos() -> None:
    samples = _samples(videos=8, rows=2)
    generator = np.random.default_rng(3)
    before = _scores([RIGHT] * 16, samples)
    after = _scores([RIGHT if u < 0.6 else WORSE for u in generator.random(16)], samples)
    differences = np.array(after.per_record) - np.array(before.per_record)
    by_video = differences.reshape(8, 2).mean(axis=1)
    draws = np.random.default_rng(9).integers(8, size=(20_000, 8))
    low, high = np.quantile(by_video[draws].mean(axis=1), (0.025, 0.975))
    row = retention(before, after, draws=20_000)[0]
    assert (row.low, row.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_trained_tasks_are_left_out_and_one_video_is_unsure() -> None:
    samples = [*_samples(1), make_sample("tal", "1-2 seconds", row=99)]
    scores = evaluate(samples, [RIGHT] * 4 + ["1-2 seconds"], "strict")
    assert {r.task for r in retention(scores, scores)} == {"cvs_assessment", "tal"}
    assert {r.task for r in retention(scores, scores, trained=["tal"])} == {"cvs_assessment"}
    assert {r.verdict for r in retention(scores, scores)} == {"unsure"}


def test_retention_needs_the_same_records() -> None:
    samples = _samples(2)
    scores = _scores([RIGHT] * 8, samples)
    with pytest.raises(UserError, match="same records"):
        retention(scores, _scores([RIGHT] * 4, samples[:4]))
    with pytest.raises(UserError, match="strict scores"):
        retention(scores, evaluate(samples, [RIGHT] * 8, "official"))


def test_comparison_lists_all_sets_side_by_side() -> None:
    samples = [*_samples(2), make_sample("tal", "1.0-2.0 seconds.", row=50)]
    sft = _scores([RIGHT] * 8 + ["1.0-2.0 seconds."], samples)
    blind = _scores([WORSE] * 4 + ["?"] * 4 + ["from 1 to 3 s"], samples)
    lines = comparison_table({"SFT blind": blind, "SFT": sft}, "markdown").splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "dataset", "task", "n", "SFT blind", "valid", "SFT", "valid",
    ]  # fmt: skip
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert cells == [
        ["AVOS", "tal", "1", "0.500", "0.00", "1.000", "1.00"],
        ["Cholec80_CVS", "cvs_assessment", "8", "0.333", "0.50", "1.000", "1.00"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert "SFT blind" in comparison_table({"SFT blind": blind, "SFT": sft})


def test_tables_of_other_kinds() -> None:
    samples = _samples(2)
    scores = _scores([RIGHT] * 8, samples)
    assert "1.000" in board_table({"a": scores})
    assert "  -  " in board_table({"a": scores}) + " "
    assert "kept" in difference_table(retention(scores, scores), "markdown")
    with pytest.raises(UserError, match="table style"):
        grid(["a"], [["1"]], "latex")
    with pytest.raises(UserError, match="strict scores"):
        comparison_table({"a": evaluate(samples, [RIGHT] * 8, "official")})


def test_scores_file_round_trip(tmp_path: Path) -> None:
    scores = _scores([RIGHT] * 8, _samples(2))
    scores.write(tmp_path / "sub" / "scores.json")
    assert read_scores(tmp_path / "sub" / "scores.json").to_dict() == scores.to_dict()
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_scores(tmp_path / "bad.json")
    (tmp_path / "other.json").write_text('{"protocol": "strict"}')
    with pytest.raises(UserError, match="field 'board' is missing"):
        read_scores(tmp_path / "other.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_scores(tmp_path / "none.json")
