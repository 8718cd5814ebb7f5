import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rewards import Provenance, Statistics, summarise
from medgrpo.types import Sample

PAIR = ("AVOS", "tal")


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=80))
def test_quantiles_agree_with_numpy(data: list[float]) -> None:
    entry = summarise(data)
    np.testing.assert_allclose(entry.quantiles, np.percentile(data, np.arange(101)), atol=1e-12)
    assert entry.zeros == data.count(0.0) / len(data)
    assert entry.scale > 0


@pytest.mark.parametrize(
    ("data", "method", "scale", "flags"),
    [
        (np.linspace(0, 1, 201), "iqr", 0.5, ()),
        ([0.4] * 200, "range", 1.0, ("constant",)),
        ([0.0] * 150 + [1.0] * 50, "range", 1.0, ("binary",)),
        # IQR 0, a tail of 10% up to .6: p95 - p5 = .3 gives .123, std .107 x 1.35 = .145
        ([0.0] * 180 + list(np.linspace(0.05, 0.6, 20)), "std", None, ()),
        ([0.0] * 199 + [0.002, 0.001], "floor", 0.05, ()),
        (np.concatenate([np.full(160, 0.5), np.full(20, 0.3), np.full(20, 0.7)]), "p5_p95", 0.4 / 2.44, ()),
        (np.linspace(0, 1, 20), "iqr", 0.5, ("few",)),
    ],
)
def test_the_scale_rule(data: list[float], method: str, scale: float | None, flags: tuple[str, ...]) -> None:
    entry = summarise(data)
    assert (entry.scale_method, entry.flags) == (method, flags)
    expected = 1.35 * float(np.std(data)) if scale is None else scale
    assert entry.scale == pytest.approx(expected)


def test_a_constant_judge_is_divided_by_its_range() -> None:
    entry = summarise([4.2] * 200, 1.0, 5.0)
    assert (entry.scale, entry.scale_method) == (4.0, "range")


def test_nothing_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        summarise([float("nan")])
    assert summarise([float("nan"), 0.5]).n == 1


def test_round_trip(tmp_path: Path, make_sample: Callable[..., Sample]) -> None:
    samples = [make_sample("tal", "0.0-1.0 seconds.", "AVOS", row=i) for i in range(5)]
    raw = [{"tal@1": 0.1 * i} for i in range(5)]
    made = Statistics.build(
        samples, raw, {"tal@1": (0.0, 1.0)}, Provenance("sft", "abc", 1.0, 8, 0, encoder="e", judge="j")
    )
    made.save(tmp_path / "s.json")
    loaded = Statistics.load(tmp_path / "s.json")
    assert loaded.entries == made.entries
    assert loaded.provenance == made.provenance
    assert loaded.get(PAIR, "tal@1").p50 == pytest.approx(0.2)
    assert not list(tmp_path.glob(".*"))


def test_refusals_name_file_and_pair(tmp_path: Path) -> None:
    statistics = Statistics({PAIR: {"similarity:mini@1": summarise([0.1, 0.2])}}, source="s.json")
    with pytest.raises(UserError, match=r"s\.json.*'CoPESD', task 'stg'"):
        statistics.get(("CoPESD", "stg"), "stg@1")
    with pytest.raises(
        UserError, match=r"s\.json.*'AVOS', task 'tal'.*similarity:mini@1.*similarity:other@1"
    ):
        statistics.get(PAIR, "similarity:other@1")


def test_other_records_warn() -> None:
    statistics = Statistics({}, Provenance(records_hash="abc"))
    with pytest.warns(UserWarning, match="other records"):
        assert not statistics.check_records("def")
    assert statistics.check_records("abc")


def test_rows_without_answers_and_failed_metrics_are_refused(make_sample: Callable[..., Sample]) -> None:
    ranges = {"tal@1": (0.0, 1.0)}
    with pytest.raises(UserError, match=r"row 3 \(id3\) has no answer"):
        Statistics.build([make_sample("tal", None, row=3)], [{"tal@1": 0.5}], ranges, Provenance())
    with pytest.raises(UserError, match="failed on all 1"):
        Statistics.build([make_sample("tal", "x")], [{"tal@1": float("nan")}], ranges, Provenance())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "version 9"),
        ({"format": "x"}, "not a statistics file"),
        ({"entries": [{"dataset": "A", "task": "t", "metric": "m"}]}, "entry 0 is broken"),
        ({"entries": 3}, "entries must be a list"),
    ],
)
def test_broken_files_are_the_users_mistake(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "s.json"
    Statistics({PAIR: {"m@1": summarise([0.5])}}).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        Statistics.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.json: cannot read"):
        Statistics.load(tmp_path / "nothing.json")
