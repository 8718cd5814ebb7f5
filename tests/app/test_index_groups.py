"""The list of groups against the same thing done in Python: every filter, every order, every page."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from app.index import ORDERS, GroupFilter, GroupRow, RolloutIndex
from medgrpo.evaluation import judge_bias
from medgrpo.rollout.store import RolloutStore, read_rollouts
from medgrpo.types import ComponentScore, Judgement
from tests.rollout.rollouts import make_rollout, make_sample

STATES = ("ok", "repaired", "failed", "free_text")
Key = tuple[str, int, str]


def _rewarded(dice: random.Random, judged: bool, **keywords: Any) -> Any:
    """An answer with rewards, marks and similarities that tie often and are no number at times."""
    value = dice.choice([math.nan, 0.0, 0.25, 0.5, 0.75, 1.0])
    near = dice.choice([math.nan, 0.1, 0.2, 0.3])
    part = ComponentScore(near, value, 1.0, "similarity:minilm@1", "logistic", 0.2, 0.4, 0.6, 3.0)
    marks = {"action": float(dice.randint(1, 3)), "context": float(dice.randint(1, 3))}
    judgement = Judgement("m", "r", marks, {}, status=dice.choice(["ok", "ok", "failed"])) if judged else None
    return make_rollout(
        keywords.pop("sample"),
        value=value,
        components={"similarity": part},
        judgement=judgement,
        parse_status=dice.choice(STATES),
        advantage=dice.choice([math.nan, -1.5, 0.0, 0.5]),
        **keywords,
    )


def write(root: Path) -> None:
    dice = random.Random(3)
    for run in ("a", "b"):
        store = RolloutStore(root, run)
        for step in range(3):
            for rank in range(2):
                rollouts = []
                for slot in range(4):
                    sample = make_sample(
                        dice.choice(["tal", "video_summary"]), dice.choice(["AVOS", "CoPESD"])
                    )
                    judged = sample.task == "video_summary"
                    rollouts += [
                        _rewarded(dice, judged, sample=sample, index=index, group_id=f"g{rank}{slot}")
                        for index in range(3)
                    ]
                store.write(step, rollouts, rank=rank)


@dataclass(frozen=True)
class Scene:
    """The index, and the groups as lists of stored rows."""

    index: RolloutIndex
    groups: dict[Key, list[dict[str, Any]]]
    gaps: dict[Key, float]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("groups")
    write(folder)
    index = RolloutIndex(folder)
    index.refresh()
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    gaps: dict[Key, float] = {}
    for run in ("a", "b"):
        rows = read_rollouts(folder, run).to_pylist()
        for row in rows:
            groups[run, row["step"], row["group_id"]].append(row)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judge_bias, "DISAGREEMENT", -1.0)  # all are told, not the large ones alone
            for gap, answer in judge_bias.disagreements(judge_bias.judged_answers(rows)):
                key = (run, answer.key[1], answer.key[2])
                gaps[key] = max(gaps.get(key, 0.0), abs(gap))
    return Scene(index, dict(groups), gaps)


def numbers(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if math.isfinite(row[name])]


def mean(rows: list[dict[str, Any]]) -> float | None:
    rewards = numbers(rows, "reward")
    return math.fsum(rewards) / len(rewards) if rewards else None


def passes(rows: list[dict[str, Any]], run: str, chosen: GroupFilter) -> bool:
    first = rows[0]
    exact = {"step": first["step"], "dataset": first["dataset"], "task": first["task"], "run": run}
    if any(getattr(chosen, name) not in (None, value) for name, value in exact.items()):
        return False
    return any(
        (chosen.reward_from is None or row["reward"] >= chosen.reward_from)
        and (chosen.reward_to is None or row["reward"] <= chosen.reward_to)
        and chosen.parse_status in (None, row["parse_status"])
        for row in rows
    )


def sort_key(scene: Scene, order: str) -> Callable[[Key], tuple[Any, ...]]:
    """Largest first, groups without a value last; then the newest; then by run and name."""

    def of(key: Key) -> tuple[Any, ...]:
        rows = scene.groups[key]
        rewards = numbers(rows, "reward")
        found = {
            "best": mean(rows),
            "worst": None if mean(rows) is None else -(mean(rows) or 0.0),
            "spread": max(rewards) - min(rewards) if rewards else None,
            "advantage": max((abs(a) for a in numbers(rows, "advantage")), default=None),
            "disagreement": scene.gaps.get(key),
            "newest": 0.0,
            "oldest": -float(key[1]),
        }[order]
        rounded = 0.0 if found is None else round(found, 9)
        return (found is None, -rounded, -key[1], key[0], key[2])

    return of


@pytest.mark.parametrize("order", ORDERS)
def test_filters_and_orders_are_those_of_python(scene: Scene, order: str) -> None:
    dice = random.Random(order)
    choices: dict[str, list[Any]] = {
        "run": ["a", "b", "nowhere"],
        "step": [0, 1, 2],
        "dataset": ["AVOS", "CoPESD"],
        "task": ["tal", "video_summary"],
        "reward_from": [0.25, 0.5, 0.9],
        "reward_to": [0.1, 0.25, 0.75],
        "parse_status": [*STATES],
    }
    seen = set()
    for _ in range(60):
        kept = dice.sample(list(choices), dice.randint(0, 3))
        chosen = GroupFilter(**{name: dice.choice(choices[name]) for name in kept})
        expected = [key for key, rows in scene.groups.items() if passes(rows, key[0], chosen)]
        expected.sort(key=sort_key(scene, order))
        offset, limit = dice.choice([(0, 200), (0, 5), (3, 4), (100, 5)])
        rows, total = scene.index.groups(chosen, order, offset, limit)
        assert total == len(expected)
        assert [(row.run, row.step, row.group_id) for row in rows] == expected[offset : offset + limit]
        seen.add(total)
    assert len(seen) > 5


def test_rows_say_what_the_answers_say(scene: Scene) -> None:
    rows, total = scene.index.groups(GroupFilter())
    assert total == len(scene.groups) == 48
    for row in rows:
        answers = scene.groups[row.run, row.step, row.group_id]
        rewards = numbers(answers, "reward")
        assert row.answers == len(answers) == 3
        assert row.mean == pytest.approx(mean(answers))
        assert (row.best, row.worst) == (max(rewards, default=None), min(rewards, default=None))
        assert row.unreadable == sum(answer["parse_status"] == "failed" for answer in answers)
        assert row.advantage == max((abs(a) for a in numbers(answers, "advantage")), default=None)
        assert row.disagreement == pytest.approx(scene.gaps.get((row.run, row.step, row.group_id)))
    assert any(row.disagreement for row in rows)
    assert {field.name for field in fields(GroupRow)} == set(GroupRow.__slots__)


def test_ranks_follow_new_answers(tmp_path: Path) -> None:
    write(tmp_path)
    index = RolloutIndex(tmp_path)
    index.refresh()
    before = index.groups(GroupFilter("a"), "disagreement")[0]
    dice = random.Random(8)
    sample = make_sample("video_summary", "AVOS")
    late = [_rewarded(dice, True, sample=sample, index=index_, group_id="late") for index_ in range(6)]
    RolloutStore(tmp_path, "a").write(9, late)
    index.refresh()
    again = RolloutIndex(tmp_path)
    again.refresh()
    after = index.groups(GroupFilter("a"), "disagreement")[0]
    assert after == again.groups(GroupFilter("a"), "disagreement")[0]
    assert after != before
    assert index.groups(GroupFilter("b"))[0] == again.groups(GroupFilter("b"))[0]
