"""Two sides against each other: which rounds, which differences, how sure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.index import RolloutIndex
from app.index.curves import ALL_ROUNDS
from app.index.questions import QuestionScore, answers_to, question_scores
from app.training.compare_view import Comparison
from app.training.comparison import changes, largest, parse_rounds
from medgrpo.errors import UserError
from medgrpo.rollout.compaction import compact_run
from medgrpo.rollout.store import RolloutStore
from tests.app.scene import ATTACK, write_scene
from tests.app.test_html import Reader
from tests.app.test_pages import text_of
from tests.rollout.rollouts import make_rollout, make_sample


def test_rounds_as_people_write_them() -> None:
    steps = [0, 1, 2, 5, 9]
    wanted = {"all": ALL_ROUNDS, " ": ALL_ROUNDS, "5": (5, 5), "0-2": (0, 2), "1 to 9": (1, 9)}
    wanted |= {"first 2": (0, 1), "Last 2": (5, 9), "last 99": (0, 9)}
    assert {text: parse_rounds(text, steps) for text in wanted} == wanted
    for wrong in ("some", "3-4", "last 0", "first 1-2", "-1", "99999999999999"):
        with pytest.raises(UserError, match="rounds"):
            parse_rounds(wrong, steps)


def scores(values: dict[str, float], quantity: str = "reward") -> list[QuestionScore]:
    return [QuestionScore(key, "AVOS", "tal", f"v{key}", quantity, value, 8) for key, value in values.items()]


def test_differences_are_paired_by_question() -> None:
    dice = np.random.default_rng(0)
    before = {str(k): float(dice.uniform(0, 1)) for k in range(40)}
    after = {key: value + 0.1 + 0.01 * float(dice.normal()) for key, value in before.items()}
    (change,) = changes(scores(before), scores(after | {"other": 99.0}))
    assert (change.questions, change.videos) == (40, 40)
    assert change.difference == pytest.approx(0.1, abs=0.01)
    assert change.interval is not None
    assert change.interval[0] > 0.09  # as narrow as the differences, not as wide as the questions
    assert change.interval[1] < 0.11


def test_without_a_common_question_only_averages_are_told() -> None:
    (change,) = changes(scores({"a": 0.2, "b": 0.4}), scores({"c": 0.9}))
    assert (change.questions, change.first, change.second, change.interval) == (
        0,
        pytest.approx(0.3),
        0.9,
        None,
    )
    assert changes(scores({"a": 0.2}), []) == []
    assert largest(scores({"a": 0.2}), scores({"c": 0.9})) == []
    found = largest(scores({"a": 0.2, "b": 0.4}), scores({"a": 0.1, "b": 0.9}))
    assert [(score.key, round(gap, 3)) for score, gap in found] == [("b", 0.5), ("a", -0.1)]


def test_averages_of_questions_agree_with_what_was_written(tmp_path: Path) -> None:
    tal, summary = make_sample("tal"), make_sample()
    store = RolloutStore(tmp_path, "r")
    for step in range(4):
        failed = make_rollout(tal, value=1.0, raw=0.5, parse_status="failed", group_id="t")
        fine = make_rollout(tal, index=1, value=0.5, raw=float("nan"), parse_status="ok", group_id="t")
        store.write(step, [failed, fine, make_rollout(summary, value=0.1 * step, group_id="s")])
    index = RolloutIndex(tmp_path)
    index.refresh()
    found = {(one.task, one.quantity): one for one in question_scores(index, "r", (1, 3))}
    assert found["tal", "reward"].value == pytest.approx(0.75)
    assert found["tal", "readable"].value == pytest.approx(0.5)
    assert (found["tal", "metric"].value, found["tal", "metric"].answers) == (0.5, 3)  # NaN is no score
    assert found["tal", "length"].value == 2.0
    assert found["video_summary", "reward"].value == pytest.approx(0.2)
    assert ("video_summary", "readable") not in found
    assert [row["step"] for row in answers_to(index, "r", (0, 2), summary.key)] == [2, 1, 0]
    compact_run(tmp_path, "r", keep_last=1)
    index.refresh()
    again = {(one.task, one.quantity): one for one in question_scores(index, "r", (1, 3))}
    # DuckDB adds in any order.
    assert {key: replace(one, value=pytest.approx(one.value)) for key, one in again.items()} == found
    assert question_scores(index, "gone", ALL_ROUNDS) == []
    assert answers_to(index, "gone", ALL_ROUNDS, summary.key) == []


def test_a_run_against_another_and_against_itself(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_scene(tmp_path, run="other", rounds=4)
    index = RolloutIndex(tmp_path / "runs")
    index.refresh()
    comparison = Comparison(index)
    found = comparison.compare("demo", "first 3", "demo", "last 3", "raw")
    assert Reader(found.page).tags.count("svg") == 4
    assert found.page.count('class="mean a"') == found.page.count('class="mean b"') == 4
    assert "1 in common, 1 video" in text_of(found.page)
    assert len(found.questions) == 3
    key = next(key for label, key in found.questions if "CholecT50" in label)
    page = comparison.answers("demo", "first 3", "other", "all", key)
    words = text_of(page)
    assert "A: demo, first 3 rounds" in words
    assert "Round 2, answer 1" in words
    assert "Round 3, answer 1" in words
    assert ATTACK in words
    assert not {"img", "script"} & set(Reader(page).tags)
    for wrong in ("gone", "", None):
        assert "choose a run" in comparison.compare("demo", "all", wrong, "all", "reward").page
    assert "write all, 7, 0-10" in comparison.compare("demo", "soon", "demo", "all", "reward").page
    assert "Choose a question" in comparison.answers("demo", "all", "demo", "all", None)
