"""The command that takes the pictures of the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app import screenshots
from app.context import Context
from app.example_review import REVIEWERS, add_example_review
from app.index import RolloutIndex
from app.review.desk import Desk
from app.site.audit import AuditLog
from app.workspace import open_workspace
from tests.app.records_scene import make_records

_NAMES = ["training-group", "review-item", "agreement", "data-row", "ask-answer"]


@pytest.mark.browser
def test_pages_in_use_are_pictured(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = make_records(tmp_path / "records"), tmp_path / "pictures"
    monkeypatch.setattr(screenshots, "LOOKS", screenshots.LOOKS[:1])
    named = ["--records", str(folder / "world" / "train.json"), "--model", str(folder / "model")]
    status = screenshots.main(["--runs", str(scene / "runs"), "--out", str(out), "--only", *_NAMES, *named])
    said = capsys.readouterr()
    assert status == 0
    assert "did not appear" not in said.err
    pictures = sorted(Path(line).name for line in said.out.splitlines())
    assert pictures == sorted(f"{name}-laptop-light.webp" for name in _NAMES)
    for path in out.iterdir():
        with Image.open(path) as picture:
            assert picture.size == (1440, 1000)
            assert len(set(picture.convert("L").resize((144, 100)).tobytes())) > 20, path.name
        assert path.stat().st_size <= 150_000
    assert not Path(f"{scene / 'runs'}-review", "verdicts.sqlite").exists()


def test_an_unknown_picture_is_one_line(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--runs", str(scene / "runs"), "--out", str(tmp_path), "--only", "data-row"]
    assert screenshots.main(asked) == 2  # there are no records
    error = capsys.readouterr().err
    assert error.startswith("error: --only data-row: there is no such picture; there are start, training,")


def test_the_example_review_is_the_same_each_time(scene: Path, tmp_path: Path) -> None:
    seen = []
    for name in ("a", "b"):
        assert add_example_review(scene / "runs", tmp_path / name)
        workspace = open_workspace(tmp_path / name, scene / "runs")
        context = Context(RolloutIndex(scene / "runs"), tmp_path, workspace, AuditLog(workspace.audit))
        desk = Desk(context)
        (review,) = desk.reviews.all()
        given = desk.verdicts.present()
        seen.append([(one.key, one.reviewer, one.scores, one.accepted, one.comment) for one in given])
        assert {one.reviewer for one in given} == set(REVIEWERS)
        second = review.items_of(desk.reviews.sit(review, REVIEWERS[1]))
        assert sum(one.reviewer == REVIEWERS[1] for one in given) == len(second) - 3
    assert seen[0] == seen[1]


def test_without_a_run_there_is_no_example(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert not add_example_review(tmp_path / "runs", tmp_path / "own")
