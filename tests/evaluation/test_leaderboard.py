"""One table with published rows beside ours: all marked, nothing mixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.cli import main
from medgrpo.errors import UserError
from medgrpo.evaluation.leaderboard import leaderboard, published_rows
from medgrpo.evaluation.official import COLUMNS
from medgrpo.evaluation.scores import Scores


def scores(protocol: str = "official", judge: str | None = "gpt-4.1", records: int = 6245) -> Scores:
    board = {column: 0.25 for column in COLUMNS} | {"DVC_llm": None}
    return Scores(protocol, board, [], {}, {"records": records, "judge": judge})


def test_published_rows_have_all_columns_in_their_ranges() -> None:
    for origin in published_rows().values():
        assert origin["source"]
        for row in origin["rows"].values():
            assert len(row) == len(COLUMNS)
            assert all(0 <= value <= 1 for value in row[:7])
            assert all(1 <= value <= 5 for value in row[7:])


def test_ours_stand_beside_marked_ones() -> None:
    lines = leaderboard({"mine": scores()}, published=True).splitlines()
    assert lines[2].startswith("| mine | here, official | 6245 | gpt-4.1 | 0.250 |")
    assert "| - |" in lines[2]  # a column that was not computed
    published = lines[3:]
    assert len(published) == sum(len(origin["rows"]) for origin in published_rows().values())
    assert all("**published**: " in line for line in published)
    assert {line.count("|") for line in lines} == {4 + len(COLUMNS) + 1}


@pytest.mark.parametrize(
    ("other", "what"),
    [(scores("strict"), "protocols"), (scores(judge="lexicon"), "judges"), (scores(records=3), "records")],
)
def test_what_is_not_comparable_is_refused(other: Scores, what: str) -> None:
    with pytest.raises(UserError, match=what):
        leaderboard({"one": scores(), "other": other})


def test_strict_scores_have_no_published_rows_beside_them() -> None:
    with pytest.raises(UserError, match="official"):
        leaderboard({"one": scores("strict")}, published=True)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores().write(tmp_path / "mine.json")
    out = tmp_path / "table.md"
    assert main(["leaderboard", str(tmp_path / "mine.json"), "--published", "--out", str(out)]) == 0
    assert out.read_text() in capsys.readouterr().out
    assert main(["leaderboard", str(tmp_path / "none.json")]) == 2
