"""Files of a source are found in the places in which people keep them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from medgrpo.data.sources.finding import expect_file, find_file, find_video
from medgrpo.errors import UserError


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_the_first_place_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "b/table.csv")
    put(tmp_path / "table.csv")
    assert find_file(tmp_path, ("a", "b", ""), "table.csv") == "b/table.csv"
    assert expect_file(tmp_path, ("", "b"), "table.csv") == "table.csv"
    assert find_file(tmp_path, ("a",), "table.csv") is None
    with pytest.raises(UserError, match=r"a/table\.csv: is missing; it is looked for in .*/a or .*/c"):
        expect_file(tmp_path, ("a", "c"), "table.csv")


def test_videos_may_be_in_any_container(tmp_path: Path) -> None:
    put(tmp_path / "b/x.webm")
    put(tmp_path / "b/x.mkv")
    put(tmp_path / "c/x.mp4")
    assert find_video(tmp_path, ("a", "b", "c"), "x") == "b/x.mkv"
    assert find_video(tmp_path, ("c", "b"), "x") == "c/x.mp4"
    assert find_video(tmp_path, ("a", "b"), "y") is None


@pytest.mark.parametrize("stem", ["../out", "b/x", "..", ""])
def test_a_name_does_not_lead_elsewhere(tmp_path: Path, stem: str) -> None:
    put(tmp_path / "out.mp4")
    put(tmp_path / "a/b/x.mp4")
    assert find_video(tmp_path, ("a",), stem) is None
