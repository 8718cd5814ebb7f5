"""The report's sentences follow from its numbers, whichever way these point."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.ablation.intervals import mean_interval
from medgrpo.ablation.report import report
from medgrpo.ablation.report.markdown import number, shown
from medgrpo.ablation.report.trained import COMPARED, compared, published, trained_verdicts
from medgrpo.evaluation.uncertainty import holm


def results(difference: dict[str, list[float]]) -> dict[str, Any]:
    board = {column: mean_interval(difference.get(column, [0.01, -0.01, 0.0])) for column in COMPARED}
    level = {column: mean_interval([0.5, 0.6, 0.7]) for column in COMPARED}
    training = {"gradient_share": {"CoPESD": mean_interval([1.0, 1.0, 1.0])}, "entropy": {}, "start_kl": {}}
    change = {"board": board, "score": {}, "valid": {}, "sampled": {}}
    return {
        "seeds": [0, 1, 2],
        "plan": {"rounds": 3},
        "reference": "A full",
        "sets": {"SFT": {"board": level}, "A full": {"board": level}},
        "change": {"A full": change, "B no normalisation": change},
        "difference": {"B no normalisation": change},
        "training": {"A full": training, "B no normalisation": training},
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([-0.20, -0.21, -0.19], -0.212, "reproduced (its size is within the interval)"),
        ([-0.02, -0.021, -0.019], -0.212, "reproduced (in direction, its size is not)"),
        ([0.20, 0.21, 0.19], 0.212, "reproduced (its size is within the interval)"),
        ([0.20, 0.21, 0.19], -0.212, "not reproduced, the direction is the opposite"),
        ([0.01, -0.01, 0.0], -0.212, "not reproduced, a difference of that size is outside the interval"),
        ([0.3, -0.3, -0.1], -0.212, "undecided, both 0 and the paper's number are within the interval"),
        ([-0.2], -0.212, "undecided, there is no interval (n = 1)"),
        ([-0.2, -0.2, -0.2], -0.212, "undecided, there is no interval (n = 3)"),
        ([0.0, 0.0, 0.0], -0.212, "not reproduced, a difference of that size is outside the interval"),
    ],
)
def test_a_published_difference_is_reproduced_ruled_out_or_undecided(
    ours: list[float], theirs: float, verdict: str
) -> None:
    assert compared(mean_interval(ours), theirs) == verdict


def test_every_column_of_row_b_has_its_own_verdict() -> None:
    text = trained_verdicts(results({"TAG_mIoU@0.3": [-0.2, -0.21, -0.19], "STG_mIoU": [-0.3, 0.3, -0.1]}))[0]
    told = {line.split(", ")[1].split(":")[0]: line for line in text.splitlines() if "B minus A" in line}
    assert list(told) == ["TAG_mIoU@0.3", "STG_mIoU", "VS_llm", "RC_llm", "DVC_F1", "CVS_acc"]
    assert "the paper has -0.212: reproduced" in told["TAG_mIoU@0.3"]
    assert "undecided" in told["STG_mIoU"]
    assert "-0.212" not in told["CVS_acc"]
    assert "not reproduced" in told["CVS_acc"]


def test_a_difference_is_named_whichever_way_it_points() -> None:
    rose = trained_verdicts(results({"TAG_mIoU@0.3": [0.2, 0.21, 0.19]}))[0]
    assert "B no normalisation against A full: TAG_mIoU@0.3 **+0.200**" in rose
    assert "no column's interval leaves 0 out" in trained_verdicts(results({}))[0]
    one = trained_verdicts(results({column: [0.2] for column in COMPARED}))[0]
    assert "no interval, which takes two seeds" in one


def test_rows_that_leave_the_published_form_are_named() -> None:
    made = results({})
    made["change"]["A full"] = made["change"]["A full"] | {
        "valid": {
            "CoPESD/stg": mean_interval([-0.7, -0.71, -0.69]),
            "CoPESD/tal": mean_interval([-0.7, 0.71, 0.0]),
            "NurViD/tal": mean_interval([0.2, 0.21, 0.19]),
        }
    }
    told = [line for line in trained_verdicts(made)[0].splitlines() if "published form" in line]
    assert told == [
        "- A full: fewer answers in the published form than SFT's: CoPESD/stg **-0.700** [-0.725, -0.675]."
    ]


def test_what_survives_holm_is_counted_named_and_marked() -> None:
    # p = 0.0008 survives 8 comparisons, p = 0.03 does not.
    made = results({"TAG_mIoU@0.3": [0.2, 0.21, 0.19], "STG_mIoU": [0.1, 0.15, 0.2]})
    text = report({"trained": made})
    assert "Of 8 differences between rows, 2 have p < 0.05" in text
    assert "1 after Holm's correction for all of them: B no normalisation, TAG_mIoU@0.3." in text
    marked = [cell.strip() for line in text.splitlines() for cell in line.split("|") if cell.endswith("‡ ")]
    assert set(marked) == {"**+0.200** [+0.175, +0.225] ‡"}


def test_columns_that_answers_to_wrong_videos_reach_too_are_named() -> None:
    made = results({})
    blind = {column: mean_interval([0.5, 0.6, 0.7]) for column in COMPARED}
    blind["CVS_acc"] = mean_interval([0.1, 0.21, 0.29])
    made["sets"]["blind"] = {"board": blind}
    seen, unseen = trained_verdicts(made)[0].splitlines()[-2:]
    assert "CVS_acc **+0.400**" in seen
    assert "TAG_mIoU@0.3" not in seen
    assert "TAG_mIoU@0.3 0.000 [0.000, 0.000]" in unseen
    assert "CVS_acc" not in unseen


def test_published_rows_are_marked_and_complete() -> None:
    text = report({"trained": results({})})
    rows = [name for name in published() if name != "source"]
    assert rows == ["SFT", *(row for row in rows if row != "SFT")]
    assert all(f"| {name} (published) |" in text for name in rows)
    assert "0.004 (-0.212)" in text  # TAG of row B, and what it is below row A


def test_a_rounded_zero_has_no_sign() -> None:
    assert number(-0.0001, signed=True) == "0.000"
    assert shown(mean_interval([0.1])) == "+0.100"
    assert shown(None) == "-"


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    corrected = holm(p_values)
    level = 0.05
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - rank) >= level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(corrected) if p < level} == rejected
    assert all(c >= p or math.isclose(c, p) for c, p in zip(corrected, p_values, strict=True))


def test_pictures_are_the_same_for_the_same_numbers(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    from medgrpo.ablation.report.pictures import draw_pictures

    parts = {"trained": results({})}
    for name in ("one", "other"):
        assert draw_pictures(parts, tmp_path / name) == {"trained": ["trained.svg"]}
    assert (tmp_path / "one/trained.svg").read_bytes() == (tmp_path / "other/trained.svg").read_bytes()
