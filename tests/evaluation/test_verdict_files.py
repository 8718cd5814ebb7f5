"""Verdicts leave the store as files and come back as they were."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo import cli
from medgrpo.errors import UserError
from medgrpo.evaluation.verdict_files import FORMS, verdict_bytes
from medgrpo.evaluation.verdict_store import VerdictStore
from medgrpo.evaluation.verdicts import Verdict, read_verdicts
from tests.evaluation.verdict_scene import DIMENSIONS, make_verdict

HARMFUL = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "'=1",
    "\uff1d1",
    "=cmd|'/c calc'!A1",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
VERDICTS = st.builds(
    Verdict,
    st.tuples(st.just("r"), st.integers(0, 9), TEXTS.filter(bool), st.integers(0, 7)),
    TEXTS.filter(bool),
    st.dictionaries(st.sampled_from(DIMENSIONS), st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])),
    accepted=st.none() | st.booleans(),
    unsafe=st.booleans(),
    wrong_reference=st.booleans(),
    unjudgeable=st.booleans(),
    blind=st.none() | st.booleans(),
    comment=TEXTS | st.sampled_from(HARMFUL),
    content=st.sampled_from(["", "a" * 64]),
    time=st.integers(1, 2_000_000_000).map(float),
)


@pytest.mark.parametrize("form", list(FORMS))
@settings(max_examples=40, deadline=None)
@given(verdicts=st.lists(VERDICTS, max_size=5, unique_by=lambda v: (v.key, v.reviewer, v.content)))
def test_a_file_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, form: str, verdicts: list[Verdict]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"verdicts{form}"
    path.write_bytes(verdict_bytes(verdicts, form))
    assert read_verdicts(path, DIMENSIONS) == verdicts


@pytest.mark.parametrize("text", HARMFUL)
def test_no_cell_is_a_formula(text: str) -> None:
    content = verdict_bytes([make_verdict(text, comment=text)], ".csv").decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(content))
    for name in ("reviewer", "comment"):
        assert row[name] == f"'{text}"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_command_writes_what_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    for verdict in (make_verdict(score=2), make_verdict(score=4), make_verdict("bob"), make_verdict("eve")):
        store.add(verdict)
    store.withdraw(make_verdict("eve"))
    out = tmp_path / f"verdicts.{form}"
    for named in (tmp_path, tmp_path / "verdicts.sqlite"):
        assert cli.main(["verdicts", str(named), "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"wrote {out}: 2 verdicts of 2 reviewers\n"
    found = read_verdicts(out, DIMENSIONS)
    assert [(v.reviewer, v.mean, v.blind) for v in found] == [("ada", 4.0, True), ("bob", 3.0, True)]
    assert found == read_verdicts(tmp_path / "verdicts.sqlite", DIMENSIONS)


def test_wrong_places_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verdicts", str(tmp_path), "--out", str(tmp_path / "v.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    VerdictStore(tmp_path / "verdicts.sqlite")
    assert cli.main(["verdicts", str(tmp_path), "--out", str(tmp_path / "v.xlsx")]) == 2
    assert "not as .xlsx" in capsys.readouterr().err


def test_a_wrong_flag_or_time_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    head = "run,step,group_id,sample_index,reviewer"
    for extra, message in (
        ("unsafe,maybe", "row 0: unsafe is 'maybe'"),
        ("time,noon", "row 0: time is 'noon'"),
    ):
        name, value = extra.split(",")
        path.write_text(f"{head},{name}\nr,0,g,0,ada,{value}\n")
        with pytest.raises(UserError, match=message):
            read_verdicts(path, DIMENSIONS)


def test_files_of_other_hands_need_only_names_and_scores(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("run,step,group_id,sample_index,reviewer,action\nr,0,g0,0,ada,4\n")
    [read] = read_verdicts(path, DIMENSIONS)
    assert math.isnan(read.time)
    expected = Verdict(("r", 0, "g0", 0), "ada", {"action": 4.0}, time=0.0)
    assert replace(read, time=0.0) == expected
    assert read.comparable
